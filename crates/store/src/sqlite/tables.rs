//! Bookkeeping tables.

use super::failure;
use super::sql::{Session, now};
use crate::bookkeeping::{Begin, SqlSession as _, refill};
use crate::error::Result;

const TABLES_SQL: &str = "
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
CREATE TABLE IF NOT EXISTS slacktide_changes (
    recipient TEXT NOT NULL, feed TEXT NOT NULL, accepted_at TEXT NOT NULL,
    epoch INTEGER NOT NULL, number INTEGER NOT NULL, changes TEXT NOT NULL, actor TEXT NOT NULL, reason TEXT NOT NULL);
";

pub(super) fn prepare(session: &Session<'_>) -> Result<()> {
    now(session.begin(Begin::Tables))?;
    let tx = session.connection;
    tx.execute_batch(TABLES_SQL)
        .map_err(|error| failure::of(&error))?;
    for column in ["pending_change", "refused"] {
        let existing: bool = tx
            .query_row(
                "SELECT EXISTS (SELECT 1 FROM pragma_table_info('slacktide_lanes') WHERE name = ?1)",
                [column],
                |row| row.get(0),
            )
            .map_err(|error| failure::of(&error))?;
        if !existing {
            tx.execute_batch(&format!("ALTER TABLE slacktide_lanes ADD COLUMN {column} TEXT"))
                .map_err(|error| failure::of(&error))?;
        }
    }
    super::ownership::prepare(tx)?;
    super::quarantine::prepare(tx)?;
    super::refills::prepare(tx)?;
    super::compaction::prepare(tx)?;
    super::requests::prepare(tx)?;
    now(refill::make_identity(session))?;
    now(session.commit())
}
