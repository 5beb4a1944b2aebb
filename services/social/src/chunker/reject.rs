//! Rejects: rows that no message can carry, reported without masked values.

use schemas::body::MAX_PLAIN_BYTES;
use schemas::column::ColumnType;
use schemas::cursor::{Cursor, Scalar};
use schemas::manifest::Reject;
use schemas::tombstone;
use schemas::value::Value;
use source::RowSink as _;

use super::{Chunker, ChunkerError};

impl Chunker {
    /// Returns whether a sent row is deleted. A row without a key, and one with an unknown tombstone value, are rejects.
    pub(super) fn is_deleted(&self, row: &[Value<'_>]) -> Result<bool, Reject> {
        let at = |index: usize| row.get(index).copied().unwrap_or(Value::Null);
        let reject = |index: usize, reason: &str| Reject {
            key: self
                .sent
                .key
                .iter()
                .map(|index| Scalar::from_key_value(at(*index)))
                .collect(),
            column: self
                .sent
                .schema
                .columns
                .get(index)
                .map(|column| column.name.clone()),
            reason: reason.to_owned(),
        };
        if let Some(index) = self.sent.key.iter().find(|index| at(**index) == Value::Null) {
            return Err(reject(
                *index,
                "a column of the key is null, so the row cannot be identified",
            ));
        }
        let Some(index) = self.sent.tombstone else {
            return Ok(false);
        };
        let kind = self.sent.schema.columns.get(index).map(|column| &column.kind);
        let kind = kind.unwrap_or(&ColumnType::Any);
        tombstone::is_deleted(kind, at(index), self.quantum_from).map_err(|reason| reject(index, reason))
    }

    /// Rejects a row that is too large. `row` is the row that is sent, so masked values are not in the reject.
    pub(super) fn too_large(
        &mut self,
        row: &[Value<'_>],
        cursor: Result<Cursor, ChunkerError>,
        bytes: usize,
    ) {
        let size = |value: &Value<'_>| match value {
            Value::Text(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
            _ => 8,
        };
        let largest = row
            .iter()
            .enumerate()
            .max_by_key(|(_, value)| size(value))
            .map(|(index, _)| index);
        let key = |index: &usize| row.get(*index).and_then(|value| Scalar::from_key_value(*value));
        let reject = Reject {
            key: self.sent.key.iter().map(key).collect(),
            column: largest
                .and_then(|index| self.sent.schema.columns.get(index))
                .map(|column| column.name.clone()),
            reason: format!(
                "the row packs to {bytes} bytes, more than the {MAX_PLAIN_BYTES} that a message carries"
            ),
        };
        match cursor {
            Ok(cursor) => self.reject(cursor, reject),
            Err(fault) => self.fault = Some(fault),
        }
    }
}

/// Returns the maximum size of a reject in the manifest: JSON may escape one byte as six.
pub(super) fn manifest_bytes(reject: &Reject) -> usize {
    let of = |value: &Option<Scalar>| match value {
        Some(Scalar::Text(text)) => text.len() * 6,
        _ => 24,
    };
    let column = reject.column.as_ref().map_or(0, String::len);
    (column + reject.reason.len()) * 6 + reject.key.iter().map(of).sum::<usize>() + 80
}
