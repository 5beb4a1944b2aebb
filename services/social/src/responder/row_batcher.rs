//! PURE: batches rows of the source into the bodies of parts: filters, limits, masks and packs them.
//!
//! The order ensures that no denied value is ever packed: rows that the block list or a hold withholds are counted, rows beyond
//! the limit are not taken, and of the rest only granted columns pass, masked. Rows of the open block can be discarded
//! ([`RowBatcher::discard_open`]), because the rules may change between two quanta.

use disclosure::mask::key::TokenKey;
use disclosure::mask::plan::Plan;
use disclosure::row_filter::RowFilter;
use jiff::Timestamp;
use schemas::body::{CHUNK_TARGET_BYTES, MAX_PLAIN_BYTES};
use schemas::column::RowSchema;
use schemas::cursor::{Cursor, Scalar};
use schemas::load::Load;
use schemas::manifest::{Reject, Totals};
use schemas::rows;
use schemas::total::Total;
use schemas::value::Value;
use source::RowSink;

/// The maximum number of rejects in a part, whose manifest must stay small.
const MAX_REJECTS: usize = 500;

/// A closed block: the content of a part.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// Packed rows.
    pub plain: Vec<u8>,
    /// Control totals.
    pub totals: Totals,
    /// Rows that could not be carried.
    pub rejects: Vec<Reject>,
    /// When the quantum of its first row began.
    pub read_from: Timestamp,
    /// When the quantum of its last row ended.
    pub read_to: Timestamp,
    /// The load during the read.
    pub load: Load,
}

/// Batches rows into blocks.
#[derive(Debug)]
pub struct RowBatcher {
    order: Vec<usize>,
    money: Vec<(String, usize, Total)>,
    plain: Vec<u8>,
    open_count: RowCount,
    closed_count: RowCount,
    rejects: Vec<Reject>,
    after: Option<Cursor>,
    opened_after: Option<Cursor>,
    read_from: Option<Timestamp>,
    quantum_from: Timestamp,
    packed_bytes: usize,
    closed: Vec<Block>,
    load: Load,
    max_rows: u64,
    exceeds_limit: bool,
    error: Option<String>,
}

/// A column that the kind names and the source does not return.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it has no column {0:?}")]
pub struct MissingColumn(pub String);

/// The numbers of packed and withheld rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RowCount {
    /// Rows in a body.
    pub rows: u64,
    /// Rows in no body.
    pub withheld: u64,
}

impl RowBatcher {
    /// Creates a batcher for rows of the source's `schema`, of which `sent` is sent. `order` names columns of the source, `money`
    /// columns that are sent.
    ///
    /// # Errors
    /// [`MissingColumn`].
    pub fn new(
        schema: &RowSchema,
        sent: &RowSchema,
        order: &[String],
        money: &[String],
    ) -> Result<Self, MissingColumn> {
        let place = |schema: &RowSchema, name: &String| {
            schema.index_of(name).ok_or_else(|| MissingColumn(name.clone()))
        };
        Ok(Self {
            order: order
                .iter()
                .map(|name| place(schema, name))
                .collect::<Result<_, _>>()?,
            money: money
                .iter()
                .map(|name| Ok((name.clone(), place(sent, name)?, Total::default())))
                .collect::<Result<_, MissingColumn>>()?,
            plain: Vec::new(),
            open_count: RowCount::default(),
            closed_count: RowCount::default(),
            rejects: Vec::new(),
            after: None,
            opened_after: None,
            read_from: None,
            quantum_from: Timestamp::UNIX_EPOCH,
            packed_bytes: 0,
            closed: Vec::new(),
            load: Load::default(),
            max_rows: 0,
            exceeds_limit: false,
            error: None,
        })
    }

    /// Begins a quantum, after which there may be `max_rows` in all.
    pub fn begin_quantum(&mut self, at: Timestamp, max_rows: u64) {
        (self.quantum_from, self.packed_bytes, self.max_rows) = (at, 0, max_rows);
    }

    /// Ends a quantum. Blocks that it closed were read until now, under this load.
    pub fn end_quantum(&mut self, at: Timestamp, load: Load) {
        gate::merge(&mut self.load, load);
        for block in self
            .closed
            .iter_mut()
            .filter(|block| block.read_to < block.read_from)
        {
            block.read_to = at;
            block.load = self.load.clone();
        }
        if self.is_empty() {
            self.load = Load::default();
        }
    }

    /// Closes the open block, if it holds anything.
    pub fn close(&mut self, at: Timestamp) {
        self.close_block();
        for block in self
            .closed
            .iter_mut()
            .filter(|block| block.read_to < block.read_from)
        {
            block.read_to = at;
            block.load = self.load.clone();
        }
        if self.is_empty() {
            self.load = Load::default();
        }
    }

    fn close_block(&mut self) {
        if self.is_empty() {
            return;
        }
        let mut totals = Totals {
            rows: self.open_count.rows,
            withheld: self.open_count.withheld,
            ..Totals::default()
        };
        for (name, _, total) in &mut self.money {
            let total = std::mem::take(total);
            if total.unsummed() > 0 {
                totals.unsummed.insert(name.clone(), total.unsummed());
            }
            totals.money.insert(name.clone(), total.to_string());
        }
        let read_from = self.read_from.take().unwrap_or(self.quantum_from);
        self.closed.push(Block {
            plain: std::mem::take(&mut self.plain),
            totals,
            rejects: std::mem::take(&mut self.rejects),
            read_from,
            // A placeholder, set when the quantum ends.
            read_to: Timestamp::MIN,
            load: Load::default(),
        });
        self.closed_count.rows += self.open_count.rows;
        self.closed_count.withheld += self.open_count.withheld;
        self.open_count = RowCount::default();
        self.opened_after.clone_from(&self.after);
    }

    /// Discards the open block, which is read again from its start.
    pub fn discard_open(&mut self) {
        self.plain.clear();
        self.rejects.clear();
        self.open_count = RowCount::default();
        self.money
            .iter_mut()
            .for_each(|(_, _, total)| *total = Total::default());
        self.after.clone_from(&self.opened_after);
        (self.read_from, self.exceeds_limit, self.load) = (None, false, Load::default());
    }

    /// Discards everything, because there is no position to continue from.
    pub fn reset(&mut self) {
        self.closed.clear();
        (self.closed_count, self.opened_after) = (RowCount::default(), None);
        self.discard_open();
    }

    /// Returns the blocks closed since the last call, in order.
    pub fn take_closed(&mut self) -> Vec<Block> {
        std::mem::take(&mut self.closed)
    }

    /// Returns where the next quantum continues.
    #[must_use]
    pub fn after(&self) -> Option<&Cursor> {
        self.after.as_ref()
    }

    /// Returns the rows so far, in open and closed blocks.
    #[must_use]
    pub fn count(&self) -> RowCount {
        RowCount {
            rows: self.open_count.rows + self.closed_count.rows,
            withheld: self.open_count.withheld + self.closed_count.withheld,
        }
    }

    /// Returns whether there were more rows than the limit.
    #[must_use]
    pub fn exceeds_limit(&self) -> bool {
        self.exceeds_limit
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

    /// Returns the error that makes it impossible to continue, if any.
    pub fn take_error(&mut self) -> Option<String> {
        self.error.take()
    }

    fn is_empty(&self) -> bool {
        self.open_count == RowCount::default() && self.rejects.is_empty()
    }

    fn mark_read(&mut self) {
        self.read_from.get_or_insert(self.quantum_from);
    }

    /// Records the position after a row. Returns false if the row has none.
    fn record_position(&mut self, row: &[Value<'_>]) -> bool {
        let scalar = |place: &usize| Scalar::from_value(row.get(*place).copied().unwrap_or(Value::Null));
        match self.order.iter().map(scalar).collect::<Result<Vec<_>, _>>() {
            Ok(values) => {
                self.after = (!values.is_empty()).then_some(Cursor(values));
                true
            }
            Err(error) => {
                self.error = Some(format!("a column of its order: {error}"));
                false
            }
        }
    }

    /// Packs a row that is sent. Returns false on an error.
    fn push_row(&mut self, sent: &[Value<'_>]) -> bool {
        let start = self.plain.len();
        if let Err(error) = rows::pack(sent, &mut self.plain) {
            self.error = Some(error.to_string());
            return false;
        }
        let bytes = self.plain.len() - start;
        self.packed_bytes += bytes;
        if bytes > MAX_PLAIN_BYTES {
            self.plain.truncate(start);
            let what = format!(
                "the row packs to {bytes} bytes, more than the {MAX_PLAIN_BYTES} that a message carries"
            );
            self.push_reject(Reject {
                key: Vec::new(),
                column: None,
                reason: what,
            });
            return true;
        }
        if start > 0 && self.plain.len() > CHUNK_TARGET_BYTES {
            // The position is still before this row, which begins the next block.
            let next = self.plain.split_off(start);
            self.close_block();
            self.plain = next;
        }
        self.open_count.rows += 1;
        for (_, place, total) in &mut self.money {
            total.add(sent.get(*place).copied().unwrap_or(Value::Null));
        }
        true
    }

    fn push_reject(&mut self, reject: Reject) {
        self.rejects.push(reject);
    }
}

/// Passes the rows of one quantum to the batcher.
pub struct BatcherSink<'a> {
    /// The batcher.
    pub batcher: &'a mut RowBatcher,
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
        if batcher.error.is_some() || batcher.exceeds_limit {
            return;
        }
        if self.row_filter.withheld_reason(row).is_some() {
            if batcher.record_position(row) {
                batcher.open_count.withheld += 1;
                batcher.mark_read();
            }
            return;
        }
        if batcher.count().rows >= batcher.max_rows {
            batcher.exceeds_limit = true;
            return;
        }
        if self.plan.mask_row(row, self.token, |sent| batcher.push_row(sent)) && batcher.record_position(row)
        {
            batcher.mark_read();
        }
    }

    fn reject(&mut self, cursor: Cursor, reject: Reject) {
        let batcher = &mut *self.batcher;
        if batcher.error.is_some() || batcher.exceeds_limit {
            return;
        }
        if batcher.count().rows >= batcher.max_rows {
            batcher.exceeds_limit = true;
            return;
        }
        if batcher.rejects.len() >= MAX_REJECTS {
            batcher.close_block();
        }
        let is_sent = |column: &String| self.plan.schema().index_of(column).is_some();
        batcher.after = (!cursor.0.is_empty()).then_some(cursor);
        batcher.push_reject(Reject {
            // The person is unknown, and the key may hold columns that are not granted.
            key: Vec::new(),
            column: reject.column.filter(is_sent),
            reason: reject.reason,
        });
        batcher.mark_read();
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
