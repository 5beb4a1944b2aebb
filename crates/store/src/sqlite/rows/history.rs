//! Writes every version into the history.

use jiff::Timestamp;
use rusqlite::{CachedStatement, Connection, params};
use schemas::column::RowSchema;

use super::super::numbers::int;
use super::super::traits::traits;
use super::{ChunkTarget, ColumnBinding, alone, bind, forms};
use crate::merge::{Fold, Version};
use crate::sql_name::{listed, quoted};
use crate::table::shape::ColumnMapping;
use crate::table::{DELETED, EPOCH, NUMBER, ORDINAL, STORED_AT};

/// The statements of a history.
pub(super) struct History<'tx> {
    is_watched: bool,
    insert: CachedStatement<'tx>,
    delete: CachedStatement<'tx>,
    cells: Vec<ColumnBinding>,
    first: u64,
    now: String,
}

impl<'tx> History<'tx> {
    pub(super) fn new(
        tx: &'tx Connection,
        to: &ChunkTarget<'_>,
        mapping: &ColumnMapping,
        schema: &RowSchema,
    ) -> rusqlite::Result<Self> {
        let table = quoted(&to.layout.history);
        let traits = traits(tx, &to.layout.history)?;
        let own = [EPOCH, NUMBER, ORDINAL, DELETED, STORED_AT];
        let names = mapping.names.iter().map(String::as_str).chain(own);
        let names: Vec<&str> = names.filter(|name| traits.writes(name)).collect();
        Ok(Self {
            is_watched: traits.is_watched,
            insert: tx.prepare_cached(&format!(
                "INSERT OR ABORT INTO {table} ({}) VALUES ({})",
                listed(names.iter().copied()),
                vec!["?"; names.len()].join(", ")
            ))?,
            delete: tx.prepare_cached(&format!(
                "DELETE FROM {table} WHERE {EPOCH} = ?1 AND {NUMBER} = ?2 AND {ORDINAL} = ?3"
            ))?,
            cells: forms(schema, mapping, &traits),
            first: to.first,
            now: Timestamp::now().to_string(),
        })
    }

    /// Writes a version; `false` if a trigger ignored it.
    pub(super) fn put(
        &mut self,
        tx: &Connection,
        fold: &Fold<'_>,
        version: &Version,
    ) -> rusqlite::Result<bool> {
        let bound = bind(&mut self.insert, fold.values(version), &self.cells)?;
        self.insert
            .raw_bind_parameter(bound + 1, version.chunk_number.epoch)?;
        self.insert
            .raw_bind_parameter(bound + 2, int(version.chunk_number.number))?;
        self.insert
            .raw_bind_parameter(bound + 3, int(self.first + version.ordinal))?;
        self.insert.raw_bind_parameter(bound + 4, version.deleted)?;
        self.insert.raw_bind_parameter(bound + 5, &self.now)?;
        let insert = &mut self.insert;
        let written = alone(tx, self.is_watched, || insert.raw_execute(), |count| *count > 0)?;
        Ok(written > 0)
    }

    /// Removes a version again.
    pub(super) fn take_back(&mut self, version: &Version) -> rusqlite::Result<()> {
        let ordinal = int(self.first + version.ordinal);
        self.delete
            .execute(params![
                version.chunk_number.epoch,
                int(version.chunk_number.number),
                ordinal
            ])
            .map(|_| ())
    }
}
