//! Reads the properties of a table that decide how its rows are written. The table's owner may change them at any
//! time, so they are read in the transaction that writes.

use rusqlite::{Connection, params};

use crate::table::KEY;

/// How a row finds its older version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Merge {
    /// By the key columns.
    Typed,
    /// By the key columns, if the canonical key is equal too.
    Guarded,
    /// By the canonical key, which has a unique index.
    Keyed,
}

/// The properties of a table.
pub(super) struct Traits {
    /// Computed columns.
    pub(super) generated: Vec<String>,
    /// Whether a trigger may ignore a row, or refuse it after it was written.
    pub(super) is_watched: bool,
    /// How a row finds its older version.
    pub(super) merge: Merge,
}

impl Traits {
    /// Returns whether a column is written.
    pub(super) fn writes(&self, name: &str) -> bool {
        !self
            .generated
            .iter()
            .any(|generated| generated.eq_ignore_ascii_case(name))
    }
}

/// Reads the properties of a table.
pub(super) fn traits(tx: &Connection, table: &str) -> rusqlite::Result<Traits> {
    let generated = tx
        .prepare_cached("SELECT name FROM pragma_table_xinfo(?1) WHERE hidden IN (2, 3)")?
        .query_map([table], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<String>>>()?;
    let is_watched = tx
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE)",
        )?
        .query_row([table], |row| row.get(0))?;
    let has_form: bool = tx
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM pragma_table_xinfo(?1) WHERE name = ?2)")?
        .query_row(params![table, KEY], |row| row.get(0))?;
    let merge = match has_form && is_indexed(tx, table)? {
        true => Merge::Keyed,
        false if has_form => Merge::Guarded,
        false => Merge::Typed,
    };
    Ok(Traits {
        generated,
        is_watched,
        merge,
    })
}

/// Returns whether the canonical key has a unique index.
pub(super) fn is_indexed(tx: &Connection, table: &str) -> rusqlite::Result<bool> {
    tx.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM pragma_index_list(?1) l WHERE l.\"unique\" AND NOT l.partial \
         AND (SELECT group_concat(name) FROM pragma_index_info(l.name)) = ?2)",
    )?
    .query_row(params![table, KEY], |row| row.get(0))
}
