//! A value of a row: six shapes, borrowed from the bytes they came in.

use serde_json::json;

/// One value. What a text means is said by its column's type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// Nothing; differs from the empty text.
    Null,
    /// true, false.
    Bool(bool),
    /// An integer of up to 64 bits.
    Int(i64),
    /// An IEEE 754 double. Never money.
    Float(f64),
    /// Text: also exact decimals, dates, times and whatever else has a text form.
    Text(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
}

impl Value<'_> {
    /// Whether a received tombstone column with this value counts as a mark of a deleted row. Publishers judge by
    /// [`crate::tombstone`], which lets only values pass that this reads alike; older publishers let every value pass.
    #[must_use]
    pub fn is_tombstone(&self) -> bool {
        match self {
            Self::Null | Self::Bool(false) | Self::Int(0) => false,
            Self::Text(text) => !matches!(*text, "" | "0" | "f" | "false" | "FALSE" | "F" | "n" | "N"),
            Self::Float(number) => *number != 0.0,
            Self::Bool(true) | Self::Int(_) | Self::Bytes(_) => true,
        }
    }

    /// In JSON; bytes as `{"hex": …}`, and floats that JSON has no number for as text.
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

    /// Trap: JSON has no number for these, and nothing for bytes.
    #[test]
    fn what_json_has_no_form_for_is_told_as_text() {
        assert_eq!(Value::Float(0.5).json(), json!(0.5));
        assert_eq!(Value::Float(f64::NEG_INFINITY).json(), json!("-inf"));
        assert_eq!(Value::Float(f64::NAN).json(), json!("NaN"));
        assert_eq!(Value::Bytes(&[0, 255]).json(), json!({ "hex": "00ff" }));
        assert_eq!(Value::Null.json(), serde_json::Value::Null);
    }
}
