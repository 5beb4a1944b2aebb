//! Changes a column to a wider type, if its affinity does not hold it.

use rusqlite::{Connection, OptionalExtension, params};
use schemas::column::ColumnType;

use super::super::failure;
use super::super::native::declared;
use super::existing::{find, own_columns, run};
use crate::error::{Error, Result};
use crate::layout::{LaneTables, Role};
use crate::sql_name::quoted;

/// Changes the type of a column.
pub(super) fn retype(
    tx: &Connection,
    tables: &LaneTables,
    (role, table): (Role, &str),
    name: &str,
    (from, to): (&ColumnType, &ColumnType),
) -> Result<()> {
    let lane = &tables.lane;
    let existing = own_columns(tx, tables, role, table)?.unwrap_or_default();
    let Some(column) = find(&existing, name) else {
        return Ok(());
    };
    let (sql_table, sql_name) = (quoted(table), quoted(name));
    match (from, to) {
        (ColumnType::Date, ColumnType::Timestamp) => run(
            tx,
            &format!(
                "UPDATE {sql_table} SET {sql_name} = CASE WHEN {sql_name} LIKE '% BC' \
                 THEN substr({sql_name}, 1, length({sql_name}) - 3) || ' 00:00:00 BC' ELSE {sql_name} || ' 00:00:00' END \
                 WHERE {sql_name} IS NOT NULL AND {sql_name} NOT LIKE '%infinity' AND {sql_name} NOT LIKE '%:%'"
            ),
        ),
        // The owner chose another type, which is kept.
        (ColumnType::Int2 | ColumnType::Int4 | ColumnType::Int8, ColumnType::Decimal { .. })
            if column.kind.to_ascii_uppercase().contains("INT") =>
        {
            if column.bound || has_constraints(tx, table)? {
                return Err(Error::of_lane(
                    lane,
                    format!(
                        "column {sql_name} of {sql_table} became a decimal and cannot follow: the table has constraints of its own"
                    ),
                    format!(
                        "recreate the table with {sql_name} DECIMAL_TEXT and copy its rows; it is retried"
                    ),
                ));
            }
            rebuild_column(tx, table, name, &declared(to)).map_err(|error| {
                Error::of_lane(
                    lane,
                    format!("column {sql_name} of {sql_table} became a decimal and cannot follow: {}", error.what),
                    "drop the view, trigger or constraint that uses the column and make it again afterwards; it is tried \
                     again",
                )
            })
        }
        _ => Ok(()),
    }
}

/// Returns whether the table's definition contains constraints, which a rebuilt column would lose.
fn has_constraints(tx: &Connection, table: &str) -> Result<bool> {
    let words: Option<String> = tx
        .query_row(
            "SELECT upper(sql) FROM sqlite_master WHERE type = 'table' AND name = ?1 COLLATE NOCASE",
            [table],
            |row| row.get(0),
        )
        .optional()
        .map_err(|error| failure::of(&error))?;
    let words = words.unwrap_or_default();
    Ok(["CHECK", "REFERENCES", "GENERATED", "COLLATE", "UNIQUE"]
        .iter()
        .any(|word| words.contains(word)))
}

/// Rebuilds a column with another declared type, and its indexes.
fn rebuild_column(tx: &Connection, table: &str, name: &str, kind: &str) -> Result<()> {
    let indexes = || -> rusqlite::Result<Vec<(String, String)>> {
        tx.prepare(
            "SELECT m.name, m.sql FROM sqlite_master m WHERE m.type = 'index' AND m.tbl_name = ?1 COLLATE NOCASE \
             AND m.sql IS NOT NULL AND (EXISTS (SELECT 1 FROM pragma_index_xinfo(m.name) i \
             WHERE i.name = ?2 COLLATE NOCASE OR i.cid = -2) OR m.sql LIKE '%WHERE%')",
        )?
        .query_map(params![table, name], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
    };
    let indexes = indexes().map_err(|error| failure::of(&error))?;
    let (table, name) = (quoted(table), quoted(name));
    for (index, _) in &indexes {
        run(tx, &format!("DROP INDEX {}", quoted(index)))?;
    }
    run(
        tx,
        &format!(
            "ALTER TABLE {table} ADD COLUMN _slacktide_rebuilt {kind}; \
             UPDATE {table} SET _slacktide_rebuilt = CAST({name} AS TEXT); \
             ALTER TABLE {table} DROP COLUMN {name}; \
             ALTER TABLE {table} RENAME COLUMN _slacktide_rebuilt TO {name}"
        ),
    )?;
    for (_, sql) in &indexes {
        run(tx, sql)?;
    }
    Ok(())
}
