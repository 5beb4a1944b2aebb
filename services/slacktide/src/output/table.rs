//! Tables: aligned columns under a header, with details below a row.
//!
//! The table crate lays out the columns and wraps the cells. Marks between cells and rows show where each cell
//! is, so that colours and details can be added afterwards.

use comfy_table::{
    CellAlignment, ColumnConstraint, ContentArrangement, ContentLineStyle, LineStyle, TableStyle, Width,
};

use super::text::{Line, Style, escape};
use super::wrap::{display_width, wrap};

/// The mark between two cells and in the line between two rows. Escaped text does not contain it.
const MARK: char = '\u{e000}';

/// The gap between two columns: the mark and the padding of a cell.
const GAP: usize = 2;

/// The minimum width of a column whose cells are wrapped.
const MIN_WIDTH: usize = 8;

/// Words up to this width are not broken, if the width suffices.
const MAX_WHOLE_WORD: usize = 24;

const STYLE: TableStyle = TableStyle::new()
    .header_lines(ContentLineStyle::none().junction(MARK))
    .header_separator(LineStyle::none().fill(MARK).junction(MARK))
    .content_lines(ContentLineStyle::none().junction(MARK))
    .row_separator(LineStyle::none().fill(MARK).junction(MARK));

/// How a column uses the width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Its cells are never wrapped: ids, states, times.
    Fixed,
    /// Its cells are wrapped where the width requires it.
    Text,
    /// A number: never wrapped, aligned to the right.
    Number,
}

#[derive(Debug, Clone)]
struct Column {
    name: String,
    kind: Kind,
}

#[derive(Debug, Clone, Default)]
struct Row {
    cells: Vec<String>,
    style: Option<(usize, Style)>,
    /// Labels and texts below the row.
    details: Vec<(String, Line)>,
}

/// Rows under a header.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Row>,
    /// What is shown instead where the width does not suffice, and a note about it.
    narrow: Option<Box<(Table, String)>>,
}

impl Table {
    /// Creates a table without columns.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    fn column(mut self, name: &str, kind: Kind) -> Self {
        self.columns.push(Column {
            name: escape(name).into_owned(),
            kind,
        });
        self
    }

    /// Adds a column whose cells are never wrapped.
    pub(crate) fn fixed(self, name: &str) -> Self {
        self.column(name, Kind::Fixed)
    }

    /// Adds a column whose cells are wrapped where the width requires it.
    pub(crate) fn text(self, name: &str) -> Self {
        self.column(name, Kind::Text)
    }

    /// Adds a column of numbers.
    pub(crate) fn number(self, name: &str) -> Self {
        self.column(name, Kind::Number)
    }

    /// Adds a row; its cells may hold any text.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) -> &mut Self {
        let cells = cells.into_iter().map(|cell| escape(&cell).into_owned()).collect();
        self.rows.push(Row {
            cells,
            ..Row::default()
        });
        self
    }

    /// Colours a cell of the last row.
    pub(crate) fn style(&mut self, column: usize, style: Style) -> &mut Self {
        if let Some(row) = self.rows.last_mut() {
            row.style = Some((column, style));
        }
        self
    }

    /// Adds a text below the last row, behind a label.
    pub(crate) fn detail(&mut self, label: impl Into<String>, text: impl Into<Line>) -> &mut Self {
        if let Some(row) = self.rows.last_mut() {
            row.details.push((label.into(), text.into()));
        }
        self
    }

    /// Shows another table, and a note below it, where the width does not suffice.
    pub(crate) fn or_narrow(mut self, table: Self, note: &str) -> Self {
        self.narrow = Some(Box::new((table, note.to_owned())));
        self
    }

    /// Renders the lines: no wider than `width`, or unwrapped.
    pub(crate) fn render(&self, width: Option<usize>) -> Vec<Line> {
        let widths = self.natural_widths();
        let gaps = GAP * widths.len().saturating_sub(1);
        let natural = widths.iter().sum::<usize>() + gaps;
        if let (Some(narrow), Some(width)) = (&self.narrow, width.filter(|width| *width < natural)) {
            let (table, note) = narrow.as_ref();
            let mut lines = table.render(Some(width));
            lines.extend(wrap("", &Line::from(note), width));
            return lines;
        }
        match width {
            Some(width) if width < natural => {
                let fits = |least: &Vec<usize>| least.iter().sum::<usize>() + gaps <= width;
                let candidates = [MAX_WHOLE_WORD, 0].map(|longest| self.least_widths(&widths, longest));
                match candidates.into_iter().find(fits) {
                    Some(least) => self.render_columns(Some((width, &least))),
                    None => self.render_records(width),
                }
            }
            _ => self.render_columns(None),
        }
        .into_iter()
        .flat_map(|(lines, details)| {
            let details = details.into_iter().flat_map(move |(label, text)| match width {
                Some(width) => wrap(&label, &text, width),
                None => vec![Line::from(label).and_line(text)],
            });
            lines.into_iter().chain(details)
        })
        .collect()
    }

    /// Returns the width of the widest cell of each column, with its header.
    fn natural_widths(&self) -> Vec<usize> {
        let widest = |(index, column): (usize, &Column)| {
            let cells = self.rows.iter().filter_map(|row| row.cells.get(index));
            let cells = cells.map(|cell| display_width(cell));
            cells.max().unwrap_or(0).max(display_width(&column.name))
        };
        self.columns.iter().enumerate().map(widest).collect()
    }

    /// Returns the least width of each column: of a wrapped one, that of its longest word up to `longest`.
    fn least_widths(&self, widths: &[usize], longest: usize) -> Vec<usize> {
        let least = |(index, (column, width)): (usize, (&Column, &usize))| match column.kind {
            Kind::Text => {
                let cells = self.rows.iter().filter_map(|row| row.cells.get(index));
                let words = cells.flat_map(|cell| cell.split(' ')).map(display_width);
                let word = words.max().unwrap_or(0).min(longest);
                (*width).min(MIN_WIDTH.max(display_width(&column.name)).max(word))
            }
            Kind::Fixed | Kind::Number => *width,
        };
        self.columns.iter().zip(widths).enumerate().map(least).collect()
    }

    /// Renders header and rows as columns, each with the details below it.
    fn render_columns(&self, limit: Option<(usize, &[usize])>) -> Vec<Block> {
        let mut table = comfy_table::Table::new();
        table.load_style(STYLE);
        table.set_header(
            self.columns
                .iter()
                .map(|column| column.name.clone())
                .collect::<Vec<_>>(),
        );
        for row in &self.rows {
            table.add_row(row.cells.clone());
        }
        table.set_content_arrangement(match limit {
            Some(_) => ContentArrangement::Dynamic,
            None => ContentArrangement::Disabled,
        });
        if let Some((width, _)) = limit {
            // The padding behind the last column is cut off.
            table.set_width(u16::try_from(width.saturating_add(1)).unwrap_or(u16::MAX));
        }
        for (index, column) in self.columns.iter().enumerate() {
            let Some(laid_out) = table.column_mut(index) else {
                continue;
            };
            laid_out.set_padding((0, 1));
            match column.kind {
                Kind::Text => {
                    let least = limit.and_then(|(_, least)| least.get(index));
                    if let Some(least) = least.and_then(|least| u16::try_from(least + 1).ok()) {
                        laid_out.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(least)));
                    }
                }
                Kind::Fixed => {
                    laid_out.set_constraint(ColumnConstraint::ContentWidth);
                }
                Kind::Number => {
                    laid_out.set_constraint(ColumnConstraint::ContentWidth);
                    laid_out.set_cell_alignment(CellAlignment::Right);
                }
            }
        }
        let mut blocks: Vec<Vec<String>> = vec![Vec::new()];
        for line in table.lines() {
            if line.starts_with(MARK) && line.chars().all(|c| c == MARK) {
                blocks.push(Vec::new());
            } else if let Some(block) = blocks.last_mut() {
                block.push(line);
            }
        }
        let header = Row::default();
        let rows = std::iter::once(&header).chain(&self.rows);
        blocks
            .iter()
            .zip(rows)
            .map(|(lines, row)| block(lines, row))
            .collect()
    }

    /// Renders each row as a record: one field on each line.
    fn render_records(&self, width: usize) -> Vec<Block> {
        let names = self.columns.iter().map(|column| display_width(&column.name));
        let widest = names.max().unwrap_or(0);
        let record = |(index, row): (usize, &Row)| {
            let mut lines: Vec<Line> = Vec::new();
            if index > 0 {
                lines.push(Line::default());
            }
            for (column, (cell, head)) in row.cells.iter().zip(&self.columns).enumerate() {
                let blanks = " ".repeat(widest - display_width(&head.name) + GAP);
                let cell = match row.style {
                    Some((styled, style)) if styled == column => Line::styled(style, cell),
                    _ => Line::from(cell),
                };
                lines.extend(wrap(&format!("{}{blanks}", head.name), &cell, width));
            }
            (lines, row.details.clone())
        };
        self.rows.iter().enumerate().map(record).collect()
    }
}

/// The lines of a row, and its details.
type Block = (Vec<Line>, Vec<(String, Line)>);

/// Replaces the marks in the lines of a row, and colours its cell.
fn block(lines: &[String], row: &Row) -> Block {
    let styled = |(index, line): (usize, &String)| {
        let mut shown = Line::default();
        for (column, cell) in line.split(MARK).enumerate() {
            if column > 0 {
                shown = shown.and(" ");
            }
            shown = match row.style {
                Some((styled, style)) if styled == column && index == 0 => {
                    let text = cell.trim_end();
                    shown
                        .and_styled(style, text)
                        .and(cell.get(text.len()..).unwrap_or_default())
                }
                _ => shown.and(cell),
            };
        }
        let end = shown.plain().trim_end().len();
        shown.slice(0, end)
    };
    let lines = lines.iter().enumerate().map(styled).collect();
    (lines, row.details.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(table: &Table, width: Option<usize>) -> Vec<String> {
        table.render(width).iter().map(Line::plain).collect()
    }

    fn sample() -> Table {
        let mut table = Table::new().fixed("A").text("LONG").number("N");
        table.row(["1", "a text of many words", "7"].map(str::to_owned));
        table.row(["索赔", "x\u{1b}", "12"].map(str::to_owned));
        table.style(0, Style::Good).detail("    why: ", "it is so");
        table
    }

    #[test]
    fn table_in_a_pipe_is_aligned_and_not_wrapped() {
        assert_eq!(
            plain(&sample(), None),
            [
                "A     LONG                   N",
                "1     a text of many words   7",
                "索赔  x\\u{1b}               12",
                "    why: it is so",
            ]
        );
    }

    #[test]
    fn table_narrow_wraps_text_and_keeps_fixed_cells() {
        let shown = plain(&sample(), Some(22));
        assert!(shown.iter().all(|line| display_width(line) <= 22), "{shown:#?}");
        assert!(
            shown[1].starts_with("1     a text of") && shown[1].ends_with(" 7"),
            "{shown:#?}"
        );
        let words: String = shown.join(" ");
        assert!(
            ["a text of", "many", "words", "it is so"]
                .iter()
                .all(|word| words.contains(word)),
            "{words}"
        );
    }

    #[test]
    fn table_narrow_breaks_no_word_while_it_fits() {
        let mut table = Table::new().text("LANE").text("PUBLISHED").text("ACKED");
        table.row(["insurer-a.claim", "1.1234 (59 min)", "1.1234 (59 min)"].map(str::to_owned));
        let shown = plain(&table, Some(40));
        assert!(shown.iter().all(|line| display_width(line) <= 40), "{shown:#?}");
        assert!(shown[1].starts_with("insurer-a.claim  1.1234"), "{shown:#?}");
    }

    #[test]
    fn table_too_narrow_shows_records() {
        let shown = plain(&sample(), Some(12));
        assert!(shown.iter().all(|line| display_width(line) <= 12), "{shown:#?}");
        assert!(
            shown[0] == "A     1" && shown[1].starts_with("LONG  a"),
            "{shown:#?}"
        );
    }

    #[test]
    fn table_colours_only_the_styled_cell() {
        let lines = sample().render(Some(80));
        let coloured: Vec<String> = lines.iter().map(|line| line.render(true)).collect();
        assert_eq!(coloured.iter().filter(|line| line.contains('\x1b')).count(), 1);
        assert!(coloured[2].starts_with("\x1b[32m索赔\x1b[0m  x"), "{coloured:#?}");
    }

    #[test]
    fn table_worst_values_fit_into_80_columns() {
        let long = "x".repeat(300);
        let mut table = Table::new()
            .fixed("ID")
            .text("LANE")
            .fixed("STATE")
            .text("REASON")
            .number("N");
        let cells = [
            "3fa9c1d2e4f5",
            &long,
            "waiting for slack",
            &long,
            "18446744073709551615",
        ];
        table.row(cells.map(str::to_owned));
        table.detail("    why: ", long.clone());
        for width in [40, 60, 80, 100] {
            let shown = plain(&table, Some(width));
            assert!(
                shown.iter().all(|line| display_width(line) <= width),
                "{width}: {shown:#?}"
            );
            let kept = shown.join("").matches('x').count();
            assert_eq!(kept, 900, "{width}: {shown:#?}");
        }
        assert_eq!(plain(&table, None).len(), 3);
    }
}
