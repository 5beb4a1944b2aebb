//! Rows as the source hands them over.

use schemas::body::{CLOSE_AT, MOST_PLAIN};
use schemas::cursor::{Cursor, Scalar};
use schemas::manifest::Reject;
use schemas::rows;
use schemas::value::Value;
use source::RowSink;

use super::position::MOST_CURSOR;
use super::reject::in_manifest;
use super::{Chunker, ChunkerError, Last, MOST_KEY, MOST_REJECTED, MOST_REJECTS};

impl RowSink for Chunker {
    fn row(&mut self, row: &[Value<'_>]) {
        if self.fault.is_some() {
            return;
        }
        if !self.positions.is_in(row) {
            self.fault = self.positions.of(row).err();
            return;
        }
        if self.keeps_back(row) {
            return;
        }
        match self.shown.clone() {
            Some((masks, plan)) => masks.with(&plan, row, |sent| self.take(row, sent)),
            None => self.take(row, row),
        }
    }

    fn reject(&mut self, cursor: Cursor, reject: Reject) {
        if self.fault.is_some() {
            return;
        }
        if cursor.0.iter().any(|value| is_long(value, MOST_CURSOR)) {
            let what = format!("a row that cannot be carried has one of over {MOST_CURSOR} bytes");
            self.fault = Some(ChunkerError::Cursor(what));
            return;
        }
        self.last = Last::Passed(cursor);
        self.note(reject);
    }
}

/// Rejects travel in the manifest, which has to stay small.
fn is_long(value: &Scalar, most: usize) -> bool {
    matches!(value, Scalar::Text(text) if text.len() > most)
}

impl Chunker {
    /// Takes the note of a row that has no place in the order. The position stays where it is.
    pub fn reject_unplaced(&mut self, reject: Reject) {
        if self.fault.is_none() {
            self.note(reject);
        }
    }

    /// Keeps the note of a row, without what the recipient must not see.
    fn note(&mut self, mut reject: Reject) {
        if self.withhold.is_some() {
            // Whose row it is cannot be told: its key might name them.
            reject.key = vec![None; self.sent.key.len()];
        }
        if self.shown.is_some() {
            let is_sent = |column: &String| self.sent.schema.index_of(column).is_some();
            reject.column = reject.column.filter(is_sent);
        }
        for value in &mut reject.key {
            value.take_if(|value| is_long(value, MOST_KEY));
        }
        self.rejected += in_manifest(&reject);
        self.rejects.push(reject);
        self.read_from.get_or_insert(self.quantum_from);
        if self.rejects.len() >= MOST_REJECTS || self.rejected >= MOST_REJECTED {
            self.close();
        }
    }
}

impl Chunker {
    /// Packs what is sent of the source's row.
    fn take(&mut self, row: &[Value<'_>], sent: &[Value<'_>]) {
        let is_deleted = match self.mark(sent) {
            Ok(is_deleted) => is_deleted,
            Err(reject) => {
                match self.positions.of(row) {
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
        if bytes > MOST_PLAIN {
            self.plain.truncate(start);
            let cursor = self.positions.of(row);
            return self.too_large(sent, cursor, bytes);
        }
        // A large row travels alone.
        let start = if bytes > CLOSE_AT && (self.rows > 0 || !self.rejects.is_empty()) {
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
        self.add(sent, start, is_deleted);
        if self.plain.len() >= CLOSE_AT {
            self.close();
        }
    }

    /// Keeps a row back, where a hold names its person. The position moves on behind it.
    fn keeps_back(&mut self, row: &[Value<'_>]) -> bool {
        let Some((place, withhold)) = &self.withhold else {
            return false;
        };
        let value = row.get(*place).copied().unwrap_or(Value::Null);
        let Some(id) = withhold.by(value).map(str::to_owned) else {
            return false;
        };
        match self.positions.of(row) {
            Ok(cursor) => {
                *self.withheld.entry(id).or_default() += 1;
                self.last = Last::Passed(cursor);
                self.read_from.get_or_insert(self.quantum_from);
            }
            Err(fault) => self.fault = Some(fault),
        }
        true
    }

    /// Counts a row as it is sent.
    fn add(&mut self, row: &[Value<'_>], start: usize, is_deleted: bool) {
        self.money.add(row);
        self.deleted += u64::from(is_deleted);
        self.rows += 1;
        self.last = Last::Row { start };
        self.read_from.get_or_insert(self.quantum_from);
    }
}
