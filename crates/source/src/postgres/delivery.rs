//! Delivers rows to the sink, one row late: the next row may share the cursor of the last one.

use std::collections::HashSet;

use tokio_postgres::Row;

use schemas::cursor::{Cursor, Scalar};
use schemas::key::pack_key;
use schemas::manifest::Reject;
use schemas::value::Value;

use super::cell::{self, Wire};
use super::checked_feed::CheckedFeed;
use crate::error::{Error, ErrorKind, Result};
use crate::port::RowSink;

/// Delivers rows to the sink. Holds the last row until the next one is known.
pub(super) struct Delivery<'a> {
    checked: &'a CheckedFeed,
    rows: &'a mut dyn RowSink,
    values: Vec<Value<'static>>,
    /// The texts of a row's values that are not sent as text, and where each ends.
    texts: String,
    ends: Vec<usize>,
    delivered_count: u64,
    held: Option<Row>,
    /// Keys of this read, if the catalogue does not prove that each occurs once.
    keys: HashSet<Vec<u8>>,
}

impl<'a> Delivery<'a> {
    pub(super) fn new(checked: &'a CheckedFeed, rows: &'a mut dyn RowSink) -> Self {
        Self {
            checked,
            rows,
            values: Vec::new(),
            texts: String::new(),
            ends: Vec::new(),
            delivered_count: 0,
            held: None,
            keys: HashSet::new(),
        }
    }

    /// Returns the number of rows and rejects given to the sink.
    pub(super) fn delivered_count(&self) -> u64 {
        self.delivered_count
    }

    /// Takes the next row, and delivers the one before it.
    pub(super) fn take(&mut self, row: Row) -> Result<()> {
        let refused = |what: String, remedy: &str| Err(Error::new(ErrorKind::Refused, what, remedy));
        let names = || {
            self.checked
                .keyset
                .cursor
                .iter()
                .map(|one| one.name.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        };
        if self
            .checked
            .cursor
            .iter()
            .any(|place| cell::raw(&row, *place).is_none())
        {
            return refused(
                format!("a row has a null in cursor ({})", names()),
                "make the columns NOT NULL, or exclude such rows in the feed's sql",
            );
        }
        // A position must be valid text, or reading could not continue from it.
        let wire = |place: &usize| self.checked.wires.get(*place).copied().unwrap_or(Wire::Text);
        self.texts.clear();
        let texts = &mut self.texts;
        if self
            .checked
            .cursor
            .iter()
            .any(|place| cell::value(&row, *place, wire(place), texts).is_none())
        {
            return refused(
                format!("a row has invalid UTF-8 text in cursor ({})", names()),
                "correct the row's bytes, or order by columns of another type",
            );
        }
        if let Some(held) = &self.held
            && !self.checked.cursor.is_empty()
            && self
                .checked
                .cursor
                .iter()
                .all(|place| cell::raw(held, *place) == cell::raw(&row, *place))
        {
            return refused(
                format!("cursor ({}) is not unique: two rows share one", names()),
                "end the cursor with a column that is unique",
            );
        }
        if let Some(refusal) = &self.checked.key_repeated
            && let Some(key) = encode_key(&row, self.checked)
            && !self.keys.insert(key)
        {
            return Err(refusal.clone());
        }
        self.deliver();
        self.held = Some(row);
        Ok(())
    }

    /// Delivers the held row.
    pub(super) fn deliver(&mut self) {
        let Some(row) = self.held.take() else { return };
        self.delivered_count += 1;
        let mut values = recycle(std::mem::take(&mut self.values));
        let (wires, mut texts) = (&self.checked.wires, std::mem::take(&mut self.texts));
        let decoded = cell::all(&row, wires, &mut texts, &mut self.ends, &mut values);
        if decoded.is_ok() {
            self.rows.row(&values);
        }
        self.values = recycle(values);
        self.texts = texts;
        if let Err(fault) = decoded {
            self.reject(&row, fault);
        }
    }

    fn reject(&mut self, row: &Row, fault: usize) {
        let schema = &self.checked.schema;
        let wire = |place: usize| self.checked.wires.get(place).copied().unwrap_or(Wire::Text);
        let scalar = |place: usize| {
            let mut text = String::new();
            Scalar::from_value(cell::value(row, place, wire(place), &mut text)?).ok()
        };
        let cursor = self
            .checked
            .cursor
            .iter()
            .filter_map(|place| scalar(*place))
            .collect();
        let named = |place: usize| {
            let mut text = String::new();
            Scalar::from_key_value(cell::value(row, place, wire(place), &mut text)?)
        };
        let key = schema
            .key
            .iter()
            .map(|name| schema.index_of(name).and_then(named))
            .collect();
        let column = schema.columns.get(fault).map(|column| column.name.clone());
        let reason = "the value's bytes are not what its type promises".to_owned();
        self.rows.reject(Cursor(cursor), Reject { key, column, reason });
    }
}

/// Encodes a row's key in its canonical format, or returns `None` if a part is null or invalid, which makes the row a reject.
fn encode_key(row: &Row, checked: &CheckedFeed) -> Option<Vec<u8>> {
    let mut texts = vec![String::new(); checked.key.len()];
    let mut parts = Vec::with_capacity(checked.key.len());
    for (place, text) in checked.key.iter().zip(&mut texts) {
        let (column, wire) = (checked.schema.columns.get(*place)?, *checked.wires.get(*place)?);
        match cell::value(row, *place, wire, text)? {
            Value::Null => return None,
            value => parts.push((&column.kind, value)),
        }
    }
    let mut packed = Vec::with_capacity(16);
    pack_key(parts, &mut packed).ok()?;
    Some(packed)
}

/// Empties a vector and reuses its memory for values of another lifetime.
fn recycle<'b>(mut values: Vec<Value<'_>>) -> Vec<Value<'b>> {
    values.clear();
    values.into_iter().map(|_| Value::Null).collect()
}
