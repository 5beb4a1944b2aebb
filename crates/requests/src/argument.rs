//! Arguments of a kind: named and typed in the configuration, bound by position, never part of the SQL text.
//!
//! A recipient sends texts and integers by name. The source receives one value of the declared type for each of `$1..$n`.

mod bind;
mod format;
mod stored;

use jiff::Timestamp;
use jiff::civil::Date;
use schemas::cursor::Scalar;
use schemas::value::Value;
use serde::{Deserialize, Serialize};

pub use bind::{ArgumentError, bind};
pub use stored::{FormatError, StoredAs, StoredFormat, time_zone};

/// One argument. The first in the list is `$1`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Argument {
    /// Its name in requests: `a-z`, `0-9`, `_`, a letter first, at most 64.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: ArgumentType,
    /// Whether it may be omitted. The SQL then gets null.
    #[serde(default, skip_serializing_if = "is_false")]
    pub optional: bool,
    /// The greatest number of characters of a text. Default: 200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
    /// The only values that it accepts, if set, in the format of its type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub one_of: Vec<String>,
    /// Whether it names a person, to whom the block list and holds apply.
    #[serde(default, skip_serializing_if = "is_false")]
    pub person: bool,
    /// Whether it is one end of the requested period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<End>,
    /// The format of dates or times in the column that it is compared with, if that is a text or an integer: `%Y-%m-%d %H:%M:%S`,
    /// `%Y%m%d`, `unix_seconds`, ….
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

/// The default limit of a text's characters.
pub const MAX_TEXT_CHARS: u32 = 200;

/// The type of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArgumentType {
    /// Unicode text without NUL.
    Text,
    /// A signed integer of 64 bits.
    Integer,
    /// An exact decimal, `-?digits[.digits]`, at most 38 digits.
    Decimal,
    /// `yyyy-mm-dd`.
    Date,
    /// RFC 3339 with a zone, `yyyy-mm-ddThh:mm:ss[.fraction]Z` or with an offset.
    Timestamp,
    /// `true` or `false`.
    Boolean,
}

impl ArgumentType {
    /// Describes the format, for messages.
    #[must_use]
    pub fn format(self) -> &'static str {
        match self {
            Self::Text => "a text; write a number that is a text in quotes",
            Self::Integer => "an integer of at most 64 bits",
            Self::Decimal => "an exact decimal of at most 38 digits, such as 12.30",
            Self::Date => "a date, yyyy-mm-dd",
            Self::Timestamp => "a time with its zone, such as 2026-01-31T08:00:00Z",
            Self::Boolean => "true or false",
        }
    }
}

/// One end of a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Its first day or instant.
    Begin,
    /// Its last day, or the instant at which it ends.
    End,
}

/// A value of an argument, of the declared type.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Bound {
    /// Omitted.
    Null,
    /// A text, unchanged.
    Text(String),
    /// An integer.
    Integer(i64),
    /// A decimal in its text format.
    Decimal(String),
    /// A date.
    Date(Date),
    /// An instant.
    Timestamp(Timestamp),
    /// true, false.
    Boolean(bool),
}

impl Bound {
    /// Returns the value for the source: an integer, or the text format of any other type. `None` is null.
    #[must_use]
    pub fn scalar(&self) -> Option<Scalar> {
        Some(match self {
            Self::Null => return None,
            Self::Integer(number) => Scalar::Int(*number),
            Self::Text(text) | Self::Decimal(text) => Scalar::Text(text.clone()),
            Self::Date(day) => Scalar::Text(day.to_string()),
            Self::Timestamp(at) => Scalar::Text(at.to_string()),
            Self::Boolean(value) => Scalar::Text(value.to_string()),
        })
    }

    /// Returns the value that names a person, or null if it names none.
    #[must_use]
    pub fn person(&self) -> Value<'_> {
        match self {
            Self::Text(text) => Value::Text(text),
            Self::Integer(number) => Value::Int(*number),
            _ => Value::Null,
        }
    }
}

/// Omits the value, because arguments name persons.
impl std::fmt::Debug for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Null => "Null",
            Self::Text(_) => "Text(..)",
            Self::Integer(_) => "Integer(..)",
            Self::Decimal(_) => "Decimal(..)",
            Self::Date(_) => "Date(..)",
            Self::Timestamp(_) => "Timestamp(..)",
            Self::Boolean(_) => "Boolean(..)",
        })
    }
}
