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
