//! PURE: masks, which hide a column's value from a recipient completely or in part.
//!
//! A mask fails closed: a value that it cannot handle (bytes, a date of another format, a text too short to hide anything) becomes
//! null. It applies before rows are encoded, so that nothing that is signed, stored or logged contains the hidden part. A
//! [`Plan`](plan::Plan) masks whole rows.

pub mod key;
pub mod plan;
mod year;

use schemas::column::{Column, ColumnType};
use schemas::value::Value;
use serde::{Deserialize, Serialize};

use key::TokenKey;

/// The mask of a column, in the configuration: `"drop"`, `"token"`, `"year"`, `{ keep = { first = 6, last = 4 } }`,
/// `{ prefix = 3 }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mask {
    /// The column is not sent.
    Drop,
    /// Some characters stay. One `*` replaces the rest, which hides its length.
    Keep(Keep),
    /// A token that is the same for equal values, for one recipient, so that joins still work. Two recipients have different tokens.
    Token,
    /// The year of a date or time, as an integer.
    Year,
    /// The first characters of a code, for example 3 of `E11.901`.
    Prefix(u16),
}

/// The visible part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keep {
    /// Characters at the beginning.
    #[serde(default)]
    pub first: u16,
    /// Characters at the end.
    #[serde(default)]
    pub last: u16,
}

/// Replaces all hidden characters.
const REPLACEMENT: &str = "*";

/// A masked value.
#[derive(Clone, PartialEq, Eq)]
pub enum MaskedValue {
    /// Nothing.
    Null,
    /// An integer.
    Int(i64),
    /// A text.
    Text(String),
}

impl MaskedValue {
    /// Returns it as a value of a row.
    #[must_use]
    pub fn value(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Int(number) => Value::Int(*number),
            Self::Text(text) => Value::Text(text),
        }
    }
}

/// Omits the value, because half of a number is still personal data.
impl std::fmt::Debug for MaskedValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Null => "Null",
            Self::Int(_) => "Int(..)",
            Self::Text(_) => "Text(..)",
        })
    }
}

/// A mask that keeps nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a mask that keeps no character is written \"drop\"; keep takes first, last or both, and prefix at least 1"
)]
pub struct EmptyMask;

impl Mask {
    /// Checks that the mask keeps something.
    ///
    /// # Errors
    /// [`EmptyMask`].
    pub fn check(self) -> Result<(), EmptyMask> {
        match self {
            Self::Keep(Keep { first: 0, last: 0 }) | Self::Prefix(0) => Err(EmptyMask),
            _ => Ok(()),
        }
    }

    /// Returns its name for messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Keep(_) => "keep",
            Self::Token => "token",
            Self::Year => "year",
            Self::Prefix(_) => "prefix",
        }
    }

    /// Masks one value with the recipient's key. Null stays null.
    #[must_use]
    pub fn apply(self, value: Value<'_>, key: &TokenKey) -> MaskedValue {
        if let Self::Token = self {
            return key.token(value).map_or(MaskedValue::Null, MaskedValue::Text);
        }
        let Some(text) = text_of(value) else {
            return MaskedValue::Null;
        };
        match self {
            Self::Drop | Self::Token => MaskedValue::Null,
            Self::Keep(kept) => keep(&text, kept),
            Self::Year => year::parse_year(&text).map_or(MaskedValue::Null, MaskedValue::Int),
            Self::Prefix(most) => MaskedValue::Text(text.chars().take(usize::from(most)).collect()),
        }
    }

    /// Returns the masked column.
    #[must_use]
    pub fn column(self, column: &Column) -> Column {
        let (kind, nullable) = match self {
            Self::Drop => (column.kind.clone(), true),
            Self::Keep(_) | Self::Prefix(_) => (ColumnType::Text { max: None }, true),
            Self::Token => (ColumnType::Text { max: None }, column.nullable),
            Self::Year => (ColumnType::Int4, true),
        };
        Column {
            name: column.name.clone(),
            kind,
            nullable,
        }
    }
}

/// Returns the text that a mask works on, or `None` for null and bytes.
fn text_of(value: Value<'_>) -> Option<String> {
    match value {
        Value::Null | Value::Bytes(_) => None,
        // Fixed-width columns are padded, and blanks would count as the last characters.
        Value::Text(text) => Some(text.trim().to_owned()),
        Value::Int(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
    }
}

fn keep(text: &str, kept: Keep) -> MaskedValue {
    let (first, last) = (usize::from(kept.first), usize::from(kept.last));
    let length = text.chars().count();
    if text.is_empty() {
        return MaskedValue::Text(String::new());
    }
    let mut shown = String::new();
    if length > first + last {
        shown.extend(text.chars().take(first));
        shown.push_str(REPLACEMENT);
        shown.extend(text.chars().skip(length - last));
    } else {
        // Nothing would be hidden, or the two ends would overlap.
        shown.push_str(REPLACEMENT);
    }
    // A text that itself ends in the sign would be shown whole.
    if shown.contains(text) {
        MaskedValue::Null
    } else {
        MaskedValue::Text(shown)
    }
}

#[cfg(test)]
mod tests;
