//! A row's position: the values of its cursor columns.

use schemas::column::RowSchema;
use schemas::cursor::{Cursor, Scalar};
use schemas::rows::RowReader;
use schemas::value::Value;

use super::ChunkerError;
use super::places::places;

/// A text longer than this is no cursor value.
pub(super) const MOST_CURSOR: usize = 8_192;

/// Where positions stand in rows.
#[derive(Debug)]
pub(super) struct Positions {
    names: Vec<String>,
    source: Vec<usize>,
    sent: Vec<usize>,
    /// Columns that are sent.
    width: usize,
}

impl Positions {
    /// By the source's columns and those that are sent.
    pub(super) fn new(schema: &RowSchema, sent: &RowSchema, cursor: &[String]) -> Result<Self, ChunkerError> {
        Ok(Self {
            names: cursor.to_vec(),
            source: places(schema, "cursor", cursor)?,
            sent: places(sent, "cursor", cursor)?,
            width: sent.columns.len(),
        })
    }

    /// Of a row of the source's.
    pub(super) fn of(&self, row: &[Value<'_>]) -> Result<Cursor, ChunkerError> {
        self.at(row, &self.source)
    }

    /// Of the first packed row.
    pub(super) fn of_packed(&self, bytes: &[u8]) -> Result<Cursor, ChunkerError> {
        let mut row = Vec::with_capacity(self.width);
        RowReader::new(bytes, self.width, 1)
            .next_into(&mut row)
            .map_err(|e| ChunkerError::Cursor(e.to_string()))?;
        self.at(&row, &self.sent)
    }

    /// Whether a row of the source's has one, without making it.
    pub(super) fn is_in(&self, row: &[Value<'_>]) -> bool {
        self.source.iter().all(|place| match row.get(*place) {
            Some(Value::Int(_)) => true,
            Some(Value::Text(text)) => text.len() <= MOST_CURSOR,
            _ => false,
        })
    }

    fn at(&self, row: &[Value<'_>], places: &[usize]) -> Result<Cursor, ChunkerError> {
        let scalar = |(place, name): (&usize, &String)| {
            let value = row.get(*place).copied().unwrap_or(Value::Null);
            if matches!(value, Value::Text(text) if text.len() > MOST_CURSOR) {
                return Err(ChunkerError::Cursor(format!(
                    "column {name:?} holds a text of over {MOST_CURSOR} bytes"
                )));
            }
            Scalar::from_value(value).map_err(|e| ChunkerError::Cursor(format!("column {name:?}: {e}")))
        };
        places
            .iter()
            .zip(&self.names)
            .map(scalar)
            .collect::<Result<_, _>>()
            .map(Cursor)
    }
}
