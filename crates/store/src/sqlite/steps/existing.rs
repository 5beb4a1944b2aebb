//! Reads and adds columns of existing tables.

use rusqlite::{Connection, ErrorCode};
use schemas::column::Column;

use super::super::native::declared;
use super::super::{failure, ownership};
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{LaneTables, Role};
use crate::ownership::Claim;
use crate::sql_name::quoted;

/// Runs statements that create or change tables. A retry meets the same error.
pub(super) fn run(tx: &Connection, sql: &str) -> Result<()> {
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

/// A column of an existing table.
pub(super) struct ExistingColumn {
    pub(super) name: String,
    /// The declared type.
    pub(super) kind: String,
    /// Whether it has a constraint or a default.
    pub(super) bound: bool,
    pub(super) in_key: bool,
    /// Whether it is computed.
    pub(super) is_generated: bool,
}

/// Returns a table's columns; `None` if there is no such table.
pub(super) fn columns(tx: &Connection, table: &str) -> Result<Option<Vec<ExistingColumn>>> {
    let read = || {
        tx.prepare(
            "SELECT name, type, \"notnull\" OR dflt_value IS NOT NULL, pk > 0, hidden IN (2, 3) \
             FROM pragma_table_xinfo(?1)",
        )?
        .query_map([table], |row| {
            Ok(ExistingColumn {
                name: row.get(0)?,
                kind: row.get(1)?,
                bound: row.get(2)?,
                in_key: row.get(3)?,
                is_generated: row.get(4)?,
            })
        })?
        .collect::<rusqlite::Result<Vec<ExistingColumn>>>()
    };
    let found = read().map_err(|error| failure::of(&error))?;
    Ok((!found.is_empty()).then_some(found))
}

/// Returns the columns of the owner's table; `None` if there is no table. A table of another owner is an error.
pub(super) fn own_columns(
    tx: &Connection,
    tables: &LaneTables,
    role: Role,
    table: &str,
) -> Result<Option<Vec<ExistingColumn>>> {
    match ownership::decide(tx, tables, role, table)? {
        Claim::Make | Claim::Adopt => Ok(None),
        Claim::Use => columns(tx, table),
    }
}

/// Finds a column by name, as SQLite compares names.
pub(super) fn find<'a>(existing: &'a [ExistingColumn], name: &str) -> Option<&'a ExistingColumn> {
    existing
        .iter()
        .find(|known| known.name.eq_ignore_ascii_case(name))
}

/// Adds a missing column.
pub(super) fn add(tx: &Connection, table: &str, existing: &[ExistingColumn], column: &Column) -> Result<()> {
    if find(existing, &column.name).is_some() {
        return Ok(());
    }
    let (table, name, kind) = (quoted(table), quoted(&column.name), declared(&column.kind));
    run(tx, &format!("ALTER TABLE {table} ADD COLUMN {name} {kind}"))
}
