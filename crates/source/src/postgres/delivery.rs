//! Rows on their way to the sink, one behind: the last may be the first of two that share a cursor.

use std::collections::HashSet;

use tokio_postgres::Row;

use schemas::cursor::{Cursor, Scalar};
use schemas::key::pack_key;
use schemas::manifest::Reject;
use schemas::value::Value;

use super::cell::{self, Wire};
use super::check::Checked;
use crate::error::{Error, ErrorKind, Result};
use crate::port::RowSink;

/// Rows on their way to the sink; one is held back until the next was seen.
pub(super) struct Delivery<'a> {
    checked: &'a Checked,
    rows: &'a mut dyn RowSink,
    values: Vec<Value<'static>>,
    handed: u64,
    held: Option<Row>,
    /// Keys of this read, where the catalogue does not prove that each occurs once.
    keys: HashSet<Vec<u8>>,
}

impl<'a> Delivery<'a> {
    pub(super) fn new(checked: &'a Checked, rows: &'a mut dyn RowSink) -> Self {
        Self {
            checked,
            rows,
            values: Vec::new(),
            handed: 0,
            held: None,
            keys: HashSet::new(),
        }
    }

    /// Rows and rejects given to the sink.
    pub(super) fn handed(&self) -> u64 {
        self.handed
    }

    /// Takes the next row, and hands on the one before it.
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
                "make the columns NOT NULL, or leave such rows out in the feed's sql",
            );
        }
        // A position that cannot be told would be no position to go on from.
        let wire = |place: &usize| self.checked.wires.get(*place).copied().unwrap_or(Wire::Text);
        if self
            .checked
            .cursor
            .iter()
            .any(|place| cell::value(&row, *place, wire(place)).is_none())
        {
            return refused(
                format!("a row has bytes that are no UTF-8 text in cursor ({})", names()),
                "correct the row's bytes, or go by columns of another type",
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
            && let Some(key) = form_of_key(&row, self.checked)
            && !self.keys.insert(key)
        {
            return Err(refusal.clone());
        }
        self.hand_on();
        self.held = Some(row);
        Ok(())
    }

    /// Hands on the row held back.
    pub(super) fn hand_on(&mut self) {
        let Some(row) = self.held.take() else { return };
        self.handed += 1;
        let mut values = recycle(std::mem::take(&mut self.values));
        for (place, wire) in self.checked.wires.iter().enumerate() {
            match cell::value(&row, place, *wire) {
                Some(value) => values.push(value),
                None => return self.reject(&row, place),
            }
        }
        self.rows.row(&values);
        self.values = recycle(values);
    }

    fn reject(&mut self, row: &Row, fault: usize) {
        let schema = &self.checked.schema;
        let wire = |place: usize| self.checked.wires.get(place).copied().unwrap_or(Wire::Text);
        let scalar = |place: usize| Scalar::from_value(cell::value(row, place, wire(place))?).ok();
        let cursor = self
            .checked
            .cursor
            .iter()
            .filter_map(|place| scalar(*place))
            .collect();
        let named = |place: usize| Scalar::of_key(cell::value(row, place, wire(place))?);
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

/// A row's key in its one form; `None` where a part is null or has no value, which makes the row a reject.
fn form_of_key(row: &Row, checked: &Checked) -> Option<Vec<u8>> {
    let mut parts = Vec::with_capacity(checked.key.len());
    for place in &checked.key {
        let (column, wire) = (checked.schema.columns.get(*place)?, *checked.wires.get(*place)?);
        match cell::value(row, *place, wire)? {
            Value::Null => return None,
            value => parts.push((&column.kind, value)),
        }
    }
    let mut packed = Vec::with_capacity(16);
    pack_key(parts, &mut packed).ok()?;
    Some(packed)
}

/// Empties a vector and keeps its memory for values of another lifetime.
fn recycle<'b>(mut values: Vec<Value<'_>>) -> Vec<Value<'b>> {
    values.clear();
    values.into_iter().map(|_| Value::Null).collect()
}
