//! PURE: packs rows into blocks, the bodies of chunks.
//!
//! A block is closed when its packed rows reach [`CHUNK_TARGET_BYTES`]; callers close it when it is older than the configured time and
//! when the gate closes. Rows are packed once, into one growing buffer. The position after a block is parsed from its last
//! packed row, so that no value is copied for the cursor. Only what the recipient may see is packed: positions and persons come
//! from the source's row, everything else from the row that is sent.
//!
//! - `block` is the output; `sink` takes rows, `reject` handles rows that no message can carry
//! - `column_indices` finds columns; `position` makes cursors of rows; `money_totals` sums money columns

mod block;
mod column_indices;
mod money_totals;
mod position;
mod reject;
mod sink;

use std::collections::BTreeMap;
use std::sync::Arc;

use disclosure::mask::plan::Plan;
use jiff::Timestamp;
use schemas::body::CHUNK_TARGET_BYTES;
use schemas::column::RowSchema;
use schemas::cursor::Cursor;
use schemas::manifest::{Reject, Totals};

use crate::mask::Masks;
use disclosure::hold::RowFilterRules;

use column_indices::{SentColumns, column_indices};
use money_totals::MoneyTotals;
use position::Positions;

pub use block::{Block, ChunkerError};

/// The number of rejects that closes a block, because they are sent in the manifest.
const MAX_REJECTS: usize = 500;

/// The size of rejects that closes a block: keys may have many columns, and JSON escapes them.
const MAX_REJECT_BYTES: usize = 500_000;

/// A longer key value is left out of a reject.
const MAX_KEY_BYTES: usize = 256;

#[derive(Debug, Clone)]
enum LastRow {
    Nothing,
    Row {
        start: usize,
    },
    /// A row that is in no body: rejected or withheld.
    Passed(Cursor),
}

/// Packs rows and closes blocks.
#[derive(Debug)]
pub struct Chunker {
    /// The columns of the source's row.
    columns: Vec<String>,
    positions: Positions,
    /// The masks and their plan, if the recipient has any.
    shown: Option<(Arc<Masks>, Arc<Plan>)>,
    /// The columns of the row that is sent.
    sent: SentColumns,
    money: MoneyTotals,
    withhold: Option<(usize, Arc<RowFilterRules>)>,
    withheld: BTreeMap<String, u64>,
    plain: Vec<u8>,
    rows: u64,
    deleted: u64,
    rejects: Vec<Reject>,
    reject_bytes: usize,
    before: Option<Cursor>,
    last: LastRow,
    /// The fixed position of blocks beyond the fence, while such rows are taken.
    pinned: Option<Option<Cursor>>,
    read_from: Option<Timestamp>,
    quantum_from: Timestamp,
    packed: usize,
    closed: Vec<Block>,
    fault: Option<ChunkerError>,
}

impl Chunker {
    /// Creates a chunker for rows of this schema after `before`.
    ///
    /// # Errors
    /// [`ChunkerError::Column`] when a named column is missing.
    pub fn new(
        schema: &RowSchema,
        cursor: &[String],
        money: &[String],
        before: Option<Cursor>,
    ) -> Result<Self, ChunkerError> {
        Self::with_masks(schema, cursor, money, before, None)
    }

    /// Creates a chunker that packs masked rows. Masked money columns have no totals.
    ///
    /// # Errors
    /// [`ChunkerError`] if a named column is missing or a mask does not fit.
    pub fn with_masks(
        schema: &RowSchema,
        cursor: &[String],
        money: &[String],
        before: Option<Cursor>,
        masks: Option<Arc<Masks>>,
    ) -> Result<Self, ChunkerError> {
        // A column that the source lacks is reported as such, masked or not.
        for (what, names) in [
            ("key", schema.key.as_slice()),
            ("cursor", cursor),
            ("money", money),
        ] {
            column_indices(schema, what, names)?;
        }
        let shown = match masks {
            Some(masks) => {
                let plan = masks.plan(schema, cursor, money)?;
                Some((masks, Arc::new(plan)))
            }
            None => None,
        };
        let is_whole = |name: &&String| shown.as_ref().is_none_or(|(masks, _)| !masks.masks(name));
        let money: Vec<String> = money.iter().filter(is_whole).cloned().collect();
        let sent = shown.as_ref().map_or(schema, |(_, plan)| plan.schema());
        Ok(Self {
            columns: schema.columns.iter().map(|column| column.name.clone()).collect(),
            positions: Positions::new(schema, sent, cursor)?,
            money: MoneyTotals::new(sent, money)?,
            sent: SentColumns::of(sent)?,
            shown,
            withhold: None,
            withheld: BTreeMap::new(),
            plain: Vec::with_capacity(CHUNK_TARGET_BYTES + CHUNK_TARGET_BYTES / 8),
            rows: 0,
            deleted: 0,
            rejects: Vec::new(),
            reject_bytes: 0,
            before,
            last: LastRow::Nothing,
            pinned: None,
            read_from: None,
            quantum_from: Timestamp::UNIX_EPOCH,
            packed: 0,
            closed: Vec::new(),
            fault: None,
        })
    }

    /// Sets the rows to withhold.
    ///
    /// # Errors
    /// [`ChunkerError::Column`] when the column that names persons is missing.
    pub fn with_row_filter(mut self, withhold: Option<Arc<RowFilterRules>>) -> Result<Self, ChunkerError> {
        let Some(withhold) = withhold else { return Ok(self) };
        let index = self.columns.iter().position(|name| name == withhold.column());
        let index = index.ok_or_else(|| ChunkerError::Column {
            what: "person",
            name: withhold.column().to_owned(),
        })?;
        self.withhold = Some((index, withhold));
        Ok(self)
    }

    /// Creates a chunker for other columns that continues at this one's position. Close the open block first.
    ///
    /// # Errors
    /// [`ChunkerError`] if a named column is missing or the position is not known.
    pub fn with_schema(
        &self,
        schema: &RowSchema,
        cursor: &[String],
        money: &[String],
    ) -> Result<Self, ChunkerError> {
        let withhold = self.withhold.as_ref().map(|(_, withhold)| Arc::clone(withhold));
        let masks = self.shown.as_ref().map(|(masks, _)| Arc::clone(masks));
        let at = match &self.pinned {
            Some(pinned) => pinned.clone(),
            None => self.position()?,
        };
        Self::with_masks(schema, cursor, money, at, masks)?.with_row_filter(withhold)
    }

    /// Returns the columns that are packed.
    #[must_use]
    pub fn schema(&self) -> &Arc<RowSchema> {
        &self.sent.schema
    }

    /// Returns the recipient's masks; `None` if rows are sent whole.
    #[must_use]
    pub fn masks(&self) -> Option<&Masks> {
        self.shown.as_ref().map(|(masks, _)| &**masks)
    }

    /// Returns the rows to withhold.
    #[must_use]
    pub fn withhold(&self) -> Option<&RowFilterRules> {
        self.withhold.as_ref().map(|(_, withhold)| &**withhold)
    }

    /// Begins a quantum.
    pub fn begin_quantum(&mut self, at: Timestamp) {
        self.quantum_from = at;
        self.packed = 0;
    }

    /// Packed bytes since the quantum began.
    #[must_use]
    pub fn packed(&self) -> usize {
        self.packed
    }

    /// Returns when the first row of the open block was read.
    #[must_use]
    pub fn open_since(&self) -> Option<Timestamp> {
        self.read_from
    }

    /// Returns the position after all rows taken so far, where the next quantum continues.
    ///
    /// # Errors
    /// [`ChunkerError`] if the last row cannot be parsed.
    pub fn position(&self) -> Result<Option<Cursor>, ChunkerError> {
        match &self.last {
            LastRow::Nothing => Ok(self.before.clone()),
            LastRow::Passed(cursor) => Ok(Some(cursor.clone())),
            LastRow::Row { start } => {
                let missing = || ChunkerError::Cursor("its bytes are gone".to_owned());
                let bytes = self.plain.get(*start..).ok_or_else(missing)?;
                self.positions.packed_row_position(bytes).map(Some)
            }
        }
    }

    /// Returns the error of a row that reading cannot pass, if there was one. Earlier rows are kept, later ones were not taken,
    /// and the position is right before that row.
    pub fn take_fault(&mut self) -> Option<ChunkerError> {
        self.fault.take()
    }

    /// Returns whether there was such a row.
    #[must_use]
    pub fn has_fault(&self) -> bool {
        self.fault.is_some()
    }

    /// Closes the open block, if it holds anything.
    pub fn close(&mut self) {
        if self.rows > 0 || !self.rejects.is_empty() || !self.withheld.is_empty() {
            self.close_block(false);
        }
    }

    /// Begins to take rows beyond the fence. Their blocks keep the current position, because such rows may still move: they are
    /// read again once the fence has passed them.
    ///
    /// # Errors
    /// [`ChunkerError`] if the position is not known.
    pub fn pin(&mut self) -> Result<(), ChunkerError> {
        self.close();
        self.pinned = Some(self.position()?);
        Ok(())
    }

    /// Drops the open rows beyond the fence and continues from the kept position.
    pub fn unpin(&mut self) {
        let Some(pinned) = self.pinned.take() else { return };
        self.money.take(&mut Totals::default());
        self.plain.clear();
        self.rejects.clear();
        self.withheld.clear();
        (self.rows, self.deleted, self.reject_bytes) = (0, 0, 0);
        (self.before, self.last, self.read_from) = (pinned, LastRow::Nothing, None);
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
        self.money.take(&mut totals);
        let pinned_or = |own: Option<Cursor>| self.pinned.clone().unwrap_or(own);
        let (cursor_before, cursor_after) = (pinned_or(self.before.take()), pinned_or(after.clone()));
        let block = Block {
            plain: std::mem::replace(
                &mut self.plain,
                Vec::with_capacity(CHUNK_TARGET_BYTES + CHUNK_TARGET_BYTES / 8),
            ),
            totals,
            rejects: std::mem::take(&mut self.rejects),
            withheld: std::mem::take(&mut self.withheld),
            cursor_before,
            cursor_after,
            read_from: self.read_from.take().unwrap_or(self.quantum_from),
            completes_resync,
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
        self.money.take(&mut totals);
        self.closed.push(Block {
            plain: Vec::new(),
            totals,
            rejects: Vec::new(),
            withheld: BTreeMap::new(),
            cursor_before: self.before.replace(to.clone()),
            cursor_after: Some(to),
            read_from: self.quantum_from,
            completes_resync: false,
        });
        self.last = LastRow::Nothing;
    }

    /// Returns the blocks closed since the last call, in order.
    pub fn take_closed(&mut self) -> Vec<Block> {
        std::mem::take(&mut self.closed)
    }
}

#[cfg(test)]
mod tests;
