//! Whose a table is: read from the bookkeeping and compared with what stands under the name.
//!
//! A table that the store creates holds its mark as the name of a constraint in its own definition. The
//! transaction holds the file's lock, so nothing changes between the comparison and what follows.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};

use super::failure;
use crate::claims::{Claim, Found, Recorded, claim, writable};
use crate::error::Result;
use crate::layout::{LaneTables, Role};

const OWN: &str = "
CREATE TABLE IF NOT EXISTS slacktide_tables (
    recipient TEXT NOT NULL, owner TEXT NOT NULL, role TEXT NOT NULL,
    origin TEXT NOT NULL, table_name TEXT NOT NULL, mark TEXT NOT NULL, since TEXT NOT NULL,
    PRIMARY KEY (recipient, owner, role)) WITHOUT ROWID;
";

fn sql<T>(result: rusqlite::Result<T>) -> Result<T> {
    result.map_err(|error| failure::of(&error))
}

pub(super) fn prepare(tx: &Transaction<'_>) -> Result<()> {
    sql(tx.execute_batch(OWN))
}

/// Looks what stands under the name of a table.
pub(super) fn look(tx: &Transaction<'_>, tables: &LaneTables, role: Role, table: &str) -> Result<Found> {
    let there: Option<(String, String)> = sql(tx
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
    let Some((kind, definition)) = there else {
        return is_index(tx, table);
    };
    match kind.as_str() {
        "table" => {}
        "virtual" | "shadow" => return Ok(Found::NoTable(format!("{kind} table"))),
        _ => return Ok(Found::NoTable(kind)),
    }
    // A created table is known by the mark in its definition, one that was there before by its name.
    let owner: Option<(String, String, String, String)> = sql(tx
        .prepare_cached(
            "SELECT recipient, owner, role, origin FROM slacktide_tables WHERE CASE origin WHEN 'made' \
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
        return Ok(Found::Foreign);
    };
    let recorded = Recorded {
        recipient,
        owner,
        role: of,
        origin,
    };
    Ok(recorded.found(tables, role))
}

/// An index shares the names of tables.
fn is_index(tx: &Transaction<'_>, name: &str) -> Result<Found> {
    let index: bool = sql(tx.query_row(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'index' AND name = ?1 COLLATE NOCASE)",
        [name],
        |row| row.get(0),
    ))?;
    Ok(if index {
        Found::NoTable("index".to_owned())
    } else {
        Found::Nothing
    })
}

/// Decides how a lane gets a table.
pub(super) fn decide(tx: &Transaction<'_>, tables: &LaneTables, role: Role, table: &str) -> Result<Claim> {
    claim(tables, role, table, &look(tx, tables, role, table)?)
}

/// Checks that the tables of these roles may be written; `false` where one of them has to be adopted first.
pub(super) fn hold(tx: &Transaction<'_>, tables: &LaneTables, roles: &[Role]) -> Result<bool> {
    let mut all = true;
    for (role, table) in tables.roles().filter(|(role, _)| roles.contains(role)) {
        all &= writable(tables, role, table, &look(tx, tables, role, table)?)?;
    }
    Ok(all)
}

/// Records that a table is its owner's.
pub(super) fn record(
    tx: &Transaction<'_>,
    tables: &LaneTables,
    (role, table): (Role, &str),
    origin: &str,
    mark: &str,
) -> Result<()> {
    sql(tx.execute(
        // A table that was lost and is made again must have the rows that the lost one had: what was counted stays.
        "INSERT INTO slacktide_tables (recipient, owner, role, origin, table_name, mark, since, base) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, CASE ?4 WHEN 'made' THEN -coalesce((SELECT sum(rows_net) FROM slacktide_ledger \
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

/// Notes the name that a table of the owner's has now.
pub(super) fn rename(tx: &Transaction<'_>, tables: &LaneTables, (role, table): (Role, &str)) -> Result<()> {
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

/// Forgets the tables of an owner: they have been set aside, and are nobody's.
pub(super) fn forget(tx: &Transaction<'_>, tables: &LaneTables) -> Result<()> {
    sql(tx.execute(
        "DELETE FROM slacktide_tables WHERE recipient = ?1 AND owner = ?2",
        params![tables.owner.recipient().as_str(), tables.owner.key()],
    ))
    .map(|_| ())
}
