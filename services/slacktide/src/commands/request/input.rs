//! Reads the requests of a CSV or JSON lines file, with their line numbers.

use std::path::Path;

use super::lines::{self, Line, LineError};
use super::records::{self, Record};
use crate::failure::Failure;

/// The lines of a file: number, text, and the request or an error.
pub(super) type Read = Vec<(usize, String, Result<Line, LineError>)>;

/// Decodes the text of a file.
pub(super) fn decode<'a>(path: &Path, bytes: &'a [u8]) -> Result<&'a str, Failure> {
    runtime::text::decode(bytes)
        .map_err(|error| Failure::usage(format!("{}:{error}; nothing was filed", path.display())))
}

/// Reads the lines of a file with their numbers. Empty lines are skipped.
pub(super) fn read(path: &Path, text: &str) -> Result<Read, Failure> {
    if !is_csv(path) {
        let filled = (1..)
            .zip(
                text.split('\n')
                    .map(|line| line.strip_suffix('\r').unwrap_or(line)),
            )
            .filter(|(_, line)| !line.trim().is_empty());
        return Ok(filled
            .map(|(number, line)| (number, line.to_owned(), lines::json(line)))
            .collect());
    }
    let table = records::parse(text).map_err(|faults| {
        let mut messages = faults.iter().take(MAX_FAULTS).map(|fault| {
            format!(
                "{}:{}:{}: {}",
                path.display(),
                fault.line,
                fault.column,
                fault.what
            )
        });
        let first = messages.next().unwrap_or_default();
        let left = faults.len().saturating_sub(MAX_FAULTS);
        let left = (left > 0).then(|| format!("and {left} lines more"));
        Failure::usage(first)
            .with(messages)
            .with(left)
            .with(["nothing was filed".to_owned()])
    })?;
    let line = |record: &Record<'_>| {
        (
            record.line,
            record.raw.to_owned(),
            lines::csv(&table.header, record),
        )
    };
    Ok(table.records.iter().map(line).collect())
}

/// The maximum number of faults shown.
const MAX_FAULTS: usize = 20;

/// Whether a file is CSV, by its name; it is JSON lines otherwise.
pub(super) fn is_csv(path: &Path) -> bool {
    let extension = path.extension();
    extension.is_some_and(|extension| extension.eq_ignore_ascii_case("csv"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, name: &str) -> Result<Vec<(usize, String, bool)>, Failure> {
        let read = read(Path::new(name), text)?;
        let line =
            |(line, raw, record): (usize, String, Result<Line, LineError>)| (line, raw, record.is_ok());
        Ok(read.into_iter().map(line).collect())
    }

    #[test]
    fn csv_record_that_does_not_fit_the_header_is_kept_as_written() {
        let text = "key,kind,psn_no\r\nk1,a.b,\"p, 1\"\r\n\r\nk2,a.b\nk3,a.b,\"p\"\"3\",more\nk4,a.b,p4\n";
        let wanted = [
            (2, "k1,a.b,\"p, 1\"", true),
            (4, "k2,a.b", false),
            (5, "k3,a.b,\"p\"\"3\",more", false),
            (6, "k4,a.b,p4", true),
        ];
        let wanted = wanted.map(|(line, raw, is_good)| (line, raw.to_owned(), is_good));
        assert_eq!(lines(text, "asked.csv").unwrap(), wanted);
        let why = read(Path::new("asked.csv"), text)
            .unwrap()
            .remove(1)
            .2
            .unwrap_err()
            .to_string();
        assert_eq!(why, "it has 2 columns, and the header 3");
    }

    #[test]
    fn request_file_with_an_open_quotation_mark_files_nothing() {
        let text = "key,kind,psn_no\nk1,a.b,\"p1\nk2,a.b,p2\nk3,a.b,p3\"\n";
        let error = lines(text, "asked.csv").unwrap_err().to_string();
        assert!(
            error.starts_with("asked.csv:2:8: a quotation mark is not closed"),
            "{error}"
        );
        assert!(
            error.contains("asked.csv:4:10: ") && error.ends_with("nothing was filed"),
            "{error}"
        );
        let error = decode(Path::new("asked.jsonl"), b"{}\n{\"k\xFF")
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("asked.jsonl:2:4: this is not UTF-8"), "{error}");
    }

    #[test]
    fn json_lines_keep_their_numbers() {
        let text = "{\"key\":\"a\"}\r\n\r\n\n{\"key\":\"b\"} {}\n{\"key\":\"c\"}";
        let found: Vec<(usize, bool)> = lines(text, "asked.jsonl")
            .unwrap()
            .into_iter()
            .map(|(line, _, is_good)| (line, is_good))
            .collect();
        assert_eq!(found, [(1, true), (4, false), (5, true)]);
    }
}
