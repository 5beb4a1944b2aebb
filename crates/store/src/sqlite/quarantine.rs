//! The quarantine and its retries. Every operation is one transaction that holds the file's lock: the second of two
//! concurrent retries finds the entry ended.

mod queries;
mod transactions;
mod waiting;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Transaction, params};
use schemas::name::Lane;

use super::SqliteStore;
use super::failure;
use super::records::int;
use crate::error::Result;
use crate::layout::Database;
use crate::ledger::Judgement;
use crate::merge::ChunkNumber;
use crate::port::Arrival;
use crate::quarantine::{
    Content, Decision, Entry, EntryFilter, Kind, Quarantine, QuarantineCount, RetryOutcome, describe_reject,
    kept_manifest, reject_id,
};
use crate::record::text;

/// Columns added by an upgrade, with their types.
const COLUMNS: [(&str, &str); 8] = [
    ("kind", "TEXT"),
    ("ended", "TEXT"),
    ("ended_digest", "TEXT"),
    ("ended_by", "TEXT"),
    ("ended_reason", "TEXT"),
    ("ended_at", "TEXT"),
    ("tries", "INTEGER NOT NULL DEFAULT 0"),
    ("retry_at", "INTEGER"),
];

const TABLES_SQL: &str = "
CREATE TABLE IF NOT EXISTS slacktide_quarantine_manifests (
    recipient TEXT NOT NULL, feed TEXT NOT NULL, epoch INTEGER NOT NULL, number INTEGER NOT NULL,
    manifest TEXT NOT NULL,
    PRIMARY KEY (recipient, feed, epoch, number)) WITHOUT ROWID;
";

pub(super) use transactions::{end_rows, recounted, save_recount};
pub(super) use waiting::retry as retry_waiting;

pub(super) fn prepare(tx: &Transaction<'_>) -> Result<()> {
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

/// Keeps the manifest of a chunk with refused rows, because it names their columns.
pub(super) fn keep_manifest(tx: &Transaction<'_>, lane: &Lane, arrival: &Arrival) -> Result<()> {
    let (chunk_number, manifest) = (ChunkNumber::of(arrival), text(&kept_manifest(arrival))?);
    tx.prepare_cached(
        "INSERT INTO slacktide_quarantine_manifests VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
    )
    .and_then(|mut statement| {
        statement.execute(params![
            lane.recipient.as_str(),
            lane.feed.as_str(),
            chunk_number.epoch,
            int(chunk_number.number),
            manifest,
        ])
    })
    .map(|_| ())
    .map_err(|error| failure::of(&error))
}

/// Keeps the rejects of a stored chunk.
pub(super) fn keep_rejects(tx: &Transaction<'_>, lane: &Lane, arrival: &Arrival) -> Result<()> {
    let chunk_number = ChunkNumber::of(arrival);
    for (ordinal, reject) in (0_u64..).zip(&arrival.chunk.manifest.rejects) {
        let bytes = text(reject)?.into_bytes();
        tx.prepare_cached(
            "INSERT INTO slacktide_quarantine (recipient, feed, id, epoch, number, ordinal, sequence, reason, bytes, \
             exchanged_at, quarantined_at, kind) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 'reject') \
             ON CONFLICT DO NOTHING",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                lane.recipient.as_str(),
                lane.feed.as_str(),
                reject_id(arrival.chunk.digest, ordinal),
                chunk_number.epoch,
                int(chunk_number.number),
                int(ordinal),
                int(arrival.sequence),
                describe_reject(reject),
                bytes,
                arrival.exchanged_at.to_string(),
                Timestamp::now().to_string(),
            ])
        })
        .map_err(|error| failure::of(&error))?;
    }
    Ok(())
}

#[async_trait]
impl Quarantine for SqliteStore {
    async fn entries(&self, wanted: &EntryFilter) -> Result<Vec<Entry>> {
        let wanted = wanted.clone();
        self.run(move |connection| queries::entries(connection, &wanted))
            .await
    }

    async fn content(&self, lane: &Lane, id: &str) -> Result<Option<Content>> {
        let (lane, id) = (lane.clone(), id.to_owned());
        self.run(move |connection| queries::content(connection, &lane, &id))
            .await
    }

    async fn judge(&self, arrival: &Arrival) -> Result<Judgement> {
        let arrival = arrival.clone();
        self.run(move |connection| transactions::judge(connection, &arrival))
            .await
    }

    async fn retry_rows(&self, lane: &Lane, ids: &[String], by: &Decision) -> Result<Vec<RetryOutcome>> {
        let (ids, by) = (ids.to_vec(), by.clone());
        let tables = self.options.tables(Database::Sqlite, lane);
        self.run(move |connection| transactions::retry_rows(connection, &tables, &ids, &by))
            .await
    }

    async fn finish(&self, arrival: &Arrival, id: &str, by: &Decision) -> Result<RetryOutcome> {
        let (arrival, id, by) = (arrival.clone(), id.to_owned(), by.clone());
        self.run(move |connection| transactions::finish(connection, &arrival, &id, &by))
            .await
    }

    async fn record_reason(&self, lane: &Lane, id: &str, reason: &str) -> Result<()> {
        let (lane, id, reason) = (lane.clone(), id.to_owned(), reason.to_owned());
        self.run(move |connection| transactions::record_reason(connection, &lane, &id, &reason))
            .await
    }

    async fn discard(&self, lane: &Lane, ids: &[String], by: &Decision) -> Result<Vec<RetryOutcome>> {
        let (lane, ids, by) = (lane.clone(), ids.to_vec(), by.clone());
        self.run(move |connection| transactions::discard(connection, &lane, &ids, &by))
            .await
    }

    async fn retry_waiting(&self, now: Timestamp) -> Result<u64> {
        let options = self.options.clone();
        self.run(move |connection| {
            let mut stored = 0;
            for lane in waiting::due(connection, now)? {
                let tables = options.tables(Database::Sqlite, &lane);
                let retried = waiting::retry(connection, &tables, false, now)?;
                stored += retried.released.len() as u64;
            }
            Ok(stored)
        })
        .await
    }

    async fn counts(&self) -> Result<Vec<QuarantineCount>> {
        self.run(|connection| queries::counts(connection)).await
    }
}

/// Returns the kind of an entry; rows and messages of earlier versions have no kind.
fn kind_of(word: Option<&str>, ordinal: Option<i64>) -> Kind {
    match (word, ordinal) {
        (Some("reject"), _) => Kind::Reject,
        (_, Some(_)) => Kind::Row,
        (_, None) => Kind::Message,
    }
}
