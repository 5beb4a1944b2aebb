//! Finds the owner of a table: reads `slacktide_tables` and compares it with the object that has the name now.
//!
//! A created table contains its mark as the name of a constraint in its definition. The transaction holds the file's
//! lock, so nothing changes between the comparison and the following statements.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::failure;
use crate::error::Result;
use crate::layout::{LaneTables, Role};
use crate::ownership::{Claim, FoundTable, TableRecord, claim, writable};

const TABLES_SQL: &str = "
CREATE TABLE IF NOT EXISTS slacktide_tables (
    recipient TEXT NOT NULL, owner TEXT NOT NULL, role TEXT NOT NULL,
    origin TEXT NOT NULL, table_name TEXT NOT NULL, mark TEXT NOT NULL, since TEXT NOT NULL,
    PRIMARY KEY (recipient, owner, role)) WITHOUT ROWID;
";

fn sql<T>(result: rusqlite::Result<T>) -> Result<T> {
    result.map_err(|error| failure::of(&error))
}

pub(super) fn prepare(tx: &Connection) -> Result<()> {
    sql(tx.execute_batch(TABLES_SQL))
}

/// Returns the object under a table's name.
pub(super) fn find_table(
    tx: &Connection,
    tables: &LaneTables,
    role: Role,
    table: &str,
) -> Result<FoundTable> {
    let existing: Option<(String, String)> = sql(tx
        .prepare_cached(
            "SELECT l.type, coalesce(m.sql, '') FROM pragma_table_list l LEFT JOIN sqlite_schema m \
             ON m.name = l.name AND m.type IN ('table', 'view') \
             WHERE l.schema = 'main' AND l.name = ?1 COLLATE NOCASE",
        )
        .and_then(|mut statement| {
            statement
                .query_row([table], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()
        }))?;
    let Some((kind, definition)) = existing else {
        return is_index(tx, table);
    };
    match kind.as_str() {
        "table" => {}
        "virtual" | "shadow" => return Ok(FoundTable::NotTable(format!("{kind} table"))),
        _ => return Ok(FoundTable::NotTable(kind)),
    }
    // A created table is found by the mark in its definition, an adopted one by its name.
    let owner: Option<(String, String, String, String)> = sql(tx
        .prepare_cached(
            "SELECT recipient, owner, role, origin FROM slacktide_tables WHERE CASE origin WHEN 'created' \
             THEN instr(?2, mark) > 0 ELSE table_name = ?1 COLLATE NOCASE END ORDER BY origin DESC LIMIT 1",
        )
        .and_then(|mut statement| {
            statement
                .query_row(params![table, definition], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
                })
                .optional()
        }))?;
    let Some((recipient, owner, of, origin)) = owner else {
        return Ok(FoundTable::Foreign);
    };
    let recorded = TableRecord {
        recipient,
        owner,
        role: of,
        origin,
    };
    Ok(recorded.found(tables, role))
}

/// An index shares the namespace of tables.
fn is_index(tx: &Connection, name: &str) -> Result<FoundTable> {
    let index: bool = sql(tx.query_row(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'index' AND name = ?1 COLLATE NOCASE)",
        [name],
        |row| row.get(0),
    ))?;
    Ok(if index {
        FoundTable::NotTable("index".to_owned())
    } else {
        FoundTable::Missing
    })
}

/// Decides how a lane gets a table.
pub(super) fn decide(tx: &Connection, tables: &LaneTables, role: Role, table: &str) -> Result<Claim> {
    claim(tables, role, table, &find_table(tx, tables, role, table)?)
}

/// Checks that the tables of these roles may be written; `false` if one of them must be adopted first.
pub(super) fn check_tables(tx: &Connection, tables: &LaneTables, roles: &[Role]) -> Result<bool> {
    let mut all = true;
    for (role, table) in tables.roles().filter(|(role, _)| roles.contains(role)) {
        all &= writable(tables, role, table, &find_table(tx, tables, role, table)?)?;
    }
    Ok(all)
}

/// Records the owner of a table.
pub(super) fn record(
    tx: &Connection,
    tables: &LaneTables,
    (role, table): (Role, &str),
    origin: &str,
    mark: &str,
) -> Result<()> {
    sql(tx.execute(
        // A recreated table must get the rows of the lost one, so its row count is kept.
        "INSERT INTO slacktide_tables (recipient, owner, role, origin, table_name, mark, since, base_rows) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, CASE ?4 WHEN 'created' THEN -coalesce((SELECT sum(rows_net) FROM slacktide_ledger \
         WHERE recipient = ?1 AND 'feed ' || feed = ?2), 0) END) \
         ON CONFLICT DO UPDATE SET origin = excluded.origin, table_name = excluded.table_name, mark = excluded.mark, \
         since = excluded.since",
        params![
            tables.owner.recipient().as_str(),
            tables.owner.key(),
            role.word(),
            origin,
            table,
            mark,
            Timestamp::now().to_string(),
        ],
    ))
    .map(|_| ())
}

/// Records the current name of an owner's table.
pub(super) fn rename(tx: &Connection, tables: &LaneTables, (role, table): (Role, &str)) -> Result<()> {
    sql(tx.execute(
        "UPDATE slacktide_tables SET table_name = ?4 WHERE recipient = ?1 AND owner = ?2 AND role = ?3",
        params![
            tables.owner.recipient().as_str(),
            tables.owner.key(),
            role.word(),
            table
        ],
    ))
    .map(|_| ())
}

/// Removes an owner's tables from the bookkeeping: they were renamed and have no owner.
pub(super) fn forget(tx: &Connection, tables: &LaneTables) -> Result<()> {
    sql(tx.execute(
        "DELETE FROM slacktide_tables WHERE recipient = ?1 AND owner = ?2",
        params![tables.owner.recipient().as_str(), tables.owner.key()],
    ))
    .map(|_| ())
}
