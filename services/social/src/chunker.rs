//! PURE: rows become blocks, the bodies of chunks.
//!
//! A block is closed when its packed rows reach [`CLOSE_AT`], when it is older than the
//! configured time, and when the gate shuts; the last two are asked for from outside. Rows are
//! packed once, into one growing buffer; the position after a block is read back from its last
//! packed row, so that no value is copied for the cursor's sake.

mod block;
mod sink;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use schemas::body::{CLOSE_AT, MOST_PLAIN};
use schemas::column::RowSchema;
use schemas::cursor::{Cursor, Scalar};
use schemas::manifest::{Reject, Totals};
use schemas::rows::RowReader;
use schemas::total::Total;
use schemas::value::Value;
use source::RowSink;

use crate::hold::Withhold;

pub use block::{Block, ChunkerError};

/// More rejects than this close a block: they travel in the manifest.
const MOST_REJECTS: usize = 500;

/// So do rejects of more bytes than this: keys of many columns, each of them escaped in JSON.
const MOST_REJECTED: usize = 500_000;

/// A key value longer than this is not repeated in a reject; a cursor value longer than
/// [`MOST_CURSOR`] is none.
const MOST_KEY: usize = 256;
const MOST_CURSOR: usize = 8_192;

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
    width: usize,
    key: Vec<usize>,
    cursor: Vec<usize>,
    money: Vec<(String, usize, Total)>,
    tombstone: Option<usize>,
    columns: Vec<String>,
    withhold: Option<(usize, Arc<Withhold>)>,
    withheld: BTreeMap<String, u64>,
    plain: Vec<u8>,
    rows: u64,
    deleted: u64,
    rejects: Vec<Reject>,
    rejected: usize,
    before: Option<Cursor>,
    last: Last,
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
        let place = |what, name: &String| {
            schema.index_of(name).ok_or_else(|| ChunkerError::Column {
                what,
                name: name.clone(),
            })
        };
        let places = |what, names: &[String]| {
            names
                .iter()
                .map(|name| place(what, name))
                .collect::<Result<Vec<_>, _>>()
        };
        Ok(Self {
            width: schema.columns.len(),
            key: places("key", &schema.key)?,
            cursor: places("cursor", cursor)?,
            money: money
                .iter()
                .map(|name| Ok((name.clone(), place("money", name)?, Total::default())))
                .collect::<Result<_, ChunkerError>>()?,
            tombstone: schema
                .tombstone
                .as_ref()
                .map(|name| place("tombstone", name))
                .transpose()?,
            columns: schema.columns.iter().map(|column| column.name.clone()).collect(),
            withhold: None,
            withheld: BTreeMap::new(),
            plain: Vec::with_capacity(CLOSE_AT + CLOSE_AT / 8),
            rows: 0,
            deleted: 0,
            rejects: Vec::new(),
            rejected: 0,
            before,
            last: Last::Nothing,
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
        Self::new(schema, cursor, money, self.position()?)?.withholding(withhold)
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
            Last::Row { start } => self.cursor_of_packed(*start, self.plain.len()).map(Some),
        }
    }

    /// The row that nothing can be read behind, if one came. What came before it is kept, what
    /// came after it was not taken, and the position stands right before it.
    pub fn take_fault(&mut self) -> Option<ChunkerError> {
        self.fault.take()
    }

    /// Closes the open block, if it holds anything.
    pub fn close(&mut self) {
        if self.rows == 0 && self.rejects.is_empty() && self.withheld.is_empty() {
            return;
        }
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
        for (name, _, total) in &mut self.money {
            let total = std::mem::take(total);
            if total.unsummed() > 0 {
                totals.unsummed.insert(name.clone(), total.unsummed());
            }
            totals.money.insert(name.clone(), total.to_string());
        }
        let block = Block {
            plain: std::mem::replace(&mut self.plain, Vec::with_capacity(CLOSE_AT + CLOSE_AT / 8)),
            totals,
            rejects: std::mem::take(&mut self.rejects),
            withheld: std::mem::take(&mut self.withheld),
            cursor_before: self.before.take(),
            cursor_after: after.clone(),
            read_from: self.read_from.take().unwrap_or(self.quantum_from),
        };
        (self.rows, self.deleted, self.rejected) = (0, 0, 0);
        (self.before, self.last) = (after, Last::Nothing);
        self.closed.push(block);
    }

    /// The blocks closed since the last call, in order.
    pub fn take_closed(&mut self) -> Vec<Block> {
        std::mem::take(&mut self.closed)
    }

    fn cursor_of_packed(&self, start: usize, end: usize) -> Result<Cursor, ChunkerError> {
        let broken = |what: &str| ChunkerError::Cursor(what.to_owned());
        let bytes = self
            .plain
            .get(start..end)
            .ok_or_else(|| broken("its bytes are gone"))?;
        let mut row = Vec::with_capacity(self.width);
        RowReader::new(bytes, self.width, 1)
            .next_into(&mut row)
            .map_err(|e| ChunkerError::Cursor(e.to_string()))?;
        self.cursor_of(&row)
    }

    fn cursor_of(&self, row: &[Value<'_>]) -> Result<Cursor, ChunkerError> {
        let scalar = |place: &usize| {
            let value = row.get(*place).copied().unwrap_or(Value::Null);
            let name = self.columns.get(*place).map_or("", String::as_str);
            if matches!(value, Value::Text(text) if text.len() > MOST_CURSOR) {
                return Err(ChunkerError::Cursor(format!(
                    "column {name:?} holds a text of over {MOST_CURSOR} bytes"
                )));
            }
            Scalar::from_value(value).map_err(|e| ChunkerError::Cursor(format!("column {name:?}: {e}")))
        };
        self.cursor
            .iter()
            .map(scalar)
            .collect::<Result<_, _>>()
            .map(Cursor)
    }

    fn has_cursor(&self, row: &[Value<'_>]) -> bool {
        self.cursor.iter().all(|place| match row.get(*place) {
            Some(Value::Int(_)) => true,
            Some(Value::Text(text)) => text.len() <= MOST_CURSOR,
            _ => false,
        })
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
        match self.cursor_of(row) {
            Ok(cursor) => {
                *self.withheld.entry(id).or_default() += 1;
                self.last = Last::Passed(cursor);
                self.read_from.get_or_insert(self.quantum_from);
            }
            Err(fault) => self.fault = Some(fault),
        }
        true
    }

    fn add(&mut self, row: &[Value<'_>], start: usize) {
        for (_, place, total) in &mut self.money {
            total.add(row.get(*place).copied().unwrap_or(Value::Null));
        }
        if self
            .tombstone
            .and_then(|place| row.get(place))
            .is_some_and(Value::is_tombstone)
        {
            self.deleted += 1;
        }
        self.rows += 1;
        self.last = Last::Row { start };
        self.read_from.get_or_insert(self.quantum_from);
    }

    fn too_large(&mut self, row: &[Value<'_>], bytes: usize) {
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
            key: self.key.iter().map(key).collect(),
            column: largest.and_then(|place| self.columns.get(place)).cloned(),
            reason: format!(
                "the row packs to {bytes} bytes, more than the {MOST_PLAIN} that a message carries"
            ),
        };
        match self.cursor_of(row) {
            Ok(cursor) => self.reject(cursor, reject),
            Err(fault) => self.fault = Some(fault),
        }
    }
}

/// At most so many bytes of the manifest are one reject's: a character of one byte may be escaped as six.
fn in_manifest(reject: &Reject) -> usize {
    let of = |value: &Option<Scalar>| match value {
        Some(Scalar::Text(text)) => text.len() * 6,
        _ => 24,
    };
    let column = reject.column.as_ref().map_or(0, String::len);
    (column + reject.reason.len()) * 6 + reject.key.iter().map(of).sum::<usize>() + 80
}

#[cfg(test)]
mod tests;
