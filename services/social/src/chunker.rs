//! PURE: rows become blocks, the bodies of chunks.
//!
//! A block is closed when its packed rows reach [`CLOSE_AT`], when it is older than the
//! configured time, and when the gate shuts; the last two are asked for from outside. Rows are
//! packed once, into one growing buffer; the position after a block is read back from its last
//! packed row, so that no value is copied for the cursor's sake. Of a row only that is packed which the recipient
//! may see: positions and persons are read from the source's row, everything else from the row that is sent.
//!
//! - `block` what is made of rows; `sink` takes them, `reject` tells those that no message carries
//! - `places` where named columns stand; `position` what a row's position is; `sums` totals of money

mod block;
mod places;
mod position;
mod reject;
mod sink;
mod sums;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use requests::mask::plan::Plan;
use schemas::body::CLOSE_AT;
use schemas::column::RowSchema;
use schemas::cursor::Cursor;
use schemas::manifest::{Reject, Totals};

use crate::hold::Withhold;
use crate::mask::Masks;

use places::{Sent, places};
use position::Positions;
use sums::Sums;

pub use block::{Block, ChunkerError};

/// More rejects than this close a block: they travel in the manifest.
const MOST_REJECTS: usize = 500;

/// So do rejects of more bytes than this: keys of many columns, each of them escaped in JSON.
const MOST_REJECTED: usize = 500_000;

/// A key value longer than this is not repeated in a reject.
const MOST_KEY: usize = 256;

#[derive(Debug, Clone)]
enum Last {
    Nothing,
    Row {
        start: usize,
    },
    /// A row that is in no body: rejected, or kept back.
    Passed(Cursor),
}

/// Takes rows and closes blocks.
#[derive(Debug)]
pub struct Chunker {
    /// Of the source's row.
    columns: Vec<String>,
    positions: Positions,
    /// What is sent of it, where that is not all.
    shown: Option<(Arc<Masks>, Arc<Plan>)>,
    /// Of the row that is sent.
    sent: Sent,
    money: Sums,
    withhold: Option<(usize, Arc<Withhold>)>,
    withheld: BTreeMap<String, u64>,
    plain: Vec<u8>,
    rows: u64,
    deleted: u64,
    rejects: Vec<Reject>,
    rejected: usize,
    before: Option<Cursor>,
    last: Last,
    /// While rows beyond the fence are taken: the position that their blocks keep.
    pinned: Option<Option<Cursor>>,
    read_from: Option<Timestamp>,
    quantum_from: Timestamp,
    packed: usize,
    closed: Vec<Block>,
    fault: Option<ChunkerError>,
}

impl Chunker {
    /// For rows of this schema behind `before`.
    ///
    /// # Errors
    /// [`ChunkerError::Column`] when a named column is missing.
    pub fn new(
        schema: &RowSchema,
        cursor: &[String],
        money: &[String],
        before: Option<Cursor>,
    ) -> Result<Self, ChunkerError> {
        Self::masking(schema, cursor, money, before, None)
    }

    /// The same, packing only what masks show. The sums of masked money columns are left out.
    ///
    /// # Errors
    /// [`ChunkerError`] when a named column is missing, or a mask cannot be.
    pub fn masking(
        schema: &RowSchema,
        cursor: &[String],
        money: &[String],
        before: Option<Cursor>,
        masks: Option<Arc<Masks>>,
    ) -> Result<Self, ChunkerError> {
        // A name that the source does not bring is told as that, masked or not.
        for (what, names) in [
            ("key", schema.key.as_slice()),
            ("cursor", cursor),
            ("money", money),
        ] {
            places(schema, what, names)?;
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
            money: Sums::new(sent, money)?,
            sent: Sent::of(sent)?,
            shown,
            withhold: None,
            withheld: BTreeMap::new(),
            plain: Vec::with_capacity(CLOSE_AT + CLOSE_AT / 8),
            rows: 0,
            deleted: 0,
            rejects: Vec::new(),
            rejected: 0,
            before,
            last: Last::Nothing,
            pinned: None,
            read_from: None,
            quantum_from: Timestamp::UNIX_EPOCH,
            packed: 0,
            closed: Vec::new(),
            fault: None,
        })
    }

    /// The same, keeping rows back.
    ///
    /// # Errors
    /// [`ChunkerError::Column`] when the column that names persons is missing.
    pub fn withholding(mut self, withhold: Option<Arc<Withhold>>) -> Result<Self, ChunkerError> {
        let Some(withhold) = withhold else { return Ok(self) };
        let place = self.columns.iter().position(|name| name == withhold.column());
        let place = place.ok_or_else(|| ChunkerError::Column {
            what: "person",
            name: withhold.column().to_owned(),
        })?;
        self.withhold = Some((place, withhold));
        Ok(self)
    }

    /// One for rows of other columns that goes on where this one stands. What this one holds open
    /// stays with it, so close it before.
    ///
    /// # Errors
    /// [`ChunkerError`] when a named column is missing, or the position cannot be told.
    pub fn reshaped(
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
        Self::masking(schema, cursor, money, at, masks)?.withholding(withhold)
    }

    /// The columns that are packed.
    #[must_use]
    pub fn schema(&self) -> &Arc<RowSchema> {
        &self.sent.schema
    }

    /// What the recipient sees of rows; none: all of them.
    #[must_use]
    pub fn masks(&self) -> Option<&Masks> {
        self.shown.as_ref().map(|(masks, _)| &**masks)
    }

    /// Which rows it keeps back.
    #[must_use]
    pub fn withhold(&self) -> Option<&Withhold> {
        self.withhold.as_ref().map(|(_, withhold)| &**withhold)
    }

    /// A quantum begins.
    pub fn begin_quantum(&mut self, at: Timestamp) {
        self.quantum_from = at;
        self.packed = 0;
    }

    /// Packed bytes since the quantum began.
    #[must_use]
    pub fn packed(&self) -> usize {
        self.packed
    }

    /// When the open block's first row was read; none while there is none.
    #[must_use]
    pub fn open_since(&self) -> Option<Timestamp> {
        self.read_from
    }

    /// The position after everything taken so far: where the next quantum goes on.
    ///
    /// # Errors
    /// [`ChunkerError`] should the last row not read back.
    pub fn position(&self) -> Result<Option<Cursor>, ChunkerError> {
        match &self.last {
            Last::Nothing => Ok(self.before.clone()),
            Last::Passed(cursor) => Ok(Some(cursor.clone())),
            Last::Row { start } => {
                let gone = || ChunkerError::Cursor("its bytes are gone".to_owned());
                let bytes = self.plain.get(*start..).ok_or_else(gone)?;
                self.positions.of_packed(bytes).map(Some)
            }
        }
    }

    /// The row that nothing can be read behind, if one came. What came before it is kept, what
    /// came after it was not taken, and the position stands right before it.
    pub fn take_fault(&mut self) -> Option<ChunkerError> {
        self.fault.take()
    }

    /// Whether such a row came.
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

    /// Begins to take rows beyond the fence. Their blocks keep the position where it is now, because such rows may still
    /// change places: they are read again once the fence has passed them.
    ///
    /// # Errors
    /// [`ChunkerError`] should the position not be known.
    pub fn pin(&mut self) -> Result<(), ChunkerError> {
        self.close();
        self.pinned = Some(self.position()?);
        Ok(())
    }

    /// Drops the open rows beyond the fence, and goes on from the position that was kept.
    pub fn unpin(&mut self) {
        let Some(pinned) = self.pinned.take() else { return };
        self.money.take(&mut Totals::default());
        self.plain.clear();
        self.rejects.clear();
        self.withheld.clear();
        (self.rows, self.deleted, self.rejected) = (0, 0, 0);
        (self.before, self.last, self.read_from) = (pinned, Last::Nothing, None);
    }

    /// Closes the open block, even an empty one, as the one that completes a resynchronisation, and goes on from the position
    /// that was kept.
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
        let kept = |own: Option<Cursor>| self.pinned.clone().unwrap_or(own);
        let (cursor_before, cursor_after) = (kept(self.before.take()), kept(after.clone()));
        let block = Block {
            plain: std::mem::replace(&mut self.plain, Vec::with_capacity(CLOSE_AT + CLOSE_AT / 8)),
            totals,
            rejects: std::mem::take(&mut self.rejects),
            withheld: std::mem::take(&mut self.withheld),
            cursor_before,
            cursor_after,
            read_from: self.read_from.take().unwrap_or(self.quantum_from),
            completes_resync,
        };
        (self.rows, self.deleted, self.rejected) = (0, 0, 0);
        (self.before, self.last) = (after, Last::Nothing);
        self.closed.push(block);
    }

    /// Goes on from a position before the one that was reached: a block without rows says so, so that whoever reads
    /// on after a restart does the same.
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
        self.last = Last::Nothing;
    }

    /// The blocks closed since the last call, in order.
    pub fn take_closed(&mut self) -> Vec<Block> {
        std::mem::take(&mut self.closed)
    }
}

#[cfg(test)]
mod tests;
