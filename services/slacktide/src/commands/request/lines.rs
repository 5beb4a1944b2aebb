//! Parses a line of a file of requests, as JSON or CSV.
//!
//! Errors are printed, so they name columns and arguments, never values.

use std::collections::BTreeMap;

use jiff::Timestamp;
use runtime::span::Span;
use schemas::unique;
use serde::Deserialize;
use slacktide_client::{Ask, Scalar};

use super::records::Record;

/// Defaults for all lines.
#[derive(Debug, Clone, Default)]
pub(super) struct Defaults {
    /// The requesting person.
    pub(super) actor: String,
    /// The default purpose code.
    pub(super) purpose: Option<String>,
    /// The default legal basis code.
    pub(super) basis: Option<String>,
    /// The default deadline.
    pub(super) deadline: Option<String>,
}

/// A parsed line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    /// The filer's key.
    pub(super) key: Option<String>,
    /// The kind.
    pub(super) kind: Option<String>,
    /// The arguments.
    #[serde(default)]
    pub(super) arguments: BTreeMap<String, serde_json::Value>,
    /// The purpose code.
    pub(super) purpose: Option<String>,
    /// The legal basis code.
    pub(super) basis: Option<String>,
    /// The deadline.
    pub(super) deadline: Option<String>,
}

/// Why a line or an argument is not a valid request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum LineError {
    /// The line is not the JSON of one request. Columns count characters from 1.
    #[error("column {column}: {what}")]
    Json {
        /// Where.
        column: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// The record does not fit the header.
    #[error("it has {columns} columns, and the header {header}")]
    Columns {
        /// The columns of the record.
        columns: usize,
        /// The columns of the header.
        header: usize,
    },
    /// A required value is missing.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A value of an argument has an unsupported type.
    #[error("argument {name:?} {what}")]
    Argument {
        /// The name of the argument.
        name: String,
        /// What is wrong, and the remedy.
        what: &'static str,
    },
    /// An argument of the command line without a value.
    #[error("--arg is written name=value")]
    ArgumentForm,
    /// An argument of the command line that is not an integer.
    #[error("--arg {0}:= takes an integer of at most 64 bits")]
    Integer(String),
    /// The deadline cannot be read.
    #[error("deadline is neither a duration such as 2d nor a time with its zone")]
    Deadline,
}

/// Reads a line of JSON.
pub(super) fn json(text: &str) -> Result<Line, LineError> {
    // Columns count characters; the library counts bytes.
    let column = |error: &serde_json::Error| {
        let bytes = error.column().saturating_sub(1);
        text.char_indices().take_while(|(at, _)| *at < bytes).count() + 1
    };
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Line>();
    let line = match values.next() {
        Some(Ok(line)) => line,
        Some(Err(error)) => {
            // The parser detects duplicate keys only among the known keys.
            return match unique::check_unique_keys(text.as_bytes()) {
                Err(duplicate) if error.is_data() && duplicate.is_data() => {
                    Err(duplicate_key(column(&duplicate)))
                }
                _ => Err(LineError::Json {
                    column: column(&error),
                    what: json_problem(&error),
                }),
            };
        }
        None => {
            return Err(LineError::Json {
                column: 1,
                what: "no JSON object",
            });
        }
    };
    let rest = text.get(values.byte_offset()..).unwrap_or_default();
    if let Some((at, _)) = rest.char_indices().find(|(_, c)| !c.is_ascii_whitespace()) {
        let before = text.get(..values.byte_offset() + at).unwrap_or_default();
        return Err(LineError::Json {
            column: before.chars().count() + 1,
            what: "something follows the object: write one object on each line",
        });
    }
    unique::check_unique_keys(text.as_bytes()).map_err(|error| duplicate_key(column(&error)))?;
    Ok(line)
}

fn duplicate_key(column: usize) -> LineError {
    LineError::Json {
        column,
        what: "an object holds a key twice: write each once",
    }
}

/// Describes a JSON error. The library's own message may contain values.
fn json_problem(error: &serde_json::Error) -> &'static str {
    match error.classify() {
        serde_json::error::Category::Eof => "the object does not end on its line",
        serde_json::error::Category::Syntax => "this is not JSON",
        _ => "no JSON object with key, kind, arguments, purpose, basis, deadline",
    }
}

/// Reads a CSV record: every column without another meaning is an argument. An empty cell is left out, `""` is an empty
/// text, and every other text is kept unchanged.
pub(super) fn csv(header: &Record<'_>, record: &Record<'_>) -> Result<Line, LineError> {
    if header.cells.len() != record.cells.len() {
        return Err(LineError::Columns {
            columns: record.cells.len(),
            header: header.cells.len(),
        });
    }
    let mut line = Line::default();
    for (column, cell) in header.cells.iter().zip(&record.cells) {
        if cell.text.is_empty() && !cell.is_quoted {
            continue;
        }
        let text = cell.text.clone();
        match column.text.as_str() {
            "key" => line.key = Some(text),
            "kind" => line.kind = Some(text),
            "purpose" => line.purpose = Some(text),
            "basis" => line.basis = Some(text),
            "deadline" => line.deadline = Some(text),
            name => {
                line.arguments
                    .insert(name.to_owned(), serde_json::Value::String(text));
            }
        }
    }
    Ok(line)
}

/// Parses `name=value` as a text, `name:=value` as an integer. The bureau accepts the text `7` as an integer, too.
pub(super) fn argument(text: &str) -> Result<(String, serde_json::Value), LineError> {
    let (name, value) = text.split_once('=').ok_or(LineError::ArgumentForm)?;
    if let Some(name) = name.strip_suffix(':') {
        let number = value.trim().parse::<i64>();
        let number = number.map_err(|_| LineError::Integer(name.to_owned()))?;
        return Ok((name.trim().to_owned(), number.into()));
    }
    Ok((
        name.trim().to_owned(),
        serde_json::Value::String(value.to_owned()),
    ))
}

impl Line {
    /// Converts the line to a request.
    ///
    /// # Errors
    /// The column that is missing or invalid.
    pub(super) fn ask(self, defaults: &Defaults, now: Timestamp) -> Result<Ask, LineError> {
        let key = self.key.ok_or(LineError::Missing("key"))?;
        let kind = self.kind.ok_or(LineError::Missing("kind"))?;
        let purpose = self
            .purpose
            .or_else(|| defaults.purpose.clone())
            .ok_or(LineError::Missing("purpose"))?;
        let basis = self
            .basis
            .or_else(|| defaults.basis.clone())
            .ok_or(LineError::Missing("basis"))?;
        let mut arguments = BTreeMap::new();
        for (name, value) in self.arguments {
            let value = match value {
                serde_json::Value::String(text) => Scalar::Text(text),
                serde_json::Value::Bool(flag) => Scalar::Text(flag.to_string()),
                serde_json::Value::Number(number) => match number.as_i64() {
                    Some(number) => Scalar::Int(number),
                    None => {
                        return Err(LineError::Argument {
                            name,
                            what: "is not an integer: write it as a text",
                        });
                    }
                },
                _ => {
                    return Err(LineError::Argument {
                        name,
                        what: "is null, a list or an object: leave it out",
                    });
                }
            };
            arguments.insert(name, value);
        }
        let mut ask = Ask::new(kind, purpose, basis, key, &defaults.actor).with(arguments);
        if let Some(text) = self.deadline.or_else(|| defaults.deadline.clone()) {
            ask = ask.until(deadline(&text, now)?);
        }
        Ok(ask)
    }
}

/// Parses a duration from now, or a time with its zone.
fn deadline(text: &str, now: Timestamp) -> Result<Timestamp, LineError> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let span: Option<Span> = text.parse().ok();
    let later = span.and_then(|span| now.checked_add(span.get()).ok());
    // Whole seconds: a file that is filed again within one second gives the same request.
    later
        .and_then(|at| Timestamp::from_second(at.as_second()).ok())
        .ok_or(LineError::Deadline)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::records;
    use super::*;

    fn defaults() -> Defaults {
        Defaults {
            actor: "clerk".to_owned(),
            purpose: Some("01".to_owned()),
            ..Defaults::default()
        }
    }

    #[test]
    fn line_in_json_and_csv_gives_the_same_request() {
        let now = Timestamp::UNIX_EPOCH;
        let one =
            json(r#"{"key":"k","kind":"a.b","arguments":{"psn_no":"p1"},"basis":"02","deadline":"2d"}"#);
        let table = "key,kind,psn_no,to,basis,deadline\nk,a.b,p1,,02,1970-01-03T00:00:00Z\nk,a.b, p1,,02,1970-01-03T00:00:00Z\n";
        let table = records::parse(table).unwrap();
        let other = |at: usize| {
            csv(&table.header, &table.records[at])
                .unwrap()
                .ask(&defaults(), now)
        };
        let one = one.unwrap().ask(&defaults(), now);
        assert_eq!(one, other(0));
        assert!(one.is_ok());
        // A blank is part of the value.
        assert_ne!(one, other(1));
    }

    #[test]
    fn line_error_names_the_column_without_its_value() {
        let now = Timestamp::UNIX_EPOCH;
        for (text, expected) in [
            (r#"{"kind":"a","basis":"1"}"#, "key is missing"),
            (r#"{"key":"k","kind":"a"}"#, "basis is missing"),
            (
                r#"{"key":"k","kind":"a","basis":"1","deadline":"soon"}"#,
                "deadline",
            ),
            (
                r#"{"key":"k","kind":"a","basis":"1","arguments":{"n":[4711]}}"#,
                "argument \"n\"",
            ),
            (
                r#"{"key":"k","kind":"a","basis":"1","arguments":{"n":1.5}}"#,
                "argument \"n\"",
            ),
        ] {
            let error = json(text).unwrap().ask(&defaults(), now).unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains("4711"), "{error}");
        }
        for (text, expected) in [
            (r#"{"key":"k"} {"key":"l"}"#, "column 13: something follows"),
            (r#"{"key":"张"},"#, "column 12: something follows"),
            (r#"{"key":"k",}"#, "column 12: this is not JSON"),
            (r#"{"key":"k","kind":"a.b"#, "does not end"),
            (r#"{"key":"k","arguments":{"a":"1","a":"2"}}"#, "a key twice"),
            (r#"{"key":"k","arguments":{"a":"1","\u0061":"2"}}"#, "a key twice"),
            (r#"{"key":"k","key":"l"}"#, "a key twice"),
            (r#"{"key":"k","arguments":{"a":[{"b":1,"b":2}]}}"#, "a key twice"),
            ("[]", "no JSON object"),
            ("\u{feff}{}", "column 1: this is not JSON"),
        ] {
            let error = json(text).unwrap_err().to_string();
            assert!(
                error.starts_with("column ") && error.contains(expected),
                "{text}: {error}"
            );
        }
        let error = json(r#"{"key":"k","person":"p4711"}"#).unwrap_err().to_string();
        assert!(!error.contains("4711"), "{error}");
        assert!(argument("psn_no").is_err() && argument("a=b=c").is_ok());
        assert_eq!(argument("n:=7"), Ok(("n".to_owned(), serde_json::json!(7))));
        assert_eq!(argument("n=7"), Ok(("n".to_owned(), serde_json::json!("7"))));
        let error = argument("n:=p4711").unwrap_err().to_string();
        assert!(error.contains("integer") && !error.contains("4711"), "{error}");
    }

    proptest! {
        /// Any line is accepted or refused without a panic.
        #[test]
        fn line_of_any_text_is_accepted_or_refused(text in "\\PC{0,200}") {
            if let Ok(line) = json(&text) {
                let _ = line.ask(&defaults(), Timestamp::UNIX_EPOCH);
            }
            let _ = argument(&text);
        }
    }
}
