//! A value of a row: one of six shapes, borrowed from the received bytes.

use serde_json::json;

/// One value. The column's type defines the meaning of a text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// Null; differs from the empty text.
    Null,
    /// true, false.
    Bool(bool),
    /// An integer of up to 64 bits.
    Int(i64),
    /// An IEEE 754 double. Never money.
    Float(f64),
    /// Text: also exact decimals, dates, times and every other type with a text form.
    Text(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
}

impl Value<'_> {
    /// Returns whether this value of a received tombstone column marks a deleted row. Publishers use [`crate::tombstone`],
    /// which accepts only values that this function interprets equally; older publishers accept every value.
    #[must_use]
    pub fn is_tombstone(&self) -> bool {
        match self {
            Self::Null | Self::Bool(false) | Self::Int(0) => false,
            Self::Text(text) => !matches!(*text, "" | "0" | "f" | "false" | "FALSE" | "F" | "n" | "N"),
            Self::Float(number) => *number != 0.0,
            Self::Bool(true) | Self::Int(_) | Self::Bytes(_) => true,
        }
    }

    /// Returns the value as JSON: bytes as `{"hex": …}`, and floats that JSON cannot represent as text.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        match self {
            Self::Null => json!(null),
            Self::Bool(value) => json!(value),
            Self::Int(value) => json!(value),
            Self::Float(value) if value.is_finite() => json!(value),
            Self::Float(value) => json!(value.to_string()),
            Self::Text(value) => json!(value),
            Self::Bytes(value) => json!({ "hex": hex::encode(value) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// JSON has no number for these, and no type for bytes.
    #[test]
    fn value_that_json_cannot_represent_is_text() {
        assert_eq!(Value::Float(0.5).json(), json!(0.5));
        assert_eq!(Value::Float(f64::NEG_INFINITY).json(), json!("-inf"));
        assert_eq!(Value::Float(f64::NAN).json(), json!("NaN"));
        assert_eq!(Value::Bytes(&[0, 255]).json(), json!({ "hex": "00ff" }));
        assert_eq!(Value::Null.json(), serde_json::Value::Null);
    }
}
