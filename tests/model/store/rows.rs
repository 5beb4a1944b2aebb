//! Rows of the simulated tables, and DDL.

use std::collections::{BTreeMap, BTreeSet};

use schemas::column::ColumnType;
use store::merge::{Effect, effect};
use store::table::shape::{Change, Step};
use store::table::type_widening::{Widening, widened};

use super::super::core::{Row, WIDE};
use super::super::exchange::Chunk;
use super::{Store, chunk_number};

/// Returns whether a permanent constraint of the receiver refuses the row.
pub(super) fn is_always_refused(row: &Row) -> bool {
    row.version % 29 == 0
}

impl Store {
    /// Applies the steps, as a database does.
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
                Step::Rename { from, to } if self.env.approval => {
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

    /// Merges a chunk's rows, or with `only` a single retried row. Returns how many rows were refused. Of a key that is in a chunk
    /// twice, only the newest row reaches the table and can be refused.
    pub(super) fn merge(&mut self, chunk: &Chunk, only: Option<usize>) -> u64 {
        let at = chunk_number(chunk);
        let Some(shape) = self.shape.clone().filter(|_| !chunk.rows.is_empty()) else {
            return 0;
        };
        let given = self.schemas[chunk.generation].clone();
        let index = given.index_of("version").unwrap();
        let kind = given.columns[index].kind.clone();
        let mapping = shape.mapping(&given, at, &self.layout);
        let column = if self.env.retired_columns {
            mapping.names[index].clone()
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
                self.quarantine_row(chunk, *ordinal);
            }
            !refuses
        });
        for (ordinal, row) in rows {
            if refused.contains(&ordinal) {
                continue;
            }
            let version = (row.key, row.version, row.deleted, false);
            if self.history.insert((at, ordinal), version).is_some() {
                self.record_violation(format!("{at:?} is twice in the history"));
            }
            self.check_fits(&column, &kind, row.version);
        }
        let guard = self.env.guard && (only.is_none() || self.env.retries_under_chunk_number);
        for (key, (_, row)) in last {
            // A chunk that is stored again overwrites what it stored before.
            let stored = self.rows.get(&key).map(|(chunk_number, ..)| *chunk_number);
            let stored = stored.filter(|there| only.is_some() || *there != at);
            let tombstone = self.tombstones.get(&key).copied();
            let effect = match (guard, row.deleted) {
                (true, deleted) => effect(at, deleted, stored, tombstone),
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
        self.env.quarantine && (is_always_refused(row) || !self.faults_ended && self.rng.percent(chance))
    }

    /// Checks that the column can hold the value, as a database does.
    fn check_fits(&mut self, column: &str, kind: &ColumnType, version: i64) {
        let fits = match self.columns.get(column) {
            None => false,
            Some(ColumnType::Int2) if version > WIDE => false,
            Some(holds) => {
                matches!(widened(holds, kind), Widening::Same | Widening::Narrower)
                    || (*holds == ColumnType::Int2 && *kind == ColumnType::Int8)
            }
        };
        if !fits {
            let holds = self.columns.get(column).cloned();
            self.record_violation(format!(
                "{version} of {kind:?} does not fit column {column} of {holds:?}"
            ));
        }
    }
}
