//! PURE: decides which rows and columns of an answer the recipient receives, and batches them into the rows of parts.
//!
//! The order ensures that no denied value is ever packed: rows that the block list or a hold withholds are counted, rows beyond
//! the limit are not taken, and of the rest only granted columns pass, masked. Rows of the open block can be discarded
//! ([`AnswerBatcher::discard_open`]), because the rules may change between two quanta.

use std::sync::Arc;

use disclosure::blocklist::BLOCKLIST_ID;
use disclosure::mask::key::TokenKey;
use disclosure::mask::plan::Plan;
use disclosure::row_filter::{RowFilter, WithheldReason};
use jiff::Timestamp;
use schemas::body::MAX_PLAIN_BYTES;
use schemas::column::RowSchema;
use schemas::cursor::Cursor;
use schemas::digest::Digest;
use schemas::load::Load;
use schemas::manifest::Reject;
use schemas::value::Value;
use source::RowSink;

use crate::row_batch::RowBatch;
use crate::row_batcher::{BatchError, Positions, RowBatcher};

/// Batches the rows of one answer.
#[derive(Debug)]
pub struct AnswerBatcher {
    /// The rows that are sent.
    pub rows: RowBatcher,
    schema: Arc<RowSchema>,
    definition: Digest,
    /// The load since the open block began.
    load: Load,
    closed: Vec<RowBatch>,
    max_rows: u64,
    exceeds_limit: bool,
}

/// A column that the kind names and the source does not return.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it has no column {0:?}")]
pub struct MissingColumn(pub String);

impl From<BatchError> for MissingColumn {
    fn from(error: BatchError) -> Self {
        match error {
            BatchError::Column { name, .. } => Self(name),
            other => Self(other.to_string()),
        }
    }
}

impl AnswerBatcher {
    /// Creates a batcher for rows of the source's `schema`, of which `sent` is sent, by the kind's `definition`. `order` names
    /// columns of the source, `money` columns that are sent.
    ///
    /// # Errors
    /// [`MissingColumn`].
    pub fn new(
        schema: &RowSchema,
        sent: &RowSchema,
        order: &[String],
        money: &[String],
        definition: Digest,
    ) -> Result<Self, MissingColumn> {
        let positions = Positions::of_source(schema, order)?;
        Ok(Self {
            rows: RowBatcher::new(sent, positions, money.to_vec(), None)?,
            schema: Arc::new(sent.clone()),
            definition,
            load: Load::default(),
            closed: Vec::new(),
            max_rows: 0,
            exceeds_limit: false,
        })
    }

    /// Begins a quantum, after which there may be `max_rows` in all.
    pub fn begin_quantum(&mut self, at: Timestamp, max_rows: u64) {
        self.rows.begin_quantum(at);
        self.max_rows = max_rows;
    }

    /// Ends a quantum. Blocks that it closed were read until now, under this load.
    pub fn end_quantum(&mut self, at: Timestamp, load: Load) {
        gate::merge(&mut self.load, load);
        self.collect_closed(at);
    }

    /// Closes the open block, if it holds anything.
    pub fn close(&mut self, at: Timestamp) {
        self.rows.close();
        self.collect_closed(at);
    }

    fn collect_closed(&mut self, at: Timestamp) {
        for block in self.rows.take_closed() {
            let (schema, load) = (Arc::clone(&self.schema), self.load.clone());
            self.closed
                .push(RowBatch::new(block, schema, self.definition, load, at));
        }
        if self.rows.is_empty() {
            self.load = Load::default();
        }
    }

    /// Discards the open block, which is read again from its start.
    pub fn discard_open(&mut self) {
        self.rows.discard_open();
        (self.exceeds_limit, self.load) = (false, Load::default());
    }

    /// Discards everything, because there is no position to continue from.
    pub fn reset(&mut self) {
        self.rows.reset();
        self.closed.clear();
        self.discard_open();
    }

    /// Returns the rows of the parts closed since the last call, in order.
    pub fn take_closed(&mut self) -> Vec<RowBatch> {
        std::mem::take(&mut self.closed)
    }

    /// Returns where the next quantum continues; `None` for the start.
    #[must_use]
    pub fn after(&self) -> Option<Cursor> {
        // A position that was read from the source's row is never parsed.
        self.rows.position().ok().flatten()
    }

    /// Returns whether there were more rows than the limit.
    #[must_use]
    pub fn exceeds_limit(&self) -> bool {
        self.exceeds_limit
    }

    /// Returns the error that makes it impossible to continue, if any.
    pub fn take_error(&mut self) -> Option<String> {
        self.rows.take_fault().map(|fault| match fault {
            BatchError::Cursor(what) => format!("a column of its order: {what}"),
            BatchError::Pack(what) => what,
            other => other.to_string(),
        })
    }

    /// Returns whether one more row may be taken; if not, the answer exceeds its limit.
    fn has_room(&mut self) -> bool {
        self.exceeds_limit = self.rows.count().rows >= self.max_rows;
        !self.exceeds_limit
    }
}

/// Passes the rows of one quantum to the batcher.
pub struct BatcherSink<'a> {
    /// The batcher.
    pub batcher: &'a mut AnswerBatcher,
    /// The columns that are sent, with their masks.
    pub plan: &'a Plan,
    /// The recipient's token key.
    pub token: &'a TokenKey,
    /// Selects the rows to withhold.
    pub row_filter: &'a RowFilter<'a>,
}

impl RowSink for BatcherSink<'_> {
    fn row(&mut self, row: &[Value<'_>]) {
        let batcher = &mut *self.batcher;
        if batcher.rows.has_fault() || batcher.exceeds_limit {
            return;
        }
        if let Some(reason) = self.row_filter.withheld_reason(row) {
            let id = match reason {
                WithheldReason::Blocked => BLOCKLIST_ID,
                WithheldReason::Held(id) => id,
            };
            return batcher.rows.withhold(row, id);
        }
        if batcher.has_room() && batcher.rows.check_position(row) {
            let rows = &mut batcher.rows;
            self.plan
                .mask_row(row, self.token, |sent| rows.push(row, sent, false, too_large));
        }
    }

    fn reject(&mut self, cursor: Cursor, reject: Reject) {
        let batcher = &mut *self.batcher;
        if batcher.rows.has_fault() || batcher.exceeds_limit || !batcher.has_room() {
            return;
        }
        let is_sent = |column: &String| self.plan.schema().index_of(column).is_some();
        let reject = Reject {
            // The person is unknown, and the key may hold columns that are not granted.
            key: Vec::new(),
            column: reject.column.filter(is_sent),
            reason: reject.reason,
        };
        let position = (!cursor.0.is_empty()).then_some(cursor);
        batcher.rows.reject(position, reject);
    }
}

fn too_large(bytes: usize) -> Reject {
    Reject {
        key: Vec::new(),
        column: None,
        reason: format!(
            "the row packs to {bytes} bytes, more than the {MAX_PLAIN_BYTES} that a message carries"
        ),
    }
}

/// Returns the money columns that a grant's plan sends.
#[must_use]
pub fn money_sent(money: &[String], sent: &RowSchema) -> Vec<String> {
    money
        .iter()
        .filter(|name| sent.index_of(name).is_some())
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests;
