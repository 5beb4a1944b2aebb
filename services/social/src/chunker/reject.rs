//! Rows that no message carries: told in their place, without what is masked.

use schemas::body::MOST_PLAIN;
use schemas::column::ColumnType;
use schemas::cursor::{Cursor, Scalar};
use schemas::manifest::Reject;
use schemas::tombstone;
use schemas::value::Value;
use source::RowSink as _;

use super::{Chunker, ChunkerError};

impl Chunker {
    /// Whether a row as it is sent is deleted. A row without a key could not be told from another, and one whose mark is not
    /// known might be deleted or not: both are rejects.
    pub(super) fn mark(&self, row: &[Value<'_>]) -> Result<bool, Reject> {
        let at = |place: usize| row.get(place).copied().unwrap_or(Value::Null);
        let reject = |place: usize, reason: &str| Reject {
            key: self
                .sent
                .key
                .iter()
                .map(|place| Scalar::of_key(at(*place)))
                .collect(),
            column: self
                .sent
                .schema
                .columns
                .get(place)
                .map(|column| column.name.clone()),
            reason: reason.to_owned(),
        };
        if let Some(place) = self.sent.key.iter().find(|place| at(**place) == Value::Null) {
            return Err(reject(
                *place,
                "a column of the key is null, so the row cannot be told from others",
            ));
        }
        let Some(place) = self.sent.tombstone else {
            return Ok(false);
        };
        let kind = self.sent.schema.columns.get(place).map(|column| &column.kind);
        let kind = kind.unwrap_or(&ColumnType::Any);
        tombstone::is_deleted(kind, at(place), self.quantum_from).map_err(|reason| reject(place, reason))
    }

    /// `row` as it is sent: what is masked is in no reject either.
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
            .map(|(place, _)| place);
        let key = |place: &usize| row.get(*place).and_then(|value| Scalar::of_key(*value));
        let reject = Reject {
            key: self.sent.key.iter().map(key).collect(),
            column: largest
                .and_then(|place| self.sent.schema.columns.get(place))
                .map(|column| column.name.clone()),
            reason: format!(
                "the row packs to {bytes} bytes, more than the {MOST_PLAIN} that a message carries"
            ),
        };
        match cursor {
            Ok(cursor) => self.reject(cursor, reject),
            Err(fault) => self.fault = Some(fault),
        }
    }
}

/// At most so many bytes of the manifest are one reject's: a character of one byte may be escaped as six.
pub(super) fn in_manifest(reject: &Reject) -> usize {
    let of = |value: &Option<Scalar>| match value {
        Some(Scalar::Text(text)) => text.len() * 6,
        _ => 24,
    };
    let column = reject.column.as_ref().map_or(0, String::len);
    (column + reject.reason.len()) * 6 + reject.key.iter().map(of).sum::<usize>() + 80
}
