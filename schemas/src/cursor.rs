//! The position in a feed after a chunk: the values of the cursor columns of its last row.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::Value;

/// One value of a cursor. Its order is the database's, which alone knows its collations; here
/// only equality can be checked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Scalar {
    /// An integer.
    Int(i64),
    /// Any other type, in its text form.
    Text(String),
}

/// The prefix of an encrypted position; no value of a cursor column may begin with it.
pub const ENCRYPTED_PREFIX: &str = "encrypted.v1.";

/// A reject omits a key value of more bytes than this.
const MAX_KEY_BYTES: usize = 256;

/// The values of the cursor columns, in the feed's order; or one text that only its publisher
/// can decrypt, see [`crate::encryption::position`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Cursor(pub Vec<Scalar>);

/// A value that cannot be part of a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a cursor column holds {0}, which has no defined order; use an integer, a time or a text column that is NOT NULL"
)]
pub struct InvalidCursorValue(pub &'static str);

impl Scalar {
    /// Converts a row's value to a cursor value.
    ///
    /// # Errors
    /// [`InvalidCursorValue`] for null, booleans, floats and bytes. The error does not contain the value.
    pub fn from_value(value: Value<'_>) -> Result<Self, InvalidCursorValue> {
        match value {
            Value::Int(number) => Ok(Self::Int(number)),
            Value::Text(text) if text.starts_with(ENCRYPTED_PREFIX) => Err(InvalidCursorValue(
                "a text that begins like an encrypted position",
            )),
            Value::Text(text) => Ok(Self::Text(text.to_owned())),
            Value::Null => Err(InvalidCursorValue("null")),
            Value::Bool(_) => Err(InvalidCursorValue("a boolean")),
            Value::Float(_) => Err(InvalidCursorValue("a float")),
            Value::Bytes(_) => Err(InvalidCursorValue("bytes")),
        }
    }

    /// Converts a key value for a reject: bytes as `\x` and hex, others as their text. Returns `None` for null and for a
    /// value that is too long.
    #[must_use]
    pub fn from_key_value(value: Value<'_>) -> Option<Self> {
        Some(match value {
            Value::Null => return None,
            Value::Int(number) => Self::Int(number),
            Value::Text(text) if text.len() > MAX_KEY_BYTES => return None,
            Value::Bytes(bytes) if bytes.len() * 2 + 2 > MAX_KEY_BYTES => return None,
            Value::Text(text) => Self::Text(text.to_owned()),
            Value::Bytes(bytes) => Self::Text(format!("\\x{}", hex::encode(bytes))),
            Value::Bool(value) => Self::Text(value.to_string()),
            Value::Float(number) => Self::Text(number.to_string()),
        })
    }

    /// Returns whether a row's value equals this one.
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
    /// Returns the text of an encrypted position without its prefix, or `None` if it is in clear.
    pub(crate) fn encrypted_text(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Scalar::Text(text)] => text.strip_prefix(ENCRYPTED_PREFIX),
            _ => None,
        }
    }

    /// Returns whether the position is encrypted.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.encrypted_text().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursor_key_value_of_any_type_is_text_and_long_is_omitted() {
        let text_of = |value| match Scalar::from_key_value(value) {
            Some(Scalar::Text(text)) => text,
            other => format!("{other:?}"),
        };
        assert_eq!(text_of(Value::Bytes(&[0, 255])), "\\x00ff");
        assert_eq!(text_of(Value::Float(0.1)), "0.1");
        assert_eq!(text_of(Value::Bool(true)), "true");
        assert_eq!(text_of(Value::Int(7)), "Some(Int(7))");
        assert_eq!(text_of(Value::Text("")), "");
        let long = "k".repeat(MAX_KEY_BYTES + 1);
        for omitted in [
            Value::Null,
            Value::Text(&long),
            Value::Bytes(&long.as_bytes()[..MAX_KEY_BYTES / 2]),
        ] {
            assert_eq!(Scalar::from_key_value(omitted), None);
        }
    }
}
