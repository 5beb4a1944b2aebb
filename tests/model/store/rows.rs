//! Rows into the tables, and what the tables do for it.

use std::collections::{BTreeMap, BTreeSet};

use schemas::column::ColumnType;
use store::merge::{Effect, effect};
use store::table::lattice::{Widening, widened};
use store::table::shape::{Change, Step};

use super::super::core::{Row, WIDE};
use super::super::exchange::Chunk;
use super::{Store, place};

/// A constraint of the receiver's own that stays.
pub(super) fn stubborn(row: &Row) -> bool {
    row.version % 29 == 0
}

impl Store {
    /// What a database does for the steps.
    pub(super) fn alter(&mut self, change: &Change) {
        for step in &change.steps {
            match step {
                Step::Make => {
                    let columns = change.shape.columns(&self.layout);
                    self.columns
                        .extend(columns.into_iter().map(|column| (column.name, column.kind)));
                }
                Step::Add(column) => {
                    self.columns
                        .entry(column.name.clone())
                        .or_insert_with(|| column.kind.clone());
                }
                Step::Retype { name, to, .. } if self.env.widening => {
                    self.columns.insert(name.clone(), to.clone());
                }
                Step::Rename { from, to } if self.env.asking => {
                    if let Some(kind) = self.columns.remove(from) {
                        self.columns.insert(to.clone(), kind);
                    }
                    for (_, column, _) in self.rows.values_mut().filter(|(_, column, _)| column == from) {
                        column.clone_from(to);
                    }
                }
                _ => {}
            }
        }
        self.shape = Some(change.shape.clone());
    }

    ///
    /// `only`: a single row of the chunk, tried again. Says how many rows were refused; of a key
    /// that stands in a chunk twice it is the newest that the table sees, and can refuse.
    pub(super) fn merge(&mut self, chunk: &Chunk, only: Option<usize>) -> u64 {
        let at = place(chunk);
        let Some(shape) = self.shape.clone().filter(|_| !chunk.rows.is_empty()) else {
            return 0;
        };
        let given = self.schemas[chunk.generation].clone();
        let index = given.index_of("version").unwrap();
        let kind = given.columns[index].kind.clone();
        let routes = shape.routes(&given, at, &self.layout);
        let column = if self.env.aside {
            routes.names[index].clone()
        } else {
            "version".to_owned()
        };
        let wanted = |ordinal: &usize| only.is_none_or(|only| only == *ordinal);
        let rows: Vec<(usize, Row)> = chunk.rows.iter().copied().enumerate().collect();
        let rows: Vec<(usize, Row)> = rows.into_iter().filter(|(at, _)| wanted(at)).collect();
        // Within a chunk the last version of a key wins.
        let mut last: BTreeMap<i64, (usize, Row)> =
            rows.iter().map(|(at, row)| (row.key, (*at, *row))).collect();
        let mut refused = BTreeSet::new();
        last.retain(|_, (ordinal, row)| {
            let refuses = self.refuses(row, only.is_some());
            if refuses {
                refused.insert(*ordinal);
                self.keep_row(chunk, *ordinal);
            }
            !refuses
        });
        for (ordinal, row) in rows {
            if refused.contains(&ordinal) {
                continue;
            }
            let version = (row.key, row.version, row.gone, false);
            if self.history.insert((at, ordinal), version).is_some() {
                self.violated(format!("{at:?} is twice in the history"));
            }
            self.must_fit(&column, &kind, row.version);
        }
        let guard = self.env.guard && (only.is_none() || self.env.retried_in_place);
        for (key, (_, row)) in last {
            // A chunk that is stored again goes over what it stored before.
            let stored = self.rows.get(&key).map(|(place, ..)| *place);
            let stored = stored.filter(|there| only.is_some() || *there != at);
            let tombstone = self.tombstones.get(&key).copied();
            let effect = match (guard, row.gone) {
                (true, gone) => effect(at, gone, stored, tombstone),
                (false, true) => Effect::Remove,
                (false, false) => Effect::Write,
            };
            match effect {
                Effect::Keep => {}
                Effect::Write => {
                    self.rows.insert(key, (at, column.clone(), row.version));
                    self.tombstones.remove(&key);
                }
                Effect::Remove => {
                    self.rows.remove(&key);
                    if self.env.tombstones {
                        self.tombstones.insert(key, at);
                    }
                }
            }
        }
        refused.len() as u64
    }

    fn refuses(&mut self, row: &Row, again: bool) -> bool {
        let chance = if again { 40 } else { 25 };
        self.env.quarantine && (stubborn(row) || !self.calm && self.chance.percent(chance))
    }

    /// What a database would say to the value.
    fn must_fit(&mut self, column: &str, kind: &ColumnType, version: i64) {
        let fits = match self.columns.get(column) {
            None => false,
            Some(ColumnType::Int2) if version > WIDE => false,
            Some(holds) => {
                matches!(widened(holds, kind), Widening::Alike | Widening::Narrower)
                    || (*holds == ColumnType::Int2 && *kind == ColumnType::Int8)
            }
        };
        if !fits {
            let holds = self.columns.get(column).cloned();
            self.violated(format!(
                "{version} of {kind:?} does not fit column {column} of {holds:?}"
            ));
        }
    }
}
