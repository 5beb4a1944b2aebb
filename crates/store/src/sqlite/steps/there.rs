//! What is there: a table's columns, read and added to.

use rusqlite::{ErrorCode, Transaction};
use schemas::column::Column;

use super::super::native::declared;
use super::super::{claims, failure};
use crate::claims::Claim;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{LaneTables, Role};
use crate::table::quoted;

/// Runs statements that make or change tables: what is wrong with one of them stays the same.
pub(super) fn run(tx: &Transaction<'_>, sql: &str) -> Result<()> {
    tx.execute_batch(sql).map_err(|error| {
        let is_lasting = error.sqlite_error_code() == Some(ErrorCode::Unknown);
        let error = failure::of(&error);
        match is_lasting {
            true => Error::new(
                ErrorKind::Refused,
                format!("the tables cannot be made or changed: {}", error.what),
                "make them fit, or name another table under [store.feed]",
            ),
            false => error,
        }
    })
}

/// A column of a table that is there.
pub(super) struct There {
    pub(super) name: String,
    /// As it was declared.
    pub(super) kind: String,
    /// It has a constraint or a default.
    pub(super) bound: bool,
    pub(super) in_key: bool,
    /// The table computes it.
    pub(super) is_generated: bool,
}

/// A table's columns; none where there is no such table.
pub(super) fn columns(tx: &Transaction<'_>, table: &str) -> Result<Option<Vec<There>>> {
    let read = || {
        tx.prepare(
            "SELECT name, type, \"notnull\" OR dflt_value IS NOT NULL, pk > 0, hidden IN (2, 3) \
             FROM pragma_table_xinfo(?1)",
        )?
        .query_map([table], |row| {
            Ok(There {
                name: row.get(0)?,
                kind: row.get(1)?,
                bound: row.get(2)?,
                in_key: row.get(3)?,
                is_generated: row.get(4)?,
            })
        })?
        .collect::<rusqlite::Result<Vec<There>>>()
    };
    let found = read().map_err(|error| failure::of(&error))?;
    Ok((!found.is_empty()).then_some(found))
}

/// The columns of a table of the owner's; none where there is no table. One of somebody else's is an error.
pub(super) fn own_columns(
    tx: &Transaction<'_>,
    tables: &LaneTables,
    role: Role,
    table: &str,
) -> Result<Option<Vec<There>>> {
    match claims::decide(tx, tables, role, table)? {
        Claim::Make | Claim::Adopt => Ok(None),
        Claim::Keep => columns(tx, table),
    }
}

/// By name, as SQLite compares names.
pub(super) fn find<'a>(there: &'a [There], name: &str) -> Option<&'a There> {
    there.iter().find(|known| known.name.eq_ignore_ascii_case(name))
}

/// Adds a column where it is not there.
pub(super) fn add(tx: &Transaction<'_>, table: &str, there: &[There], column: &Column) -> Result<()> {
    if find(there, &column.name).is_some() {
        return Ok(());
    }
    let (table, name, kind) = (quoted(table), quoted(&column.name), declared(&column.kind));
    run(tx, &format!("ALTER TABLE {table} ADD COLUMN {name} {kind}"))
}
