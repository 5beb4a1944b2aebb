//! The answer: a verified reply with all parts that it names, decrypted and in order.

use schemas::column::Column;
use schemas::part::VerifiedPart;
use schemas::reply::{Outcome, Reply};
use schemas::value::Value;

use crate::error::Error;

/// The final outcome of a request.
#[derive(Debug, Clone)]
pub struct Answer {
    pub(crate) reply: Reply,
    pub(crate) parts: Vec<VerifiedPart>,
}

/// One owned value of a row.
#[derive(Clone, PartialEq)]
pub enum Cell {
    /// Null; differs from the empty text.
    Null,
    /// true, false.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A double; never money.
    Float(f64),
    /// Text: also exact decimals, dates and times, by the column's type.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// Omits the value, because rows are personal data.
impl std::fmt::Debug for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Null => "Null",
            Self::Bool(_) => "Bool(..)",
            Self::Int(_) => "Int(..)",
            Self::Float(_) => "Float(..)",
            Self::Text(_) => "Text(..)",
            Self::Bytes(_) => "Bytes(..)",
        })
    }
}

impl From<Value<'_>> for Cell {
    fn from(value: Value<'_>) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Bool(flag),
            Value::Int(number) => Self::Int(number),
            Value::Float(number) => Self::Float(number),
            Value::Text(text) => Self::Text(text.to_owned()),
            Value::Bytes(bytes) => Self::Bytes(bytes.to_vec()),
        }
    }
}

impl Answer {
    /// Returns the outcome. `Empty` is an answer too: the request was allowed and has no rows.
    #[must_use]
    pub fn outcome(&self) -> &Outcome {
        &self.reply.outcome
    }

    /// Returns the signed reply.
    #[must_use]
    pub fn reply(&self) -> &Reply {
        &self.reply
    }

    /// Returns the columns; empty without rows.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        self.parts
            .first()
            .map_or(&[], |part| &part.manifest.content.schema.columns)
    }

    /// Returns the rows, in order.
    ///
    /// # Errors
    /// [`Error::Row`] for an unreadable row; every row was checked when the answer was verified.
    pub fn rows(&self) -> impl Iterator<Item = Result<Vec<Cell>, Error>> {
        self.parts.iter().flat_map(|part| {
            let mut rows = part.rows();
            let mut row = Vec::new();
            std::iter::from_fn(move || match rows.next_into(&mut row) {
                Ok(true) => Some(Ok(row.iter().map(|value| Cell::from(*value)).collect())),
                Ok(false) => None,
                Err(error) => Some(Err(error.into())),
            })
        })
    }
}
