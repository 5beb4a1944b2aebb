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
    super::stored_rows::prepare(tx)?;
    now(refill::make_identity(session))?;
    now(session.commit())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jiff::Timestamp;
    use rusqlite::Connection;
    use schemas::digest::Digest;
    use schemas::name::Lane;
    use store_testing::samples::lane;

    use super::super::{failure, sql};
    use super::*;
    use crate::bookkeeping::ledger::{entries, note};
    use crate::bookkeeping::values;
    use crate::chunk_number::ChunkNumber;
    use crate::entry::EntryState;
    use crate::record::LedgerRow;

    fn database() -> Result<Connection> {
        let connection = Connection::open_in_memory().map_err(|error| failure::of(&error))?;
        sql::add_functions(&connection).map_err(|error| failure::of(&error))?;
        prepare(&Session::of(&connection))?;
        Ok(connection)
    }

    fn row(epoch: u32, number: u64, state: EntryState, rows_net: i64) -> LedgerRow {
        LedgerRow {
            chunk_number: ChunkNumber { epoch, number },
            digest: Digest::of(&[&epoch.to_be_bytes(), &number.to_be_bytes()]),
            previous: None,
            state,
            sequence: number,
            publisher: "0123456789abcdef".to_owned(),
            rows: 1,
            rows_quarantined: 0,
            rows_net: Some(rows_net),
            cursor_after: None,
            read_from: Timestamp::UNIX_EPOCH,
            read_to: Timestamp::UNIX_EPOCH,
            exchanged_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn states(
        session: &Session<'_>,
        lane: &Lane,
        wanted: &[(u32, u64)],
    ) -> Result<Vec<(u32, u64, EntryState)>> {
        let wanted: BTreeSet<ChunkNumber> = wanted
            .iter()
            .map(|(epoch, number)| ChunkNumber {
                epoch: *epoch,
                number: *number,
            })
            .collect();
        let found = now(entries(session, lane, &wanted))?;
        Ok(found
            .iter()
            .map(|(at, entry)| (at.epoch, at.number, entry.state))
            .collect())
    }

    /// The query selects epochs and numbers separately.
    #[test]
    fn ledger_entries_of_other_epochs_are_left_out() -> Result<()> {
        let (database, lane) = (database()?, lane());
        let session = Session::of(&database);
        let all =
            [(1, 1), (1, 2), (2, 1), (2, 2)].map(|(epoch, number)| row(epoch, number, EntryState::Stored, 1));
        assert_eq!(now(note(&session, &lane, &all))?, 4);
        let found = states(&session, &lane, &[(1, 2), (2, 1), (3, 1)])?;
        assert_eq!(found, [(1, 2, EntryState::Stored), (2, 1, EntryState::Stored)]);
        Ok(())
    }

    #[test]
    fn ledger_stored_entry_is_not_replaced() -> Result<()> {
        let (database, lane) = (database()?, lane());
        let session = Session::of(&database);
        let state = [EntryState::Stored, EntryState::Quarantined, EntryState::Awaited];
        let first: Vec<LedgerRow> = (1..)
            .zip(state)
            .map(|(number, state)| row(1, number, state, 5))
            .collect();
        assert_eq!(now(note(&session, &lane, &first))?, 3);
        let again: Vec<LedgerRow> = (1..=3)
            .map(|number| row(1, number, EntryState::Stored, 7))
            .collect();
        // The stored entry stays.
        assert_eq!(now(note(&session, &lane, &again))?, 2);
        // Rows of an awaited chunk were counted before.
        let sql = "SELECT rows_net FROM slacktide.ledger ORDER BY number";
        let net = now(session.query(sql, &values![], |row| row.int(0)))?;
        assert_eq!(net, [5, 7, 5]);
        Ok(())
    }

    /// An earlier version wrote some times as microseconds, and texts without a fixed width.
    #[test]
    fn sqlite_times_of_earlier_version_are_read() -> Result<()> {
        let database = database()?;
        let sql = "SELECT 1500000, '1970-01-01T00:00:01.5Z'";
        let read = |row: &dyn crate::bookkeeping::Row| Ok((row.time(0)?, row.time(1)?));
        let found = now(Session::of(&database).query(sql, &values![], read))?;
        let at = Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_millis(1_500);
        assert_eq!(found, [(at, at)]);
        Ok(())
    }
}
