//! A value of a row: six shapes, borrowed from the bytes they came in.

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
    /// Whether a tombstone column with this value marks its row as deleted.
    #[must_use]
    pub fn is_tombstone(&self) -> bool {
        match self {
            Self::Null | Self::Bool(false) | Self::Int(0) => false,
            Self::Text(text) => !matches!(*text, "" | "0" | "f" | "false" | "FALSE" | "F" | "n" | "N"),
            Self::Float(number) => *number != 0.0,
            Self::Bool(true) | Self::Int(_) | Self::Bytes(_) => true,
        }
    }
}
