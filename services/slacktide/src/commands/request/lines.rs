//! PURE: a line of a file of requests, as JSON or as CSV.
//!
//! Errors name columns and arguments, never values: they are printed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use runtime::span::Span;
use schemas::unique;
use serde::Deserialize;
use slacktide_client::{Ask, Scalar};

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
#[derive(Debug, Clone, Default, Deserialize)]
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

/// Columns of a CSV file that are no arguments.
const OWN: [&str; 5] = ["key", "kind", "purpose", "basis", "deadline"];

/// Reads a line of JSON.
pub(super) fn json(text: &str) -> Result<Line, String> {
    let line = serde_json::from_str(text).map_err(|error| {
        // The library's own message may hold what stands there.
        format!(
            "column {}: no JSON object with key, kind, arguments, purpose, basis, deadline",
            error.column()
        )
    })?;
    unique::check(text.as_bytes()).map_err(|error| {
        format!(
            "column {}: an object holds a key twice: write each once",
            error.column()
        )
    })?;
    Ok(line)
}

/// Reads a record of CSV: every column that has no other meaning is an argument; an empty field is none.
pub(super) fn csv(header: &csv::StringRecord, record: &csv::StringRecord) -> Line {
    let filled = |name: &str| {
        let place = header.iter().position(|column| column.trim() == name)?;
        let text = record.get(place)?.trim();
        (!text.is_empty()).then(|| text.to_owned())
    };
    let arguments = header
        .iter()
        .map(str::trim)
        .filter(|name| !OWN.contains(name))
        .filter_map(|name| {
            let value = filled(name)?;
            Some((name.to_owned(), serde_json::Value::String(value)))
        });
    Line {
        key: filled("key"),
        kind: filled("kind"),
        arguments: arguments.collect(),
        purpose: filled("purpose"),
        basis: filled("basis"),
        deadline: filled("deadline"),
    }
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
        let header = csv::StringRecord::from(vec!["key", "kind", "psn_no", "to", "basis", "deadline"]);
        let record = csv::StringRecord::from(vec!["k", "a.b", "p1", "", "02", "1970-01-03T00:00:00Z"]);
        let one = one.unwrap().ask(&defaults(), now);
        assert_eq!(one, csv(&header, &record).ask(&defaults(), now));
        assert!(one.is_ok());
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
