//! What of a table decides how its rows are written. Its owner may change all of it at any time, so it is read in the
//! transaction that writes.

use rusqlite::{Transaction, params};

use crate::table::KEY;

/// How rows find the older version of themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Merge {
    /// By the columns of the key.
    Typed,
    /// By the columns of the key, and only where the key in its one form is the same.
    Guarded,
    /// By the key in its one form, which has a unique index.
    Keyed,
}

/// What is to be known of a table.
pub(super) struct Traits {
    /// Columns that the table computes.
    pub(super) generated: Vec<String>,
    /// A trigger may leave a row out, or refuse it after it was written.
    pub(super) is_watched: bool,
    /// How rows find their older version.
    pub(super) merge: Merge,
}

impl Traits {
    /// Whether a column is written.
    pub(super) fn writes(&self, name: &str) -> bool {
        !self
            .generated
            .iter()
            .any(|generated| generated.eq_ignore_ascii_case(name))
    }
}

/// Reads what a table is like.
pub(super) fn traits(tx: &Transaction<'_>, table: &str) -> rusqlite::Result<Traits> {
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

/// Whether the key in its one form has a unique index.
pub(super) fn is_indexed(tx: &Transaction<'_>, table: &str) -> rusqlite::Result<bool> {
    tx.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM pragma_index_list(?1) l WHERE l.\"unique\" AND NOT l.partial \
         AND (SELECT group_concat(name) FROM pragma_index_info(l.name)) = ?2)",
    )?
    .query_row(params![table, KEY], |row| row.get(0))
}
