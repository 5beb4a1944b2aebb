//! What came back: a reply whose signature holds, with all parts that it names, opened and in order.

use schemas::column::Column;
use schemas::part::OpenedPart;
use schemas::reply::{Outcome, Reply};
use schemas::value::Value;

use crate::error::Error;

/// The final outcome of a request.
#[derive(Debug, Clone)]
pub struct Answer {
    pub(crate) reply: Reply,
    pub(crate) parts: Vec<OpenedPart>,
}

/// One value of a row, on its own.
#[derive(Clone, PartialEq)]
pub enum Cell {
    /// Nothing; differs from the empty text.
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

/// Without the value: rows are about persons.
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
    /// What became of the request. Empty is an answer too: the question was allowed, and there is nothing.
    #[must_use]
    pub fn outcome(&self) -> &Outcome {
        &self.reply.outcome
    }

    /// The whole reply, as it was signed.
    #[must_use]
    pub fn reply(&self) -> &Reply {
        &self.reply
    }

    /// The columns of its rows; none where there are no rows.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        self.parts.first().map_or(&[], |part| &part.part.schema.columns)
    }

    /// Its rows, in order.
    ///
    /// # Errors
    /// [`Error::Row`] for a row that does not read; every row was read when the answer was opened.
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
