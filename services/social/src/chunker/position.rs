//! Makes positions of rows: the values of their cursor columns.

use schemas::column::RowSchema;
use schemas::cursor::{Cursor, Scalar};
use schemas::rows::RowReader;
use schemas::value::Value;

use super::ChunkerError;
use super::column_indices::column_indices;

/// The maximum length of a cursor text.
pub(super) const MAX_CURSOR_BYTES: usize = 8_192;

/// The cursor columns.
#[derive(Debug)]
pub(super) struct Positions {
    names: Vec<String>,
    source: Vec<usize>,
    sent: Vec<usize>,
    /// The number of columns that are sent.
    width: usize,
}

impl Positions {
    /// Finds the cursor columns in the source's row and in the row that is sent.
    pub(super) fn new(schema: &RowSchema, sent: &RowSchema, cursor: &[String]) -> Result<Self, ChunkerError> {
        Ok(Self {
            names: cursor.to_vec(),
            source: column_indices(schema, "cursor", cursor)?,
            sent: column_indices(sent, "cursor", cursor)?,
            width: sent.columns.len(),
        })
    }

    /// Returns the position of a source row.
    pub(super) fn row_position(&self, row: &[Value<'_>]) -> Result<Cursor, ChunkerError> {
        self.at(row, &self.source)
    }

    /// Returns the position of the first packed row.
    pub(super) fn packed_row_position(&self, bytes: &[u8]) -> Result<Cursor, ChunkerError> {
        let mut row = Vec::with_capacity(self.width);
        RowReader::new(bytes, self.width, 1)
            .next_into(&mut row)
            .map_err(|e| ChunkerError::Cursor(e.to_string()))?;
        self.at(&row, &self.sent)
    }

    /// Returns whether a source row has a usable position, without building it.
    pub(super) fn has_position(&self, row: &[Value<'_>]) -> bool {
        self.source.iter().all(|index| match row.get(*index) {
            Some(Value::Int(_)) => true,
            Some(Value::Text(text)) => text.len() <= MAX_CURSOR_BYTES,
            _ => false,
        })
    }

    fn at(&self, row: &[Value<'_>], column_indices: &[usize]) -> Result<Cursor, ChunkerError> {
        let scalar = |(index, name): (&usize, &String)| {
            let value = row.get(*index).copied().unwrap_or(Value::Null);
            if matches!(value, Value::Text(text) if text.len() > MAX_CURSOR_BYTES) {
                return Err(ChunkerError::Cursor(format!(
                    "column {name:?} holds a text of over {MAX_CURSOR_BYTES} bytes"
                )));
            }
            Scalar::from_value(value).map_err(|e| ChunkerError::Cursor(format!("column {name:?}: {e}")))
        };
        column_indices
            .iter()
            .zip(&self.names)
            .map(scalar)
            .collect::<Result<_, _>>()
            .map(Cursor)
    }
}
