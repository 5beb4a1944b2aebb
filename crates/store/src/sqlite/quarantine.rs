//! The quarantine: its tables, and its operations on the file.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::Connection;
use schemas::name::Lane;

use super::sql::now;
use super::{SqliteStore, failure};
use crate::arrival::Arrival;
use crate::bookkeeping::quarantine::{self, queries, retry, waiting};
use crate::error::Result;
use crate::layout::Database;
use crate::ledger::Judgement;
use crate::quarantine::{Content, Decision, Entry, EntryFilter, Quarantine, QuarantineCount, RetryOutcome};

/// Columns added by an upgrade, with their types.
const COLUMNS: [(&str, &str); 8] = [
    ("kind", "TEXT"),
    ("ended", "TEXT"),
    ("ended_digest", "TEXT"),
    ("ended_by", "TEXT"),
    ("ended_reason", "TEXT"),
    ("ended_at", "TEXT"),
    ("tries", "INTEGER NOT NULL DEFAULT 0"),
    ("retry_at", "TEXT"),
];

const TABLES_SQL: &str = "
CREATE TABLE IF NOT EXISTS slacktide_quarantine_manifests (
    recipient TEXT NOT NULL, feed TEXT NOT NULL, epoch INTEGER NOT NULL, number INTEGER NOT NULL,
    manifest TEXT NOT NULL,
    PRIMARY KEY (recipient, feed, epoch, number)) WITHOUT ROWID;
";

pub(super) fn prepare(tx: &Connection) -> Result<()> {
    let run = || {
        tx.execute_batch(TABLES_SQL)?;
        let existing = tx
            .prepare("SELECT name FROM pragma_table_info('slacktide_quarantine')")?
            .query_map([], |row| row.get(0))?
            .collect::<rusqlite::Result<Vec<String>>>()?;
        for (column, kind) in COLUMNS {
            if !existing.iter().any(|name| name == column) {
                tx.execute_batch(&format!(
                    "ALTER TABLE slacktide_quarantine ADD COLUMN {column} {kind}"
                ))?;
            }
        }
        tx.execute_batch(
            "CREATE INDEX IF NOT EXISTS slacktide_quarantine_waiting ON slacktide_quarantine (recipient, feed, retry_at) \
             WHERE retry_at IS NOT NULL",
        )
    };
    run().map_err(|error: rusqlite::Error| failure::of(&error))
}

#[async_trait]
impl Quarantine for SqliteStore {
    async fn entries(&self, wanted: &EntryFilter) -> Result<Vec<Entry>> {
        let wanted = wanted.clone();
        self.run(move |session| now(queries::entries(session, &wanted)))
            .await
    }

    async fn content(&self, lane: &Lane, id: &str) -> Result<Option<Content>> {
        let (lane, id) = (lane.clone(), id.to_owned());
        self.run(move |session| now(queries::content(session, &lane, &id)))
            .await
    }

    async fn judge(&self, arrival: &Arrival) -> Result<Judgement> {
        let arrival = arrival.clone();
        self.run(move |session| now(retry::judge(session, &arrival)))
            .await
    }

    async fn retry_rows(&self, lane: &Lane, ids: &[String], by: &Decision) -> Result<Vec<RetryOutcome>> {
        let (ids, by) = (ids.to_vec(), by.clone());
        let tables = self.options.tables(Database::Sqlite, lane);
        self.run(move |session| {
            session.past_rollbacks(|session| now(retry::retry_rows(session, &tables, &ids, &by)))
        })
        .await
    }

    async fn finish(&self, arrival: &Arrival, id: &str, by: &Decision) -> Result<RetryOutcome> {
        let (arrival, id, by) = (arrival.clone(), id.to_owned(), by.clone());
        self.run(move |session| now(retry::finish(session, &arrival, &id, &by)))
            .await
    }

    async fn record_reason(&self, lane: &Lane, id: &str, reason: &str) -> Result<()> {
        let (lane, id, reason) = (lane.clone(), id.to_owned(), reason.to_owned());
        self.run(move |session| now(quarantine::record_reason(session, &lane, &id, &reason)))
            .await
    }

    async fn discard(&self, lane: &Lane, ids: &[String], by: &Decision) -> Result<Vec<RetryOutcome>> {
        let (lane, ids, by) = (lane.clone(), ids.to_vec(), by.clone());
        self.run(move |session| now(retry::discard(session, &lane, &ids, &by)))
            .await
    }

    async fn retry_waiting(&self, at: Timestamp) -> Result<u64> {
        let options = self.options.clone();
        self.run(move |session| {
            let mut stored = 0;
            for lane in now(waiting::due(session, at))? {
                let tables = options.tables(Database::Sqlite, &lane);
                let retried =
                    session.past_rollbacks(|session| now(waiting::retry(session, &tables, false, at)))?;
                stored += retried.released.len() as u64;
            }
            Ok(stored)
        })
        .await
    }

    async fn counts(&self) -> Result<Vec<QuarantineCount>> {
        self.run(|session| now(queries::counts(session))).await
    }
}
