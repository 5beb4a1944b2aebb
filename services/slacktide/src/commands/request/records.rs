//! A strict parser for CSV files of requests.
//!
//! RFC 4180 with one more rule: a record is one line. No value of a request may contain a line break, so an open quotation
//! mark at the end of a line is an error. The usual libraries accept it as a value of several lines, which swallows requests,
//! and accept text after a closing mark. Cells are kept exactly, including blanks.

/// A syntax error with its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// The line number, from 1.
    pub(super) line: usize,
    /// The column in characters, from 1.
    pub(super) column: usize,
    /// Cause and remedy, without values.
    pub(super) what: &'static str,
}

/// One cell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Cell {
    /// The text without quotation marks.
    pub(super) text: String,
    /// Whether it is quoted: `""` is an empty text, an empty cell is no value.
    pub(super) is_quoted: bool,
    /// The column in characters where it begins, from 1.
    pub(super) column: usize,
}

/// A line with its cells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record<'a> {
    /// The line number, from 1.
    pub(super) line: usize,
    /// The text of the line.
    pub(super) raw: &'a str,
    /// Its cells, in order.
    pub(super) cells: Vec<Cell>,
}

/// A CSV file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table<'a> {
    /// The line that names the columns.
    pub(super) header: Record<'a>,
    /// The others. Empty lines are left out.
    pub(super) records: Vec<Record<'a>>,
}

/// Parses a file.
///
/// # Errors
/// Every line with unbalanced quotation marks, or the faults of the header. Then no line is reliable.
pub(super) fn parse(text: &str) -> Result<Table<'_>, Vec<Fault>> {
    let (mut records, mut faults) = (Vec::new(), Vec::new());
    for (line, raw) in (1..).zip(text.split('\n')) {
        let raw = raw.strip_suffix('\r').unwrap_or(raw);
        if raw.is_empty() {
            continue;
        }
        match cells(raw) {
            Ok(cells) => records.push(Record { line, raw, cells }),
            Err((column, what)) => faults.push(Fault { line, column, what }),
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let mut records = records.into_iter();
    let Some(header) = records.next() else {
        return Err(vec![Fault {
            line: 1,
            column: 1,
            what: "the file has no header: its first line names the columns",
        }]);
    };
    let faults = header_faults(&header);
    if faults.is_empty() {
        Ok(Table {
            header,
            records: records.collect(),
        })
    } else {
        Err(faults)
    }
}

fn header_faults(header: &Record<'_>) -> Vec<Fault> {
    let fault = |column: usize, what: &'static str| Fault {
        line: header.line,
        column,
        what,
    };
    let mut faults = Vec::new();
    for (at, cell) in header.cells.iter().enumerate() {
        let mut before = header.cells.iter().take(at);
        if cell.text.is_empty() {
            faults.push(fault(
                cell.column,
                "the header leaves a column without a name: name it, or remove it",
            ));
        } else if cell.text.trim() != cell.text {
            faults.push(fault(
                cell.column,
                "the name of a column begins or ends with a blank: remove it",
            ));
        } else if before.any(|one| one.text == cell.text) {
            faults.push(fault(
                cell.column,
                "the header names a column twice: name each once",
            ));
        }
    }
    if faults.is_empty() && !header.cells.iter().any(|cell| cell.text == "key") {
        faults.push(fault(
            1,
            "the header names no column key: it is a line such as key,kind,purpose,basis,deadline,…, with commas between",
        ));
    }
    faults
}

/// Parses the cells of a line; the error is the column and the message.
fn cells(line: &str) -> Result<Vec<Cell>, (usize, &'static str)> {
    let mut cells = Vec::new();
    let mut characters = (1..).zip(line.chars()).peekable();
    let mut begin = 1;
    loop {
        let mut cell = Cell {
            column: begin,
            ..Cell::default()
        };
        if characters.next_if(|(_, c)| *c == '"').is_some() {
            cell.is_quoted = true;
            loop {
                match characters.next() {
                    Some((_, '"')) if characters.next_if(|(_, c)| *c == '"').is_some() => cell.text.push('"'),
                    Some((_, '"')) => break,
                    Some((_, c)) => cell.text.push(c),
                    None => {
                        return Err((
                            begin,
                            "a quotation mark is not closed on its line: close it, or double it if it is part of the value",
                        ));
                    }
                }
            }
        }
        match characters.next() {
            None => {
                cells.push(cell);
                return Ok(cells);
            }
            Some((column, ',')) => {
                cells.push(cell);
                begin = column + 1;
                continue;
            }
            Some((column, _)) if cell.is_quoted => {
                return Err((
                    column,
                    "text follows a closing quotation mark: put a comma between, or double the mark",
                ));
            }
            Some((column, '"')) => return Err((column, MARK_INSIDE)),
            Some((column, '\r')) => return Err((column, LONE_RETURN)),
            Some((_, c)) => cell.text.push(c),
        }
        loop {
            match characters.next() {
                None => {
                    cells.push(cell);
                    return Ok(cells);
                }
                Some((column, ',')) => {
                    begin = column + 1;
                    break;
                }
                Some((column, '"')) => return Err((column, MARK_INSIDE)),
                Some((column, '\r')) => return Err((column, LONE_RETURN)),
                Some((_, c)) => cell.text.push(c),
            }
        }
        cells.push(cell);
    }
}

const MARK_INSIDE: &str = "a quotation mark inside a value that does not begin with one: put the value in quotation marks, and \
                           double this one";

const LONE_RETURN: &str =
    "a carriage return without a line feed: save the file with the line ends of this system";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(record: &Record<'_>) -> Vec<String> {
        record.cells.iter().map(|cell| cell.text.clone()).collect()
    }

    fn first_fault(text: &str) -> (usize, usize, &'static str) {
        let fault = parse(text).unwrap_err().remove(0);
        (fault.line, fault.column, fault.what)
    }

    #[test]
    fn csv_cells_and_line_numbers_are_kept_exactly() {
        let text = "key,kind,psn_no\r\n\r\nk1,a.b,\" p, \"\"1\"\" \"\n\nk2,a.b, p2 \nk3,a.b,\"\"\nk4,a.b,\n";
        let table = parse(text).unwrap();
        let found: Vec<(usize, Vec<String>)> = table
            .records
            .iter()
            .map(|record| (record.line, texts(record)))
            .collect();
        let wanted = [
            (3, vec!["k1", "a.b", " p, \"1\" "]),
            (5, vec!["k2", "a.b", " p2 "]),
            (6, vec!["k3", "a.b", ""]),
            (7, vec!["k4", "a.b", ""]),
        ];
        let wanted: Vec<(usize, Vec<String>)> = wanted
            .into_iter()
            .map(|(line, cells)| (line, cells.into_iter().map(str::to_owned).collect()))
            .collect();
        assert_eq!(found, wanted);
        let quoted = |at: usize| table.records[at].cells[2].is_quoted;
        assert!(quoted(2) && !quoted(3));
    }

    #[test]
    fn csv_open_quotation_mark_swallows_no_line() {
        // The usual parser reads these three lines as one value.
        let text = "key,kind,psn_no\nk1,a.b,\"p1\nk2,a.b,p2\nk3,a.b,p3\"\n";
        assert_eq!(csv::Reader::from_reader(text.as_bytes()).records().count(), 1);
        let faults = parse(text).unwrap_err();
        let places: Vec<(usize, usize)> = faults.iter().map(|fault| (fault.line, fault.column)).collect();
        assert_eq!(places, [(2, 8), (4, 10)]);
    }

    #[test]
    fn csv_fault_is_named_by_line_and_column() {
        for (text, line, column, expected) in [
            ("", 1, 1, "no header"),
            ("key,key\n", 1, 5, "twice"),
            ("key,\"key\"\n", 1, 5, "twice"),
            ("key, kind\n", 1, 5, "blank"),
            ("key,kind,\n", 1, 10, "without a name"),
            ("key;kind\n", 1, 1, "no column key"),
            ("key,kind\n张,\"b\"x\n", 2, 6, "follows a closing"),
            ("key,kind\nk1,a\"b\n", 2, 5, "inside a value"),
            ("key,kind\rk1,a\n", 1, 9, "carriage return"),
        ] {
            let (at, column_at, what) = first_fault(text);
            assert_eq!((at, column_at), (line, column), "{text:?}: {what}");
            assert!(what.contains(expected), "{text:?}: {what}");
        }
    }

    proptest! {
        /// The output of a CSV writer is parsed to the same cells.
        #[test]
        fn csv_of_a_writer_is_read_back(rows in prop::collection::vec(prop::collection::vec("[a,\" 张=;]{0,5}", 3), 0..6)) {
            let mut writer = csv::WriterBuilder::new().quote_style(csv::QuoteStyle::Always).from_writer(Vec::new());
            writer.write_record(["key", "a", "b"]).unwrap();
            for row in &rows {
                writer.write_record(row).unwrap();
            }
            let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
            let table = parse(&text).unwrap();
            let read: Vec<Vec<String>> = table.records.iter().map(texts).collect();
            prop_assert_eq!(read, rows);
        }

        /// Any text is parsed or refused, each line as one record.
        #[test]
        fn csv_of_any_text_is_read_or_refused(text in "(\\PC|[\",\r\n]){0,80}") {
            if let Ok(table) = parse(&format!("key\n{text}")) {
                prop_assert!(table.records.len() <= text.split('\n').count());
            }
        }
    }
}
