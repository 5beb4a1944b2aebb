//! PURE: rows of the source become the bodies of parts: screened, cut to what is granted, masked, packed.
//!
//! In this order, so that no denied value is ever packed: whom the block list or a hold names is kept back
//! and counted, what goes beyond the most rows is not taken, and of the rest only the granted columns pass, as
//! their masks show them. What was packed and not closed yet can be taken back ([`Packer::take_back`]), for
//! the lists may change between two quanta.

use jiff::Timestamp;
use requests::mask::key::TokenKey;
use requests::mask::plan::Plan;
use requests::screen::Screen;
use schemas::body::{CLOSE_AT, MOST_PLAIN};
use schemas::column::RowSchema;
use schemas::cursor::{Cursor, Scalar};
use schemas::load::Load;
use schemas::manifest::{Reject, Totals};
use schemas::rows;
use schemas::total::Total;
use schemas::value::Value;
use source::RowSink;

/// Rows that could not be carried travel in the part's clear or sealed half, which has to stay small.
const MOST_REJECTS: usize = 500;

/// A closed block: a part without its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// Packed rows.
    pub plain: Vec<u8>,
    /// Control totals.
    pub totals: Totals,
    /// Rows that could not be carried.
    pub rejects: Vec<Reject>,
    /// When the quantum began that brought its first row.
    pub read_from: Timestamp,
    /// When the quantum ended that brought its last row.
    pub read_to: Timestamp,
    /// The load under which it was read.
    pub load: Load,
}

/// Takes rows and closes blocks.
#[derive(Debug)]
pub struct Packer {
    order: Vec<usize>,
    money: Vec<(String, usize, Total)>,
    plain: Vec<u8>,
    open: Count,
    closed_count: Count,
    rejects: Vec<Reject>,
    after: Option<Cursor>,
    opened_after: Option<Cursor>,
    read_from: Option<Timestamp>,
    quantum_from: Timestamp,
    packed: usize,
    closed: Vec<Block>,
    load: Load,
    most_rows: u64,
    over: bool,
    fault: Option<String>,
}

/// Rows that passed, and rows that were kept back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// In a body.
    pub rows: u64,
    /// In none.
    pub withheld: u64,
}

impl Packer {
    /// For rows of the source's `schema` of which `sent` is sent. `order` are columns of the source's, `money` of
    /// those that are sent.
    ///
    /// # Errors
    /// The name of a column that is not there.
    pub fn new(
        schema: &RowSchema,
        sent: &RowSchema,
        order: &[String],
        money: &[String],
    ) -> Result<Self, String> {
        let place = |schema: &RowSchema, name: &String| schema.index_of(name).ok_or_else(|| name.clone());
        Ok(Self {
            order: order
                .iter()
                .map(|name| place(schema, name))
                .collect::<Result<_, _>>()?,
            money: money
                .iter()
                .map(|name| Ok((name.clone(), place(sent, name)?, Total::default())))
                .collect::<Result<_, String>>()?,
            plain: Vec::new(),
            open: Count::default(),
            closed_count: Count::default(),
            rejects: Vec::new(),
            after: None,
            opened_after: None,
            read_from: None,
            quantum_from: Timestamp::UNIX_EPOCH,
            packed: 0,
            closed: Vec::new(),
            load: Load::default(),
            most_rows: 0,
            over: false,
            fault: None,
        })
    }

    /// A quantum begins, after which there may be `most_rows` in all.
    pub fn begin_quantum(&mut self, at: Timestamp, most_rows: u64) {
        (self.quantum_from, self.packed, self.most_rows) = (at, 0, most_rows);
    }

    /// A quantum is over. What it closed was read until now, under this load.
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
        if self.is_clear() {
            self.load = Load::default();
        }
    }

    /// Closes the open block, if it holds anything.
    pub fn close(&mut self, at: Timestamp) {
        self.shut_block();
        for block in self
            .closed
            .iter_mut()
            .filter(|block| block.read_to < block.read_from)
        {
            block.read_to = at;
            block.load = self.load.clone();
        }
        if self.is_clear() {
            self.load = Load::default();
        }
    }

    fn shut_block(&mut self) {
        if self.is_clear() {
            return;
        }
        let mut totals = Totals {
            rows: self.open.rows,
            withheld: self.open.withheld,
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
            // Before it began: filled in when the quantum is over.
            read_to: Timestamp::MIN,
            load: Load::default(),
        });
        self.closed_count.rows += self.open.rows;
        self.closed_count.withheld += self.open.withheld;
        self.open = Count::default();
        self.opened_after.clone_from(&self.after);
    }

    /// Forgets what is not closed: it is read again, from where it began.
    pub fn take_back(&mut self) {
        self.plain.clear();
        self.rejects.clear();
        self.open = Count::default();
        self.money
            .iter_mut()
            .for_each(|(_, _, total)| *total = Total::default());
        self.after.clone_from(&self.opened_after);
        (self.read_from, self.over, self.load) = (None, false, Load::default());
    }

    /// Forgets everything: there is no place to go on from.
    pub fn restart(&mut self) {
        self.closed.clear();
        (self.closed_count, self.opened_after) = (Count::default(), None);
        self.take_back();
    }

    /// The blocks closed since the last call, in order.
    pub fn take_closed(&mut self) -> Vec<Block> {
        std::mem::take(&mut self.closed)
    }

    /// Where the next quantum goes on.
    #[must_use]
    pub fn after(&self) -> Option<&Cursor> {
        self.after.as_ref()
    }

    /// Rows so far, whether closed or not.
    #[must_use]
    pub fn count(&self) -> Count {
        Count {
            rows: self.open.rows + self.closed_count.rows,
            withheld: self.open.withheld + self.closed_count.withheld,
        }
    }

    /// Whether there were more rows than there may be.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Packed bytes since the quantum began.
    #[must_use]
    pub fn packed(&self) -> usize {
        self.packed
    }

    /// When the first row of the open block was read; none while there is none.
    #[must_use]
    pub fn open_since(&self) -> Option<Timestamp> {
        self.read_from
    }

    /// What makes it impossible to go on, if anything does.
    pub fn take_fault(&mut self) -> Option<String> {
        self.fault.take()
    }

    fn is_clear(&self) -> bool {
        self.open == Count::default() && self.rejects.is_empty()
    }

    fn passed(&mut self) {
        self.read_from.get_or_insert(self.quantum_from);
    }

    /// Notes the position; false: there is none behind this row.
    fn follow(&mut self, row: &[Value<'_>]) -> bool {
        let scalar = |place: &usize| Scalar::from_value(row.get(*place).copied().unwrap_or(Value::Null));
        match self.order.iter().map(scalar).collect::<Result<Vec<_>, _>>() {
            Ok(values) => {
                self.after = (!values.is_empty()).then_some(Cursor(values));
                true
            }
            Err(error) => {
                self.fault = Some(format!("a column of its order: {error}"));
                false
            }
        }
    }

    /// Packs what is sent of a row; false: it is nothing to go on with.
    fn take(&mut self, sent: &[Value<'_>]) -> bool {
        let start = self.plain.len();
        if let Err(error) = rows::pack(sent, &mut self.plain) {
            self.fault = Some(error.to_string());
            return false;
        }
        let bytes = self.plain.len() - start;
        self.packed += bytes;
        if bytes > MOST_PLAIN {
            self.plain.truncate(start);
            let what =
                format!("the row packs to {bytes} bytes, more than the {MOST_PLAIN} that a message carries");
            self.refuse(Reject {
                key: Vec::new(),
                column: None,
                reason: what,
            });
            return true;
        }
        if start > 0 && self.plain.len() > CLOSE_AT {
            // The position is still before this row, which begins the next block.
            let next = self.plain.split_off(start);
            self.shut_block();
            self.plain = next;
        }
        self.open.rows += 1;
        for (_, place, total) in &mut self.money {
            total.add(sent.get(*place).copied().unwrap_or(Value::Null));
        }
        true
    }

    fn refuse(&mut self, reject: Reject) {
        self.rejects.push(reject);
    }
}

/// One quantum's way into the packer.
pub struct Sink<'a> {
    /// Where rows go.
    pub packer: &'a mut Packer,
    /// Which columns are sent, and how.
    pub plan: &'a Plan,
    /// Makes the recipient's tokens.
    pub token: &'a TokenKey,
    /// Whose rows are kept back.
    pub screen: &'a Screen<'a>,
}

impl RowSink for Sink<'_> {
    fn row(&mut self, row: &[Value<'_>]) {
        let packer = &mut *self.packer;
        if packer.fault.is_some() || packer.over {
            return;
        }
        if self.screen.keeps_back(row).is_some() {
            if packer.follow(row) {
                packer.open.withheld += 1;
                packer.passed();
            }
            return;
        }
        if packer.count().rows >= packer.most_rows {
            packer.over = true;
            return;
        }
        if self.plan.with(row, self.token, |sent| packer.take(sent)) && packer.follow(row) {
            packer.passed();
        }
    }

    fn reject(&mut self, cursor: Cursor, reject: Reject) {
        let packer = &mut *self.packer;
        if packer.fault.is_some() || packer.over {
            return;
        }
        if packer.count().rows >= packer.most_rows {
            packer.over = true;
            return;
        }
        if packer.rejects.len() >= MOST_REJECTS {
            packer.shut_block();
        }
        let is_sent = |column: &String| self.plan.schema().index_of(column).is_some();
        packer.after = (!cursor.0.is_empty()).then_some(cursor);
        packer.refuse(Reject {
            // Whose row it is cannot be told, and its key may be what is not granted.
            key: Vec::new(),
            column: reject.column.filter(is_sent),
            reason: reject.reason,
        });
        packer.passed();
    }
}

/// The money columns that a grant's plan sends.
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
