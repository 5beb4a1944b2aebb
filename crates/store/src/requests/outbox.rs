//! PURE: reads a row of the outbox, or explains why it is invalid.
//!
//! Reasons name columns and arguments, never values, because many users may read the table.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemas::cursor::Scalar;
use schemas::request::MAX_IDEMPOTENCY_KEY_BYTES;
use schemas::visible::InvisibleCharacter;
use schemas::{unique, visible};
use serde_json::Value;

/// The outbox's columns with their comments. The program fills the first six.
pub const COLUMNS: &[(&str, &str)] = &[
    (
        "idempotency",
        "the program's own name for the request, 1 to 200 bytes; a name is used for one request only",
    ),
    ("kind", "the kind of request, for example setl.by_person"),
    (
        "arguments",
        "a JSON object: arguments by name, each an integer, a text, true or false",
    ),
    ("purpose", "the purpose code"),
    ("basis", "the legal basis code"),
    (
        "deadline",
        "until when an answer is wanted, with its zone: 2026-01-31T18:00:00Z; may be NULL",
    ),
    (
        "filed_by",
        "who asks, for the audit; the program's name where it is NULL",
    ),
    ("number", "the order of the rows, given by the database"),
    ("written_at", "when the row was written, given by the database"),
    (
        "state",
        "set by slacktide: NULL not read yet, taken, or refused (see reason)",
    ),
    ("request", "set by slacktide: the id of the request"),
    ("reason", "set by slacktide: why the row makes no request"),
];

/// The maximum length of a kind, a code or a name, in bytes.
const MAX_WORD: usize = 200;
/// The maximum length of all arguments, in bytes.
const MAX_ARGUMENTS: usize = 64 << 10;

/// A row as the program wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OutboxRow {
    /// Its number in the outbox.
    pub number: u64,
    /// The filer's own name for the request.
    pub idempotency: Option<String>,
    /// The kind.
    pub kind: Option<String>,
    /// A JSON object.
    pub arguments: Option<String>,
    /// Purpose code.
    pub purpose: Option<String>,
    /// Legal basis code.
    pub basis: Option<String>,
    /// A time with its zone.
    pub deadline: Option<String>,
    /// The filer.
    pub filed_by: Option<String>,
}

/// The content of a row: a request without id, time and signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestDraft {
    /// The filer's own name for the request.
    pub idempotency: String,
    /// The kind.
    pub kind: String,
    /// Arguments by name.
    pub arguments: BTreeMap<String, Scalar>,
    /// Purpose code.
    pub purpose: String,
    /// Legal basis code.
    pub basis: String,
    /// Until when an answer is useful.
    pub deadline: Option<Timestamp>,
    /// The filer; `None` if the row names none.
    pub filed_by: Option<String>,
}

/// The form of the column `arguments`.
const ARGUMENTS_FORM: &str = "write {\"name\": value, …}, each value an integer, a text, true or false";

/// Why a row makes no request: the column, and what to write there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutboxError {
    /// It has no usable key.
    #[error("column idempotency holds no key of 1 to {max} bytes: write one", max = MAX_IDEMPOTENCY_KEY_BYTES)]
    NoKey,
    /// The deadline cannot be read.
    #[error("column deadline holds no time with its zone: write it as 2026-01-31T18:00:00Z")]
    Deadline,
    /// A column that is needed is empty.
    #[error("column {column} is empty: fill it")]
    Empty {
        /// The column.
        column: &'static str,
    },
    /// A column is too long.
    #[error("column {column} holds more than {max} bytes")]
    TooLong {
        /// The column.
        column: &'static str,
        /// The maximum length, in bytes.
        max: usize,
    },
    /// A column has an invisible character.
    #[error("column {0}")]
    Invisible(InvisibleCharacter),
    /// The arguments are not an object.
    #[error("column arguments holds no JSON object: {form}", form = ARGUMENTS_FORM)]
    NotAnObject,
    /// An argument is given twice.
    #[error("column arguments holds an argument twice: write each once")]
    ArgumentTwice,
    /// A program without argument names may have written a value there, so the name is not shown.
    #[error("column arguments has a name that is not 1 to 64 of a-z, 0-9 and _: see the kind's arguments")]
    ArgumentName,
    /// An argument is a number that is not exact.
    #[error("argument {name:?} is a number that is not a 64-bit integer: write it as a text")]
    ArgumentNumber {
        /// The argument.
        name: String,
    },
    /// An argument has no usable value.
    #[error("argument {name:?} is null, a list or an object: leave it out, or {form}", form = ARGUMENTS_FORM)]
    ArgumentValue {
        /// The argument.
        name: String,
    },
}

impl OutboxRow {
    /// Reads the row.
    ///
    /// # Errors
    /// Why it is invalid.
    pub fn parse(&self) -> Result<RequestDraft, OutboxError> {
        let idempotency = self.idempotency.clone().unwrap_or_default();
        if !(1..=MAX_IDEMPOTENCY_KEY_BYTES).contains(&idempotency.len()) {
            return Err(OutboxError::NoKey);
        }
        let deadline = match self.deadline.as_deref().map(str::trim) {
            None | Some("") => None,
            Some(text) => Some(text.parse::<Timestamp>().map_err(|_| OutboxError::Deadline)?),
        };
        let filed_by = match &self.filed_by {
            None => None,
            named => Some(word("filed_by", named.as_deref())?),
        };
        Ok(RequestDraft {
            idempotency,
            kind: word("kind", self.kind.as_deref())?,
            arguments: arguments(self.arguments.as_deref())?,
            purpose: word("purpose", self.purpose.as_deref())?,
            basis: word("basis", self.basis.as_deref())?,
            deadline,
            filed_by,
        })
    }
}

fn word(column: &'static str, text: Option<&str>) -> Result<String, OutboxError> {
    match text.map(str::trim) {
        None | Some("") => Err(OutboxError::Empty { column }),
        Some(text) if text.len() > MAX_WORD => Err(OutboxError::TooLong {
            column,
            max: MAX_WORD,
        }),
        Some(text) => {
            visible::check_visible(column, text).map_err(OutboxError::Invisible)?;
            Ok(text.to_owned())
        }
    }
}

fn arguments(text: Option<&str>) -> Result<BTreeMap<String, Scalar>, OutboxError> {
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else {
        return Ok(BTreeMap::new());
    };
    if text.len() > MAX_ARGUMENTS {
        return Err(OutboxError::TooLong {
            column: "arguments",
            max: MAX_ARGUMENTS,
        });
    }
    let Ok(Value::Object(object)) = serde_json::from_str(text) else {
        return Err(OutboxError::NotAnObject);
    };
    if unique::check_unique_keys(text.as_bytes()).is_err() {
        return Err(OutboxError::ArgumentTwice);
    }
    let mut all = BTreeMap::new();
    for (name, value) in object {
        let named = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if !(1..=64).contains(&name.len()) || !name.bytes().all(named) {
            return Err(OutboxError::ArgumentName);
        }
        let value = match value {
            Value::String(text) => Scalar::Text(text),
            Value::Bool(flag) => Scalar::Text(flag.to_string()),
            Value::Number(number) => match number.as_i64() {
                Some(number) => Scalar::Int(number),
                None => return Err(OutboxError::ArgumentNumber { name }),
            },
            Value::Null | Value::Array(_) | Value::Object(_) => {
                return Err(OutboxError::ArgumentValue { name });
            }
        };
        all.insert(name, value);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> OutboxRow {
        let text = |text: &str| Some(text.to_owned());
        OutboxRow {
            number: 1,
            idempotency: text("claim 7"),
            kind: text("setl.by_person"),
            arguments: text(r#"{"psn_no": "3101", "most": 5, "all": true}"#),
            purpose: text("01"),
            basis: text(" 02 "),
            deadline: text("2026-01-31T18:00:00+08:00"),
            filed_by: None,
        }
    }

    #[test]
    fn outbox_row_is_read_with_its_types() {
        let draft = row().parse().unwrap();
        let text = |text: &str| Scalar::Text(text.to_owned());
        let arguments = BTreeMap::from([
            ("psn_no".to_owned(), text("3101")),
            ("most".to_owned(), Scalar::Int(5)),
            ("all".to_owned(), text("true")),
        ]);
        assert_eq!(draft.arguments, arguments);
        assert_eq!((draft.basis.as_str(), draft.filed_by), ("02", None));
        assert_eq!(
            draft.deadline.map(|at| at.to_string()).as_deref(),
            Some("2026-01-31T10:00:00Z")
        );
    }

    /// The reason of an invalid row names its column and no value.
    #[test]
    fn outbox_invalid_row_reason_names_column_without_value() {
        let secret = "31010004711";
        let set = |change: fn(&mut OutboxRow, String), value: &str| {
            let mut row = row();
            change(&mut row, value.to_owned());
            row.parse().unwrap_err().to_string()
        };
        let cases = [
            ("idempotency", set(|row, _| row.idempotency = None, "")),
            (
                "idempotency",
                set(|row, key| row.idempotency = Some(key), &secret.repeat(20)),
            ),
            ("kind", set(|row, _| row.kind = None, "")),
            ("kind", set(|row, kind| row.kind = Some(kind), "31010004711\n.")),
            ("purpose", set(|row, _| row.purpose = Some(" ".into()), "")),
            (
                "basis",
                set(|row, basis| row.basis = Some(basis), &secret.repeat(20)),
            ),
            ("deadline", set(|row, at| row.deadline = Some(at), "31010004711")),
            (
                "deadline",
                set(|row, at| row.deadline = Some(at), "2026-01-31 10:00"),
            ),
            ("filed_by", set(|row, by| row.filed_by = Some(by), "")),
            (
                "arguments",
                set(|row, json| row.arguments = Some(json), "{\"31010004711"),
            ),
            (
                "arguments",
                set(|row, json| row.arguments = Some(json), "{\"31010004711-\":1}"),
            ),
            (
                "arguments",
                set(|row, json| row.arguments = Some(json), "[\"31010004711\"]"),
            ),
            (
                "\"a\"",
                set(|row, json| row.arguments = Some(json), "{\"a\":31010004711.5}"),
            ),
            (
                "\"a\"",
                set(|row, json| row.arguments = Some(json), "{\"a\":[31010004711]}"),
            ),
            (
                "twice",
                set(
                    |row, json| row.arguments = Some(json),
                    "{\"a\":\"31010004711\",\"\\u0061\":\"1\"}",
                ),
            ),
            (
                "filed_by",
                set(|row, by| row.filed_by = Some(by), "31010004711\u{202e}"),
            ),
        ];
        for (word, description) in cases {
            assert!(description.contains(word), "{word} is missing: {description}");
            assert!(!description.contains(secret), "a value is shown: {description}");
        }
    }
}
