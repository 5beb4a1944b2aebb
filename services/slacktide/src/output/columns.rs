//! Aligned columns with a header, truncated to the width of a screen.

use super::escape;

/// The gap between two columns.
const GAP: usize = 2;

/// The minimum width of a truncated column.
const MIN_WIDTH: usize = 8;

/// Rows of cells under a header.
#[derive(Debug, Clone)]
pub(crate) struct Columns {
    rows: Vec<Vec<String>>,
}

impl Columns {
    /// Creates a table with a header.
    pub(crate) fn new(header: &[&str]) -> Self {
        Self {
            rows: vec![header.iter().map(|name| (*name).to_owned()).collect()],
        }
    }

    /// Adds a row; its cells may hold any text.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows
            .push(cells.into_iter().map(|cell| escape(&cell).into_owned()).collect());
    }

    /// Renders the lines. With a width, cells of the columns in `cut` are truncated until the lines fit.
    pub(crate) fn render(&self, width: Option<usize>, cut: &[&str]) -> Vec<String> {
        let header = self.rows.first().cloned().unwrap_or_default();
        let mut widths = vec![0; header.len()];
        for row in &self.rows {
            for (wide, cell) in widths.iter_mut().zip(row) {
                *wide = display_width(cell).max(*wide);
            }
        }
        if let Some(width) = width {
            narrow(&mut widths, &header, cut, width);
        }
        self.rows.iter().map(|row| line(row, &widths)).collect()
    }
}

/// Narrows the widest of the columns in `cut` until all columns fit.
fn narrow(widths: &mut [usize], header: &[String], cut: &[&str], width: usize) {
    while widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1) > width {
        let widest = widths
            .iter_mut()
            .zip(header)
            .filter(|(wide, name)| **wide > MIN_WIDTH && cut.contains(&name.as_str()))
            .max_by_key(|(wide, _)| **wide);
        match widest {
            Some((wide, _)) => *wide -= 1,
            None => return,
        }
    }
}

fn line(row: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, width) in row.iter().zip(widths) {
        let cell = shortened(cell, *width);
        let blanks = width.saturating_sub(display_width(&cell)) + GAP;
        line.push_str(&cell);
        line.push_str(&" ".repeat(blanks));
    }
    line.trim_end().to_owned()
}

fn shortened(cell: &str, width: usize) -> String {
    if display_width(cell) <= width {
        return cell.to_owned();
    }
    let mut short = String::new();
    for c in cell.chars() {
        if display_width(&short) + char_width(c) + 1 > width {
            break;
        }
        short.push(c);
    }
    short + "…"
}

/// Returns the display width of a text.
pub(crate) fn display_width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

/// Returns the display width of a character: 2 for Chinese, Japanese and Korean ones.
fn char_width(c: char) -> usize {
    let wide = [
        '\u{1100}'..='\u{115f}',
        '\u{2e80}'..='\u{303e}',
        '\u{3041}'..='\u{a4cf}',
        '\u{ac00}'..='\u{d7a3}',
        '\u{f900}'..='\u{faff}',
        '\u{fe30}'..='\u{fe6f}',
        '\u{ff00}'..='\u{ff60}',
        '\u{ffe0}'..='\u{ffe6}',
        '\u{1f300}'..='\u{1faff}',
        '\u{20000}'..='\u{3fffd}',
    ];
    if wide.iter().any(|range| range.contains(&c)) {
        2
    } else {
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_cut_to_the_width() {
        let mut columns = Columns::new(&["A", "LONG"]);
        columns.row(["1".to_owned(), "a text of many words".to_owned()]);
        columns.row(["索赔".to_owned(), "x\u{1b}".to_owned()]);
        let whole = columns.render(None, &[]);
        assert_eq!(
            whole,
            ["A     LONG", "1     a text of many words", "索赔  x\\u{1b}"]
        );
        let cut = columns.render(Some(16), &["LONG"]);
        assert_eq!(cut[1], "1     a text of…");
        // Other columns are not truncated.
        assert_eq!(columns.render(Some(4), &[]), whole);
    }
}
