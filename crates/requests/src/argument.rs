//! Arguments of a kind: named and typed in the configuration, bound by place, never spliced.
//!
//! A recipient sends texts and integers by name. What reaches the source is a value of the declared
//! type for each of `$1..$n`, or nothing at all: whatever a text says, it stays a value.

mod bind;
mod form;
mod stored;

use jiff::Timestamp;
use jiff::civil::Date;
use schemas::cursor::Scalar;
use schemas::value::Value;
use serde::{Deserialize, Serialize};

pub use bind::{BadArgument, bind};
pub use stored::{StoredAs, StoredForm, time_zone};

/// One argument, in the place that it has in the list: the first is `$1`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Argument {
    /// Its name for those who ask: `a-z`, `0-9`, `_`, a letter first, at most 64.
    pub name: String,
    /// What its values are.
    #[serde(rename = "type")]
    pub kind: ArgumentType,
    /// Whether it may be left out; the SQL then sees null.
    #[serde(default, skip_serializing_if = "is_false")]
    pub optional: bool,
    /// Characters of a text, at most; 200 where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
    /// The only values that it takes, where that is said: texts in the form of its type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub one_of: Vec<String>,
    /// Whether it names a person: the block list and holds of persons are asked.
    #[serde(default, skip_serializing_if = "is_false")]
    pub person: bool,
    /// Whether it is one end of the period that is asked about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<End>,
    /// How the column that it is compared with writes days or times, where that column has no type for them:
    /// `%Y-%m-%d %H:%M:%S`, `%Y%m%d`, `unix_seconds`, ….
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

/// Characters of a text where the kind does not say how many.
pub const MOST_TEXT: u32 = 200;

/// What an argument's values are.
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
    /// How a value is written, for the message to whoever wrote another.
    #[must_use]
    pub fn form(self) -> &'static str {
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
    /// Its last day, or the instant at which it is over.
    End,
}

/// A value of an argument, of the declared type.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Bound {
    /// Left out.
    Null,
    /// A text as it came.
    Text(String),
    /// An integer.
    Integer(i64),
    /// A decimal in its text form.
    Decimal(String),
    /// A date.
    Date(Date),
    /// An instant.
    Timestamp(Timestamp),
    /// true, false.
    Boolean(bool),
}

impl Bound {
    /// As the source binds it: an integer as such, all others as the text of their type's form. None is null.
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

    /// As what it names a person by; null where it names none.
    #[must_use]
    pub fn person(&self) -> Value<'_> {
        match self {
            Self::Text(text) => Value::Text(text),
            Self::Integer(number) => Value::Int(*number),
            _ => Value::Null,
        }
    }
}

/// Without the value: arguments name persons.
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
