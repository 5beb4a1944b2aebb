//! PURE: a line of a file of requests, as JSON or as CSV.
//!
//! Errors name columns and arguments, never values: they are printed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use runtime::span::Span;
use schemas::unique;
use serde::Deserialize;
use slacktide_client::{Ask, Scalar};

use super::records::Record;

/// What all lines share.
#[derive(Debug, Clone, Default)]
pub(super) struct Defaults {
    /// Who asks.
    pub(super) actor: String,
    /// The purpose code, where a line has none.
    pub(super) purpose: Option<String>,
    /// The legal basis code, where a line has none.
    pub(super) basis: Option<String>,
    /// Until when an answer is wanted, where a line does not say.
    pub(super) deadline: Option<String>,
}

/// A line as it is written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    /// The filer's own name for it.
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
    /// Until when an answer is wanted.
    pub(super) deadline: Option<String>,
}

/// Reads a line of JSON.
pub(super) fn json(text: &str) -> Result<Line, String> {
    // Columns are characters, and the library counts bytes.
    let column = |error: &serde_json::Error| {
        let bytes = error.column().saturating_sub(1);
        text.char_indices().take_while(|(at, _)| *at < bytes).count() + 1
    };
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Line>();
    let line = match values.next() {
        Some(Ok(line)) => line,
        Some(Err(error)) => {
            // A key that stands twice is found by the reader only where it knows the key.
            return match unique::check(text.as_bytes()) {
                Err(twice) if error.is_data() && twice.is_data() => Err(key_twice(column(&twice))),
                _ => Err(format!("column {}: {}", column(&error), not_read(&error))),
            };
        }
        None => return Err("column 1: no JSON object".to_owned()),
    };
    let behind = text.get(values.byte_offset()..).unwrap_or_default();
    if let Some((at, _)) = behind.char_indices().find(|(_, c)| !c.is_ascii_whitespace()) {
        let before = text.get(..values.byte_offset() + at).unwrap_or_default();
        return Err(format!(
            "column {}: something follows the object: write one object on each line",
            before.chars().count() + 1
        ));
    }
    unique::check(text.as_bytes()).map_err(|error| key_twice(column(&error)))?;
    Ok(line)
}

fn key_twice(column: usize) -> String {
    format!("column {column}: an object holds a key twice: write each once")
}

/// What is wrong with a line. The library's own message may hold what stands there.
fn not_read(error: &serde_json::Error) -> &'static str {
    match error.classify() {
        serde_json::error::Category::Eof => "the object does not end on its line",
        serde_json::error::Category::Syntax => "this is no JSON",
        _ => "no JSON object with key, kind, arguments, purpose, basis, deadline",
    }
}

/// Reads a record of CSV: every column that has no other meaning is an argument. A cell with nothing in it is left out, `""`
/// is an empty text, and every other text is kept as it is written.
pub(super) fn csv(header: &Record<'_>, record: &Record<'_>) -> Result<Line, String> {
    if header.cells.len() != record.cells.len() {
        return Err(format!(
            "it has {} columns, and the header {}",
            record.cells.len(),
            header.cells.len()
        ));
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

/// `name=value` of the command line: a text. `name:=value` is an integer; the bureau takes `7` as a text for one, too.
pub(super) fn argument(text: &str) -> Result<(String, serde_json::Value), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| "--arg is written name=value".to_owned())?;
    if let Some(name) = name.strip_suffix(':') {
        let number = value.trim().parse::<i64>();
        let number = number.map_err(|_| format!("--arg {name}:= takes an integer of at most 64 bits"))?;
        return Ok((name.trim().to_owned(), number.into()));
    }
    Ok((
        name.trim().to_owned(),
        serde_json::Value::String(value.to_owned()),
    ))
}

impl Line {
    /// What it asks for.
    ///
    /// # Errors
    /// Which of its columns lacks what.
    pub(super) fn ask(self, defaults: &Defaults, now: Timestamp) -> Result<Ask, String> {
        let missing = |what: &str| format!("{what} is missing");
        let key = self.key.ok_or_else(|| missing("key"))?;
        let kind = self.kind.ok_or_else(|| missing("kind"))?;
        let purpose = self
            .purpose
            .or_else(|| defaults.purpose.clone())
            .ok_or_else(|| missing("purpose"))?;
        let basis = self
            .basis
            .or_else(|| defaults.basis.clone())
            .ok_or_else(|| missing("basis"))?;
        let mut arguments = BTreeMap::new();
        for (name, value) in self.arguments {
            let value = match value {
                serde_json::Value::String(text) => Scalar::Text(text),
                serde_json::Value::Bool(flag) => Scalar::Text(flag.to_string()),
                serde_json::Value::Number(number) => match number.as_i64() {
                    Some(number) => Scalar::Int(number),
                    None => return Err(format!("argument {name:?} is no integer: write it as a text")),
                },
                _ => {
                    return Err(format!(
                        "argument {name:?} is null, a list or an object: leave it out"
                    ));
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

/// A length of time from now on, or a time with its zone.
fn deadline(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let span: Option<Span> = text.parse().ok();
    let later = span.and_then(|span| now.checked_add(span.get()).ok());
    // Whole seconds: a file that is filed again within one asks for the same.
    later
        .and_then(|at| Timestamp::from_second(at.as_second()).ok())
        .ok_or_else(|| "deadline is no length of time such as 2d and no time with its zone".to_owned())
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
    fn both_forms_ask_for_the_same() {
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
        // A blank belongs to the value.
        assert_ne!(one, other(1));
    }

    #[test]
    fn what_is_missing_or_odd_is_named_without_what_stands_there() {
        let now = Timestamp::UNIX_EPOCH;
        for (text, told) in [
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
            let error = json(text).unwrap().ask(&defaults(), now).unwrap_err();
            assert!(error.contains(told) && !error.contains("4711"), "{error}");
        }
        for (text, told) in [
            (r#"{"key":"k"} {"key":"l"}"#, "column 13: something follows"),
            (r#"{"key":"张"},"#, "column 12: something follows"),
            (r#"{"key":"k",}"#, "column 12: this is no JSON"),
            (r#"{"key":"k","kind":"a.b"#, "does not end"),
            (r#"{"key":"k","arguments":{"a":"1","a":"2"}}"#, "a key twice"),
            (r#"{"key":"k","arguments":{"a":"1","\u0061":"2"}}"#, "a key twice"),
            (r#"{"key":"k","key":"l"}"#, "a key twice"),
            (r#"{"key":"k","arguments":{"a":[{"b":1,"b":2}]}}"#, "a key twice"),
            ("[]", "no JSON object"),
            ("\u{feff}{}", "column 1: this is no JSON"),
        ] {
            let error = json(text).unwrap_err();
            assert!(
                error.starts_with("column ") && error.contains(told),
                "{text}: {error}"
            );
        }
        let error = json(r#"{"key":"k","person":"p4711"}"#).unwrap_err();
        assert!(!error.contains("4711"), "{error}");
        assert!(argument("psn_no").is_err() && argument("a=b=c").is_ok());
        assert_eq!(argument("n:=7"), Ok(("n".to_owned(), serde_json::json!(7))));
        assert_eq!(argument("n=7"), Ok(("n".to_owned(), serde_json::json!("7"))));
        let error = argument("n:=p4711").unwrap_err();
        assert!(error.contains("integer") && !error.contains("4711"), "{error}");
    }

    proptest! {
        /// Whatever stands in a line, there is one answer, and no panic.
        #[test]
        fn any_line_is_asked_or_refused(text in "\\PC{0,200}") {
            if let Ok(line) = json(&text) {
                let _ = line.ask(&defaults(), Timestamp::UNIX_EPOCH);
            }
            let _ = argument(&text);
        }
    }
}
