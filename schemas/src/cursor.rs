//! The position in a feed after a chunk: the values of the cursor columns of its last row.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::Value;

/// One value of a cursor. Its order is the database's, which alone knows its collations; here
/// it can only be told whether two are the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Scalar {
    /// An integer.
    Int(i64),
    /// Any other type, in its text form.
    Text(String),
}

/// What a sealed position begins with; no value of a cursor column may.
pub const SEALED: &str = "sealed.v1.";

/// A key's value of more bytes is not repeated in the note of a row that cannot be carried.
const MOST_KEY: usize = 256;

/// The values of the cursor columns, in the feed's order; or one text that only its publisher
/// can open, see [`crate::seal::position`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Cursor(pub Vec<Scalar>);

/// A value that cannot stand in a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a cursor column holds {0}, which has no order to go by; use an integer, a time or a text column that is NOT NULL"
)]
pub struct NotACursor(pub &'static str);

impl Scalar {
    /// Takes a row's value as a cursor value.
    ///
    /// # Errors
    /// [`NotACursor`] for null, floats and bytes. The value is not repeated.
    pub fn from_value(value: Value<'_>) -> Result<Self, NotACursor> {
        match value {
            Value::Int(number) => Ok(Self::Int(number)),
            Value::Text(text) if text.starts_with(SEALED) => {
                Err(NotACursor("a text that begins like a sealed position"))
            }
            Value::Text(text) => Ok(Self::Text(text.to_owned())),
            Value::Null => Err(NotACursor("null")),
            Value::Bool(_) => Err(NotACursor("a boolean")),
            Value::Float(_) => Err(NotACursor("a float")),
            Value::Bytes(_) => Err(NotACursor("bytes")),
        }
    }

    /// Takes a value of a key as a note of the row is to name it: bytes as `\x` and hex, others
    /// as their text. None for null, and for what is too long to be repeated.
    #[must_use]
    pub fn of_key(value: Value<'_>) -> Option<Self> {
        Some(match value {
            Value::Null => return None,
            Value::Int(number) => Self::Int(number),
            Value::Text(text) if text.len() > MOST_KEY => return None,
            Value::Bytes(bytes) if bytes.len() * 2 + 2 > MOST_KEY => return None,
            Value::Text(text) => Self::Text(text.to_owned()),
            Value::Bytes(bytes) => Self::Text(format!("\\x{}", hex::encode(bytes))),
            Value::Bool(value) => Self::Text(value.to_string()),
            Value::Float(number) => Self::Text(number.to_string()),
        })
    }

    /// Whether a row's value is this one.
    #[must_use]
    pub fn is(&self, value: Value<'_>) -> bool {
        match (self, value) {
            (Self::Int(a), Value::Int(b)) => *a == b,
            (Self::Text(a), Value::Text(b)) => a == b,
            _ => false,
        }
    }
}

impl Cursor {
    /// What stands behind the mark of a sealed position; none when it is in clear.
    pub(crate) fn sealed(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Scalar::Text(text)] => text.strip_prefix(SEALED),
            _ => None,
        }
    }

    /// Whether only its publisher can read it.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.sealed().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_any_type_is_named_and_a_long_one_is_not() {
        let told = |value| match Scalar::of_key(value) {
            Some(Scalar::Text(text)) => text,
            other => format!("{other:?}"),
        };
        assert_eq!(told(Value::Bytes(&[0, 255])), "\\x00ff");
        assert_eq!(told(Value::Float(0.1)), "0.1");
        assert_eq!(told(Value::Bool(true)), "true");
        assert_eq!(told(Value::Int(7)), "Some(Int(7))");
        assert_eq!(told(Value::Text("")), "");
        let long = "k".repeat(MOST_KEY + 1);
        for nothing in [
            Value::Null,
            Value::Text(&long),
            Value::Bytes(&long.as_bytes()[..MOST_KEY / 2]),
        ] {
            assert_eq!(Scalar::of_key(nothing), None);
        }
    }
}
