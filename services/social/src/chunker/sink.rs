//! Takes rows from the source.

use schemas::body::{CHUNK_TARGET_BYTES, MAX_PLAIN_BYTES};
use schemas::cursor::{Cursor, Scalar};
use schemas::manifest::Reject;
use schemas::rows;
use schemas::value::Value;
use source::RowSink;

use super::position::MAX_CURSOR_BYTES;
use super::reject::manifest_bytes;
use super::{Chunker, ChunkerError, LastRow, MAX_KEY_BYTES, MAX_REJECT_BYTES, MAX_REJECTS};

impl RowSink for Chunker {
    fn row(&mut self, row: &[Value<'_>]) {
        if self.fault.is_some() {
            return;
        }
        if !self.positions.has_position(row) {
            self.fault = self.positions.row_position(row).err();
            return;
        }
        if self.withhold_row(row) {
            return;
        }
        match self.shown.clone() {
            Some((masks, plan)) => masks.with(&plan, row, |sent| self.push_row(row, sent)),
            None => self.push_row(row, row),
        }
    }

    fn reject(&mut self, cursor: Cursor, reject: Reject) {
        if self.fault.is_some() {
            return;
        }
        if cursor.0.iter().any(|value| is_long(value, MAX_CURSOR_BYTES)) {
            let what = format!("a row that cannot be carried has a cursor of over {MAX_CURSOR_BYTES} bytes");
            self.fault = Some(ChunkerError::Cursor(what));
            return;
        }
        self.last = LastRow::Passed(cursor);
        self.push_reject(reject);
    }
}

/// Returns whether a value is too long for the manifest, which must stay small.
fn is_long(value: &Scalar, most: usize) -> bool {
    matches!(value, Scalar::Text(text) if text.len() > most)
}

impl Chunker {
    /// Adds the reject of a row without a position in the order. The cursor does not move.
    pub fn reject_unordered(&mut self, reject: Reject) {
        if self.fault.is_none() {
            self.push_reject(reject);
        }
    }

    /// Adds a reject without what the recipient must not see.
    fn push_reject(&mut self, mut reject: Reject) {
        if self.withhold.is_some() {
            // The person is unknown, and the key might name them.
            reject.key = vec![None; self.sent.key.len()];
        }
        if self.shown.is_some() {
            let is_sent = |column: &String| self.sent.schema.index_of(column).is_some();
            reject.column = reject.column.filter(is_sent);
        }
        for value in &mut reject.key {
            value.take_if(|value| is_long(value, MAX_KEY_BYTES));
        }
        self.reject_bytes += manifest_bytes(&reject);
        self.rejects.push(reject);
        self.read_from.get_or_insert(self.quantum_from);
        if self.rejects.len() >= MAX_REJECTS || self.reject_bytes >= MAX_REJECT_BYTES {
            self.close();
        }
    }
}

impl Chunker {
    /// Packs the row that is sent.
    fn push_row(&mut self, row: &[Value<'_>], sent: &[Value<'_>]) {
        let is_deleted = match self.is_deleted(sent) {
            Ok(is_deleted) => is_deleted,
            Err(reject) => {
                match self.positions.row_position(row) {
                    Ok(cursor) => self.reject(cursor, reject),
                    Err(fault) => self.fault = Some(fault),
                }
                return;
            }
        };
        let start = self.plain.len();
        if let Err(error) = rows::pack(sent, &mut self.plain) {
            self.fault = Some(ChunkerError::Cursor(error.to_string()));
            return;
        }
        let bytes = self.plain.len() - start;
        self.packed += bytes;
        if bytes > MAX_PLAIN_BYTES {
            self.plain.truncate(start);
            let cursor = self.positions.row_position(row);
            return self.too_large(sent, cursor, bytes);
        }
        // A large row gets its own block.
        let start = if bytes > CHUNK_TARGET_BYTES && (self.rows > 0 || !self.rejects.is_empty()) {
            let large = self.plain.split_off(start);
            self.close();
            if self.fault.is_some() {
                return;
            }
            self.plain = large;
            0
        } else {
            start
        };
        self.count_row(sent, start, is_deleted);
        if self.plain.len() >= CHUNK_TARGET_BYTES {
            self.close();
        }
    }

    /// Withholds a row whose person a hold or the block list names. The position moves past it.
    fn withhold_row(&mut self, row: &[Value<'_>]) -> bool {
        let Some((index, withhold)) = &self.withhold else {
            return false;
        };
        let value = row.get(*index).copied().unwrap_or(Value::Null);
        let Some(id) = withhold.by(value).map(str::to_owned) else {
            return false;
        };
        match self.positions.row_position(row) {
            Ok(cursor) => {
                *self.withheld.entry(id).or_default() += 1;
                self.last = LastRow::Passed(cursor);
                self.read_from.get_or_insert(self.quantum_from);
            }
            Err(fault) => self.fault = Some(fault),
        }
        true
    }

    /// Counts a row that was packed.
    fn count_row(&mut self, row: &[Value<'_>], start: usize, is_deleted: bool) {
        self.money.add(row);
        self.deleted += u64::from(is_deleted);
        self.rows += 1;
        self.last = LastRow::Row { start };
        self.read_from.get_or_insert(self.quantum_from);
    }
}
