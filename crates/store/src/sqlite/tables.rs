//! Our own tables, and the target's columns.

use rusqlite::{Connection, Transaction, TransactionBehavior};
use schemas::column::Column;
use schemas::name::Lane;

use super::failure;
use super::native::declared;
use crate::error::Result;
use crate::table::{Change, EPOCH, NUMBER, listed, quoted};

const OWN: &str = "
CREATE TABLE IF NOT EXISTS slacktide_lanes (
    recipient TEXT NOT NULL, feed TEXT NOT NULL,
    epoch INTEGER NOT NULL, openings TEXT NOT NULL, stopped TEXT,
    frontier TEXT NOT NULL, frontier_epoch INTEGER NOT NULL, frontier_number INTEGER NOT NULL,
    columns TEXT,
    PRIMARY KEY (recipient, feed)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS slacktide_ledger (
    recipient TEXT NOT NULL, feed TEXT NOT NULL, epoch INTEGER NOT NULL, number INTEGER NOT NULL,
    digest TEXT NOT NULL, previous TEXT, state TEXT NOT NULL,
    sequence INTEGER NOT NULL, publisher TEXT NOT NULL,
    rows INTEGER NOT NULL, rows_quarantined INTEGER NOT NULL, cursor_after TEXT,
    read_from TEXT NOT NULL, read_to TEXT NOT NULL, exchanged_at TEXT NOT NULL, stored_at TEXT NOT NULL,
    PRIMARY KEY (recipient, feed, epoch, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS slacktide_quarantine (
    recipient TEXT NOT NULL, feed TEXT NOT NULL, id TEXT NOT NULL,
    epoch INTEGER, number INTEGER, ordinal INTEGER,
    sequence INTEGER NOT NULL, reason TEXT NOT NULL, bytes BLOB NOT NULL,
    exchanged_at TEXT NOT NULL, quarantined_at TEXT NOT NULL,
    PRIMARY KEY (recipient, feed, id));
CREATE TABLE IF NOT EXISTS slacktide_tombstones (
    recipient TEXT NOT NULL, feed TEXT NOT NULL, key BLOB NOT NULL,
    epoch INTEGER NOT NULL, number INTEGER NOT NULL,
    PRIMARY KEY (recipient, feed, key)) WITHOUT ROWID;
";

pub(super) fn prepare(connection: &mut Connection) -> Result<()> {
    let tx = begin(connection)?;
    tx.execute_batch(OWN).map_err(|error| failure::of(&error))?;
    super::quarantine::prepare(&tx)?;
    commit(tx)
}

pub(super) fn begin(connection: &mut Connection) -> Result<Transaction<'_>> {
    connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(|error| failure::of(&error))
}

pub(super) fn commit(tx: Transaction<'_>) -> Result<()> {
    tx.commit().map_err(|error| failure::of(&error))
}

/// Makes or widens the target.
pub(super) fn change(tx: &Transaction<'_>, lane: &Lane, first: bool, change: &Change) -> Result<()> {
    let table = quoted(lane.feed.as_str());
    let run = |sql: &str| tx.execute_batch(sql).map_err(|error| failure::of(&error));
    if first {
        let mut parts: Vec<String> = change
            .known
            .columns
            .iter()
            .map(|column| {
                let key = change.known.key.contains(&column.name);
                format!(
                    "{} {}{}",
                    quoted(&column.name),
                    declared(&column.kind),
                    if key { " NOT NULL" } else { "" }
                )
            })
            .collect();
        parts.push(format!("{} INTEGER NOT NULL", quoted(EPOCH)));
        parts.push(format!("{} INTEGER NOT NULL", quoted(NUMBER)));
        parts.push(format!(
            "PRIMARY KEY ({})",
            listed(change.known.key.iter().map(String::as_str))
        ));
        run(&format!(
            "CREATE TABLE IF NOT EXISTS {table} ({})",
            parts.join(", ")
        ))?;
    }
    // A table that was there before us gets what it lacks.
    let there = names(tx, lane)?;
    let own = [EPOCH, NUMBER].map(|name| (name.to_owned(), "INTEGER NOT NULL DEFAULT 0".to_owned()));
    let given = change
        .add
        .iter()
        .map(|Column { name, kind, .. }| (name.clone(), declared(kind)));
    for (name, kind) in given.chain(own) {
        if !there.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
            run(&format!(
                "ALTER TABLE {table} ADD COLUMN {} {kind}",
                quoted(&name)
            ))?;
        }
    }
    Ok(())
}

fn names(tx: &Transaction<'_>, lane: &Lane) -> Result<Vec<String>> {
    let read = || {
        tx.prepare("SELECT name FROM pragma_table_info(?1)")?
            .query_map([lane.feed.as_str()], |row| row.get(0))?
            .collect::<rusqlite::Result<Vec<String>>>()
    };
    read().map_err(|error| failure::of(&error))
}
