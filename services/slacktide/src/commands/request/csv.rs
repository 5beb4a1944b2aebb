//! Formats rows as CSV, for a file, a spreadsheet or a terminal.

use std::borrow::Cow;

use crate::failure::Failure;
use crate::output;

/// Options for cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::commands) struct Cells {
    /// Prevents formulas: a spreadsheet would run what another party wrote.
    pub(in crate::commands) spreadsheet: bool,
    /// Escapes characters that act on a terminal. A file keeps them.
    pub(in crate::commands) is_shown: bool,
}

/// Formats a header and the rows. An empty field is NULL, `""` an empty text.
pub(in crate::commands) fn records(
    names: &[&str],
    rows: &[Vec<Option<String>>],
    cells: Cells,
) -> Result<String, Failure> {
    let mut writer = csv::WriterBuilder::new()
        .quote_style(csv::QuoteStyle::Never)
        .from_writer(Vec::new());
    let failed = |error: csv::Error| Failure::internal(&error);
    let field = |text: &str| {
        let text = if cells.spreadsheet {
            escape_formulas(text)
        } else {
            text.into()
        };
        let text = if cells.is_shown {
            output::escape(&text).into_owned().into()
        } else {
            text
        };
        quote(&text)
    };
    writer
        .write_record(names.iter().map(|name| field(name)))
        .map_err(failed)?;
    for row in rows {
        // Quotes are added here, because NULL and the empty text differ.
        let fields = row
            .iter()
            .map(|cell| cell.as_deref().map(field).unwrap_or_default());
        writer.write_record(fields).map_err(failed)?;
    }
    let bytes = writer.into_inner().map_err(|error| Failure::internal(&error))?;
    String::from_utf8(bytes).map_err(|error| Failure::internal(&error))
}

fn quote(text: &str) -> String {
    let is_plain = !text.is_empty() && !text.contains(['"', ',', '\n', '\r']);
    if is_plain {
        text.to_owned()
    } else {
        format!("\"{}\"", text.replace('"', "\"\""))
    }
}

/// Characters that begin a formula, also in their full-width forms.
const BEGINS_FORMULA: [char; 10] = ['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠'];

/// Characters after which a spreadsheet of some locale may begin another cell.
const BEGINS_CELL: [char; 7] = [',', ';', '|', '\t', '\n', '\r', '"'];

/// Inserts an apostrophe wherever a formula would begin. A plain decimal, also a negative one, is unchanged: it cannot be
/// run.
fn escape_formulas(text: &str) -> Cow<'_, str> {
    if is_decimal(text) {
        return text.into();
    }
    let mut safe = String::with_capacity(text.len() + 2);
    // Leading blanks are skipped, as in some spreadsheets.
    let (mut is_begin, mut is_blank) = (true, true);
    for c in text.chars() {
        if is_begin && BEGINS_FORMULA.contains(&c) {
            safe.push('\'');
        }
        safe.push(c);
        is_blank &= c.is_whitespace();
        is_begin = BEGINS_CELL.contains(&c) || is_blank;
    }
    safe.into()
}

/// Whether the text is digits with at most one sign and one point.
fn is_decimal(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.strip_prefix('-').unwrap_or(text);
    match number.split_once('.') {
        None => digits(number),
        Some((whole, part)) => digits(whole) && digits(part),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SPREADSHEET: Cells = Cells {
        spreadsheet: true,
        is_shown: false,
    };

    fn one(text: &str, cells: Cells) -> String {
        let shown = records(&["a"], &[vec![Some(text.to_owned())]], cells).unwrap();
        shown
            .strip_prefix("a\n")
            .unwrap()
            .strip_suffix('\n')
            .unwrap()
            .to_owned()
    }

    #[test]
    fn csv_formula_gets_an_apostrophe_and_numbers_stay() {
        for (text, wanted) in [
            ("=1+1", "'=1+1"),
            ("+86138", "'+86138"),
            ("-1+cmd|' /C calc'!A0", "'-1+cmd|' /C calc'!A0"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("＝1", "'＝1"),
            ("－1", "'－1"),
            (" =1", " '=1"),
            ("\t=1", "'\t'=1"),
            ("a;=1", "a;'=1"),
            ("a,-b", "\"a,'-b\""),
            ("a\n@b", "\"a\n'@b\""),
            ("a\"=b", "\"a\"\"'=b\""),
            ("-", "'-"),
            ("-.5", "'-.5"),
            ("-1e5", "'-1e5"),
            ("-12.50", "-12.50"),
            ("-7", "-7"),
            ("12.5", "12.5"),
            ("a=b", "a=b"),
            ("2026-01-31", "2026-01-31"),
            ("", "\"\""),
        ] {
            assert_eq!(one(text, SPREADSHEET), wanted, "{text:?}");
        }
        let header = records(&["=a", "b"], &[vec![None, None]], SPREADSHEET).unwrap();
        assert_eq!(header, "'=a,b\n,\n");
    }

    #[test]
    fn csv_file_keeps_values_and_a_terminal_is_safe() {
        let text = "=\u{1b}[2J\u{202e}\r\nx";
        assert_eq!(one(text, Cells::default()), format!("\"{text}\""));
        let shown = Cells {
            is_shown: true,
            ..Cells::default()
        };
        assert_eq!(one(text, shown), "=\\u{1b}[2J\\u{202e}\\r\\nx");
    }

    proptest! {
        #[test]
        fn csv_cell_of_any_text_is_no_formula(text in "[-=+@＝－ \t\r\n,;|\"'a1.]{0,12}") {
            let safe = escape_formulas(&text);
            prop_assert!(is_decimal(&safe) || !safe.trim_start().starts_with(BEGINS_FORMULA), "{safe:?}");
            if !is_decimal(&safe) {
                for cell in safe.split(BEGINS_CELL).skip(1) {
                    prop_assert!(!cell.starts_with(BEGINS_FORMULA), "{safe:?}");
                }
            }
            // Only apostrophes are added.
            prop_assert_eq!(safe.replace('\'', ""), text.replace('\'', ""));
        }
    }
}
