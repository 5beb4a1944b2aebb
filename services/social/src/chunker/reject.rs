//! Rejects: rows that no message can carry, reported without what the recipient must not see.

use std::sync::Arc;

use jiff::Timestamp;
use schemas::body::MAX_PLAIN_BYTES;
use schemas::column::{ColumnType, RowSchema};
use schemas::cursor::Scalar;
use schemas::manifest::Reject;
use schemas::tombstone;
use schemas::value::Value;

use super::{BatchError, column_index, column_indices};

/// A longer key value is left out of a reject.
pub(super) const MAX_KEY_BYTES: usize = 256;

/// Makes the rejects of a feed's rows, by the columns of the row that is sent.
#[derive(Debug)]
pub(super) struct Rejecter {
    pub(super) schema: Arc<RowSchema>,
    key: Vec<usize>,
    tombstone: Option<usize>,
}

impl Rejecter {
    /// Finds the columns of the schema.
    pub(super) fn new(sent: &RowSchema) -> Result<Self, BatchError> {
        let tombstone = sent.tombstone.as_ref();
        Ok(Self {
            key: column_indices(sent, "key", &sent.key)?,
            tombstone: tombstone
                .map(|name| column_index(sent, "tombstone", name))
                .transpose()?,
            schema: Arc::new(sent.clone()),
        })
    }

    /// Returns whether a sent row is deleted. A row without a key, and one with an unknown tombstone value, are rejects.
    pub(super) fn is_deleted(&self, row: &[Value<'_>], now: Timestamp) -> Result<bool, Reject> {
        let value = |index: usize| row.get(index).copied().unwrap_or(Value::Null);
        let reject = |index: usize, reason: &str| Reject {
            key: self
                .key
                .iter()
                .map(|index| Scalar::from_key_value(value(*index)))
                .collect(),
            column: self.column_name(index),
            reason: reason.to_owned(),
        };
        if let Some(index) = self.key.iter().find(|index| value(**index) == Value::Null) {
            return Err(reject(
                *index,
                "a column of the key is null, so the row cannot be identified",
            ));
        }
        let Some(index) = self.tombstone else {
            return Ok(false);
        };
        let kind = self.schema.columns.get(index).map(|column| &column.kind);
        let kind = kind.unwrap_or(&ColumnType::Any);
        tombstone::is_deleted(kind, value(index), now).map_err(|reason| reject(index, reason))
    }

    /// Returns the reject of a row that is too large. `row` is the row that is sent, so masked values are not in the reject.
    pub(super) fn too_large(&self, row: &[Value<'_>], bytes: usize) -> Reject {
        let size = |value: &Value<'_>| match value {
            Value::Text(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
            _ => 8,
        };
        let largest = row.iter().enumerate().max_by_key(|(_, value)| size(value));
        let key = |index: &usize| row.get(*index).and_then(|value| Scalar::from_key_value(*value));
        Reject {
            key: self.key.iter().map(key).collect(),
            column: largest.and_then(|(index, _)| self.column_name(index)),
            reason: format!(
                "the row packs to {bytes} bytes, more than the {MAX_PLAIN_BYTES} that a message carries"
            ),
        }
    }

    /// Returns a reject without what the recipient must not see.
    pub(super) fn visible(&self, mut reject: Reject, withholds: bool, is_masked: bool) -> Reject {
        if withholds {
            // The person is unknown, and the key might name them.
            reject.key = vec![None; self.key.len()];
        }
        if is_masked {
            let is_sent = |column: &String| self.schema.index_of(column).is_some();
            reject.column = reject.column.filter(is_sent);
        }
        let is_long = |value: &mut Scalar| matches!(value, Scalar::Text(text) if text.len() > MAX_KEY_BYTES);
        for value in &mut reject.key {
            value.take_if(is_long);
        }
        reject
    }

    fn column_name(&self, index: usize) -> Option<String> {
        self.schema.columns.get(index).map(|column| column.name.clone())
    }
}
