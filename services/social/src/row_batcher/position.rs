//! Makes positions of rows: the values of their cursor columns.

use schemas::column::RowSchema;
use schemas::cursor::{Cursor, Scalar};
use schemas::rows::RowReader;
use schemas::value::Value;

use super::{BatchError, column_indices};

/// The maximum length of a text in a feed's cursor, which is sent in every manifest.
const MAX_CURSOR_BYTES: usize = 8_192;

/// The columns that order the rows.
#[derive(Debug)]
pub struct Positions {
    names: Vec<String>,
    source: Vec<usize>,
    /// Where they are in the row that is sent, and its number of columns; `None` if they are read from the source's row only.
    sent: Option<(Vec<usize>, usize)>,
}

impl Positions {
    /// Finds the cursor columns of a feed in the source's row and in the row that is sent, whose bytes hold the position.
    ///
    /// # Errors
    /// [`BatchError::Column`] when one is missing.
    pub fn new(schema: &RowSchema, sent: &RowSchema, cursor: &[String]) -> Result<Self, BatchError> {
        Ok(Self {
            names: cursor.to_vec(),
            source: column_indices(schema, "cursor", cursor)?,
            sent: Some((column_indices(sent, "cursor", cursor)?, sent.columns.len())),
        })
    }

    /// Finds the columns of an answer's order, which are perhaps not sent, or masked. Without columns, rows have no position.
    ///
    /// # Errors
    /// [`BatchError::Column`] when one is missing.
    pub fn of_source(schema: &RowSchema, order: &[String]) -> Result<Self, BatchError> {
        Ok(Self {
            names: order.to_vec(),
            source: column_indices(schema, "order", order)?,
            sent: None,
        })
    }

    /// Returns whether a packed row has its position.
    pub(super) fn are_sent(&self) -> bool {
        self.sent.is_some()
    }

    /// Returns the position of a source row; `None` if rows have no order.
    pub(super) fn row_position(&self, row: &[Value<'_>]) -> Result<Option<Cursor>, BatchError> {
        if self.source.is_empty() {
            return Ok(None);
        }
        self.read(row, &self.source).map(Some)
    }

    /// Returns the position of the first packed row.
    pub(super) fn packed_row_position(&self, bytes: &[u8]) -> Result<Cursor, BatchError> {
        let (columns, width) = self
            .sent
            .as_ref()
            .map_or((&[][..], 0), |(columns, width)| (columns.as_slice(), *width));
        let mut row = Vec::with_capacity(width);
        RowReader::new(bytes, width, 1)
            .next_into(&mut row)
            .map_err(|e| BatchError::Cursor(e.to_string()))?;
        self.read(&row, columns)
    }

    /// Returns whether a source row has a usable position, without building it.
    pub(super) fn has_position(&self, row: &[Value<'_>]) -> bool {
        self.source.iter().all(|index| match row.get(*index) {
            Some(Value::Int(_)) => true,
            Some(Value::Text(text)) => text.len() <= self.max_bytes(),
            _ => false,
        })
    }

    /// Checks the texts of a position.
    pub(super) fn check_length(&self, position: Option<&Cursor>) -> Result<(), BatchError> {
        let is_long = |value: &Scalar| matches!(value, Scalar::Text(text) if text.len() > self.max_bytes());
        if position.is_some_and(|position| position.0.iter().any(is_long)) {
            return Err(BatchError::Cursor(format!(
                "a row that cannot be carried has a cursor of over {MAX_CURSOR_BYTES} bytes"
            )));
        }
        Ok(())
    }

    /// The position of an answer is in no manifest, so its length is not limited.
    fn max_bytes(&self) -> usize {
        if self.sent.is_some() {
            MAX_CURSOR_BYTES
        } else {
            usize::MAX
        }
    }

    fn read(&self, row: &[Value<'_>], columns: &[usize]) -> Result<Cursor, BatchError> {
        let scalar = |(index, name): (&usize, &String)| {
            let value = row.get(*index).copied().unwrap_or(Value::Null);
            if matches!(value, Value::Text(text) if text.len() > self.max_bytes()) {
                return Err(BatchError::Cursor(format!(
                    "column {name:?} holds a text of over {MAX_CURSOR_BYTES} bytes"
                )));
            }
            Scalar::from_value(value).map_err(|e| BatchError::Cursor(format!("column {name:?}: {e}")))
        };
        columns
            .iter()
            .zip(&self.names)
            .map(scalar)
            .collect::<Result<_, _>>()
            .map(Cursor)
    }
}
