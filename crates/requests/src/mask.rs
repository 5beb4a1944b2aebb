//! PURE: masks. What a recipient sees of a column that it may not see whole: value in, value out.
//!
//! A mask closes when in doubt: what it cannot read (bytes, a date in another form, a text too short to
//! hide anything) becomes nothing. It applies before rows are packed, so that no byte that is signed,
//! stored or logged holds what was denied. Masks of a whole row are a [`Plan`](plan::Plan).

pub mod key;
pub mod plan;
mod year;

use schemas::column::{Column, ColumnType};
use schemas::value::Value;
use serde::{Deserialize, Serialize};

use key::TokenKey;

/// How a column is masked, as configuration writes it: `"drop"`, `"token"`, `"year"`,
/// `{ keep = { first = 6, last = 4 } }`, `{ prefix = 3 }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mask {
    /// The column is not sent.
    Drop,
    /// Some characters stay; the rest is one `*`, so that the length is not told either.
    Keep(Keep),
    /// A token that is the same wherever the value stands, for one recipient: joins still work. Two
    /// recipients have different tokens.
    Token,
    /// The year of a date or time, as an integer.
    Year,
    /// The first characters of a code, for example 3 of `E11.901`.
    Prefix(u16),
}

/// What of a text stays.
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

/// Stands for all characters that are hidden.
const HIDDEN: &str = "*";

/// A masked value.
#[derive(Clone, PartialEq, Eq)]
pub enum Shown {
    /// Nothing.
    Null,
    /// An integer.
    Int(i64),
    /// A text.
    Text(String),
}

impl Shown {
    /// As a value of a row.
    #[must_use]
    pub fn value(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Int(number) => Value::Int(*number),
            Self::Text(text) => Value::Text(text),
        }
    }
}

/// Without the value: half of a number is still personal data.
impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Null => "Null",
            Self::Int(_) => "Int(..)",
            Self::Text(_) => "Text(..)",
        })
    }
}

/// A mask that masks nothing that could be meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a mask that keeps no character is written \"drop\"; keep takes first, last or both, and prefix at least 1"
)]
pub struct KeepsNothing;

impl Mask {
    /// Whether it makes sense.
    ///
    /// # Errors
    /// [`KeepsNothing`].
    pub fn check(self) -> Result<(), KeepsNothing> {
        match self {
            Self::Keep(Keep { first: 0, last: 0 }) | Self::Prefix(0) => Err(KeepsNothing),
            _ => Ok(()),
        }
    }

    /// Its name, for people.
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

    /// Masks one value for the recipient whose key this is. Null stays null.
    #[must_use]
    pub fn apply(self, value: Value<'_>, key: &TokenKey) -> Shown {
        if let Self::Token = self {
            return key.token(value).map_or(Shown::Null, Shown::Text);
        }
        let Some(text) = text_of(value) else {
            return Shown::Null;
        };
        match self {
            Self::Drop | Self::Token => Shown::Null,
            Self::Keep(kept) => keep(&text, kept),
            Self::Year => year::of(&text).map_or(Shown::Null, Shown::Int),
            Self::Prefix(most) => Shown::Text(text.chars().take(usize::from(most)).collect()),
        }
    }

    /// What the column is once it is masked.
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

/// The text that a mask works on; none where there is none to cut.
fn text_of(value: Value<'_>) -> Option<String> {
    match value {
        Value::Null | Value::Bytes(_) => None,
        // Columns of fixed width pad, and blanks would count as the last characters.
        Value::Text(text) => Some(text.trim().to_owned()),
        Value::Int(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
    }
}

fn keep(text: &str, kept: Keep) -> Shown {
    let (first, last) = (usize::from(kept.first), usize::from(kept.last));
    let length = text.chars().count();
    if text.is_empty() {
        return Shown::Text(String::new());
    }
    let mut shown = String::new();
    if length > first + last {
        shown.extend(text.chars().take(first));
        shown.push_str(HIDDEN);
        shown.extend(text.chars().skip(length - last));
    } else {
        // Nothing would be hidden, or the two ends would meet.
        shown.push_str(HIDDEN);
    }
    // A text that itself ends in the sign comes out whole.
    if shown.contains(text) {
        Shown::Null
    } else {
        Shown::Text(shown)
    }
}

#[cfg(test)]
mod tests;
