//! PURE: batches rows into blocks, the bodies of chunks and of parts of answers.
//!
//! A block is closed before its packed rows would exceed [`CHUNK_TARGET_BYTES`], and when its rejects reach their limit; callers
//! close it when it is too old and when the gate closes. Rows are packed once, into one growing buffer. Which rows and columns a recipient may see is
//! decided before, by [`crate::chunker`] for feeds and by [`crate::responder::answer_batcher`] for answers.
//!
//! - `position` makes cursors of rows

mod position;

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemas::body::{CHUNK_TARGET_BYTES, MAX_PLAIN_BYTES};
use schemas::column::RowSchema;
use schemas::cursor::{Cursor, Scalar};
use schemas::manifest::{Reject, Totals};
use schemas::rows;
use schemas::total::Total;
use schemas::value::Value;

use crate::mask::MaskError;
use crate::row_batch::Block;

pub use position::Positions;

/// The number of rejects that closes a block, because they are sent in the manifest.
const MAX_REJECTS: usize = 500;

/// The size of rejects that closes a block: keys may have many columns, and JSON escapes them.
const MAX_REJECT_BYTES: usize = 500_000;

/// The capacity of a block's buffer, so that it rarely grows.
const BLOCK_CAPACITY: usize = CHUNK_TARGET_BYTES + CHUNK_TARGET_BYTES / 8;

/// Why rows cannot be batched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The schema lacks a column that the feed or kind names.
    #[error("the feed's {what} column {name:?} is not among its output columns; correct the feed")]
    Column {
        /// `key`, `cursor`, `money`, `tombstone` or `person`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A row has no usable cursor, so reading cannot pass it.
    #[error("a row of the feed has no usable cursor: {0}")]
    Cursor(String),
    /// A row cannot be packed.
    #[error("a row cannot be packed: {0}")]
    Pack(String),
    /// A mask does not match the columns.
    #[error("a mask does not match the feed: {0}")]
    Mask(#[from] MaskError),
}

/// The numbers of packed and withheld rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RowCount {
    /// Rows in a body.
    pub rows: u64,
    /// Rows in no body.
    pub withheld: u64,
}

#[derive(Debug, Clone)]
enum LastRow {
    Nothing,
    /// A packed row, whose position is parsed when it is asked for.
    Packed {
        start: usize,
    },
    /// A row with this position: in no body, or packed without the columns of the position.
    Passed(Option<Cursor>),
}

/// Packs rows and closes blocks.
#[derive(Debug)]
pub struct RowBatcher {
    positions: Positions,
    money: Vec<(String, usize, Total)>,
    plain: Vec<u8>,
    rows: u64,
    deleted: u64,
    withheld: BTreeMap<String, u64>,
    rejects: Vec<Reject>,
    reject_bytes: usize,
    /// The position before the open block.
    before: Option<Cursor>,
    last: LastRow,
    /// The fixed position of blocks beyond the fence, while such rows are taken.
    pinned: Option<Option<Cursor>>,
    read_from: Option<Timestamp>,
    quantum_from: Timestamp,
    packed_bytes: usize,
    closed: Vec<Block>,
    closed_count: RowCount,
    fault: Option<BatchError>,
}

impl RowBatcher {
    /// Creates a batcher for rows after `before`. `money` names columns of the row that is sent.
    ///
    /// # Errors
    /// [`BatchError::Column`] when a money column is not sent.
    pub fn new(
        sent: &RowSchema,
        positions: Positions,
        money: Vec<String>,
        before: Option<Cursor>,
    ) -> Result<Self, BatchError> {
        let indices = column_indices(sent, "money", &money)?;
        let money = money.into_iter().zip(indices);
        Ok(Self {
            positions,
            money: money
                .map(|(name, index)| (name, index, Total::default()))
                .collect(),
            plain: Vec::with_capacity(BLOCK_CAPACITY),
            rows: 0,
            deleted: 0,
            withheld: BTreeMap::new(),
            rejects: Vec::new(),
            reject_bytes: 0,
            before,
            last: LastRow::Nothing,
            pinned: None,
            read_from: None,
            quantum_from: Timestamp::UNIX_EPOCH,
            packed_bytes: 0,
            closed: Vec::new(),
            closed_count: RowCount::default(),
            fault: None,
        })
    }

    /// Begins a quantum.
    pub fn begin_quantum(&mut self, at: Timestamp) {
        (self.quantum_from, self.packed_bytes) = (at, 0);
    }

    /// Returns when the current quantum began.
    #[must_use]
    pub fn quantum_from(&self) -> Timestamp {
        self.quantum_from
    }

    /// Packed bytes since the quantum began.
    #[must_use]
    pub fn packed_bytes(&self) -> usize {
        self.packed_bytes
    }

    /// Returns when the first row of the open block was read.
    #[must_use]
    pub fn open_since(&self) -> Option<Timestamp> {
        self.read_from
    }

    /// Returns the rows so far, in open and closed blocks.
    #[must_use]
    pub fn count(&self) -> RowCount {
        RowCount {
            rows: self.closed_count.rows + self.rows,
            withheld: self.closed_count.withheld + self.withheld.values().sum::<u64>(),
        }
    }

    /// Returns whether the open block holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows == 0 && self.rejects.is_empty() && self.withheld.is_empty()
    }

    /// Returns the position after all rows taken so far, where the next quantum continues.
    ///
    /// # Errors
    /// [`BatchError`] if the last row cannot be parsed.
    pub fn position(&self) -> Result<Option<Cursor>, BatchError> {
        match &self.last {
            LastRow::Nothing => Ok(self.before.clone()),
            LastRow::Passed(cursor) => Ok(cursor.clone()),
            LastRow::Packed { start } => {
                let missing = || BatchError::Cursor("its bytes are gone".to_owned());
                let bytes = self.plain.get(*start..).ok_or_else(missing)?;
                self.positions.packed_row_position(bytes).map(Some)
            }
        }
    }

    /// Returns the position that blocks show: the pinned one, or [`RowBatcher::position`].
    ///
    /// # Errors
    /// [`BatchError`] if the last row cannot be parsed.
    pub fn published_position(&self) -> Result<Option<Cursor>, BatchError> {
        match &self.pinned {
            Some(pinned) => Ok(pinned.clone()),
            None => self.position(),
        }
    }

    /// Returns the error of a row that reading cannot pass, if there was one. Earlier rows are kept, later ones were not taken,
    /// and the position is right before that row.
    pub fn take_fault(&mut self) -> Option<BatchError> {
        self.fault.take()
    }

    /// Returns whether there was such a row.
    #[must_use]
    pub fn has_fault(&self) -> bool {
        self.fault.is_some()
    }

    /// Returns whether a source row has a usable position. If not, it is the batcher's fault, and no more rows are taken.
    pub fn check_position(&mut self, row: &[Value<'_>]) -> bool {
        let has_position = self.positions.has_position(row);
        if !has_position {
            self.fault = self.positions.row_position(row).err();
        }
        has_position
    }

    /// Packs a row: `row` is the source's, `sent` the one that is sent. `too_large` makes the reject of a row that no message can
    /// carry, given its packed bytes.
    pub fn push(
        &mut self,
        row: &[Value<'_>],
        sent: &[Value<'_>],
        is_deleted: bool,
        too_large: impl FnOnce(usize) -> Reject,
    ) {
        let start = self.plain.len();
        if let Err(error) = rows::pack(sent, &mut self.plain) {
            self.fault = Some(BatchError::Pack(error.to_string()));
            return;
        }
        let bytes = self.plain.len() - start;
        self.packed_bytes += bytes;
        if bytes > MAX_PLAIN_BYTES {
            self.plain.truncate(start);
            return self.reject_row(row, too_large(bytes));
        }
        // A block ends before the row with which it would be too large, so that a large row has its own.
        let is_too_large = start > 0 && self.plain.len() > CHUNK_TARGET_BYTES;
        let start = if is_too_large || (bytes > CHUNK_TARGET_BYTES && !self.rejects.is_empty()) {
            let next = self.plain.split_off(start);
            self.close();
            if self.fault.is_some() {
                return;
            }
            self.plain.extend_from_slice(&next);
            0
        } else {
            start
        };
        self.last = if self.positions.are_sent() {
            LastRow::Packed { start }
        } else {
            match self.positions.row_position(row) {
                Ok(position) => LastRow::Passed(position),
                Err(fault) => {
                    self.plain.truncate(start);
                    self.fault = Some(fault);
                    return;
                }
            }
        };
        for (_, index, total) in &mut self.money {
            total.add(sent.get(*index).copied().unwrap_or(Value::Null));
        }
        self.rows += 1;
        self.deleted += u64::from(is_deleted);
        self.read_from.get_or_insert(self.quantum_from);
        if self.plain.len() >= CHUNK_TARGET_BYTES {
            self.close();
        }
    }

    /// Counts a source row that is withheld under this id. The position moves past it.
    pub fn withhold(&mut self, row: &[Value<'_>], id: &str) {
        match self.positions.row_position(row) {
            Ok(position) => {
                match self.withheld.get_mut(id) {
                    Some(rows) => *rows += 1,
                    None => drop(self.withheld.insert(id.to_owned(), 1)),
                }
                self.last = LastRow::Passed(position);
                self.read_from.get_or_insert(self.quantum_from);
            }
            Err(fault) => self.fault = Some(fault),
        }
    }

    /// Adds the reject of a source row. The position moves past it.
    pub fn reject_row(&mut self, row: &[Value<'_>], reject: Reject) {
        match self.positions.row_position(row) {
            Ok(position) => self.reject(position, reject),
            Err(fault) => self.fault = Some(fault),
        }
    }

    /// Adds the reject of a row with this position.
    pub fn reject(&mut self, position: Option<Cursor>, reject: Reject) {
        if let Err(fault) = self.positions.check_length(position.as_ref()) {
            self.fault = Some(fault);
            return;
        }
        self.last = LastRow::Passed(position);
        self.reject_unordered(reject);
    }

    /// Adds the reject of a row without a position in the order. The cursor does not move.
    pub fn reject_unordered(&mut self, reject: Reject) {
        self.reject_bytes += manifest_bytes(&reject);
        self.rejects.push(reject);
        self.read_from.get_or_insert(self.quantum_from);
        if self.rejects.len() >= MAX_REJECTS || self.reject_bytes >= MAX_REJECT_BYTES {
            self.close();
        }
    }

    /// Closes the open block, if it holds anything.
    pub fn close(&mut self) {
        if !self.is_empty() {
            self.close_block(false);
        }
    }

    /// Closes the open block, also if it is empty.
    pub fn close_empty(&mut self) {
        self.close_block(false);
    }

    /// Begins to take rows beyond the fence. Their blocks keep the current position, because such rows may still move: they are
    /// read again once the fence has passed them.
    ///
    /// # Errors
    /// [`BatchError`] if the position is not known.
    pub fn pin(&mut self) -> Result<(), BatchError> {
        self.close();
        self.pinned = Some(self.position()?);
        Ok(())
    }

    /// Drops the open rows beyond the fence and continues from the kept position.
    pub fn unpin(&mut self) {
        let Some(pinned) = self.pinned.take() else { return };
        self.discard_open();
        self.before = pinned;
    }

    /// Closes the open block, even if empty, as the one that completes a resynchronisation, and continues from the kept position.
    pub fn complete_resync(&mut self) {
        self.close_block(true);
        self.unpin();
    }

    fn close_block(&mut self, completes_resync: bool) {
        let after = match self.position() {
            Ok(after) => after,
            Err(fault) => {
                self.fault = Some(fault);
                return;
            }
        };
        let mut totals = Totals {
            rows: self.rows,
            deleted: self.deleted,
            withheld: self.withheld.values().sum(),
            ..Totals::default()
        };
        self.take_money(&mut totals);
        self.closed_count.rows += totals.rows;
        self.closed_count.withheld += totals.withheld;
        let pinned_or = |own: Option<Cursor>| self.pinned.clone().unwrap_or(own);
        let (cursor_before, cursor_after) = (pinned_or(self.before.take()), pinned_or(after.clone()));
        let block = Block {
            plain: std::mem::replace(&mut self.plain, Vec::with_capacity(BLOCK_CAPACITY)),
            totals,
            rejects: std::mem::take(&mut self.rejects),
            withheld: std::mem::take(&mut self.withheld),
            cursor_before,
            cursor_after,
            read_from: self.read_from.take().unwrap_or(self.quantum_from),
            completes_resync,
            repair: None,
        };
        (self.rows, self.deleted, self.reject_bytes) = (0, 0, 0);
        (self.before, self.last) = (after, LastRow::Nothing);
        self.closed.push(block);
    }

    /// Continues from an earlier position. A block without rows records it, so that a successor does the same.
    pub fn go_back(&mut self, to: Cursor) {
        self.close();
        if self.fault.is_some() {
            return;
        }
        let mut totals = Totals::default();
        self.take_money(&mut totals);
        self.closed.push(Block {
            plain: Vec::new(),
            totals,
            rejects: Vec::new(),
            withheld: BTreeMap::new(),
            cursor_before: self.before.replace(to.clone()),
            cursor_after: Some(to),
            read_from: self.quantum_from,
            completes_resync: false,
            repair: None,
        });
        self.last = LastRow::Nothing;
    }

    /// Discards the open block, which is read again from its start.
    pub fn discard_open(&mut self) {
        self.take_money(&mut Totals::default());
        self.plain.clear();
        self.rejects.clear();
        self.withheld.clear();
        (self.rows, self.deleted, self.reject_bytes) = (0, 0, 0);
        (self.last, self.read_from) = (LastRow::Nothing, None);
    }

    /// Discards everything, because there is no position to continue from.
    pub fn reset(&mut self) {
        self.discard_open();
        self.closed.clear();
        (self.closed_count, self.before) = (RowCount::default(), None);
    }

    /// Returns the blocks closed since the last call, in order.
    pub fn take_closed(&mut self) -> Vec<Block> {
        std::mem::take(&mut self.closed)
    }

    /// Moves the totals of the money columns out and resets them.
    fn take_money(&mut self, totals: &mut Totals) {
        for (name, _, total) in &mut self.money {
            let total = std::mem::take(total);
            if total.unsummed() > 0 {
                totals.unsummed.insert(name.clone(), total.unsummed());
            }
            totals.money.insert(name.clone(), total.to_string());
        }
    }
}

/// Returns the index of a column; `what` names its role in the error.
pub(crate) fn column_index(schema: &RowSchema, what: &'static str, name: &str) -> Result<usize, BatchError> {
    schema.index_of(name).ok_or_else(|| BatchError::Column {
        what,
        name: name.to_owned(),
    })
}

/// Returns the indices of columns.
pub(crate) fn column_indices(
    schema: &RowSchema,
    what: &'static str,
    names: &[String],
) -> Result<Vec<usize>, BatchError> {
    let index = |name: &String| column_index(schema, what, name);
    names.iter().map(index).collect()
}

/// Returns the maximum size of a reject in the manifest: JSON may escape one byte as six.
fn manifest_bytes(reject: &Reject) -> usize {
    let scalar_bytes = |value: &Option<Scalar>| match value {
        Some(Scalar::Text(text)) => text.len() * 6,
        _ => 24,
    };
    let column = reject.column.as_ref().map_or(0, String::len);
    (column + reject.reason.len()) * 6 + reject.key.iter().map(scalar_bytes).sum::<usize>() + 80
}
