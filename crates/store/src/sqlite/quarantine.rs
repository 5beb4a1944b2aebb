//! What is kept aside, and its way out. Every verb is one transaction that holds the file's
//! lock: of two that retry at once the second finds the entry ended.

mod found;
mod verbs;
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
use crate::merge::Place;
use crate::port::Arrival;
use crate::quarantine::{
    Became, By, Content, Entry, Held, Kind, Quarantine, Wanted, kept_manifest, reject_id, told_of,
};
use crate::record::text;

/// Columns that the quarantine has had since it can be left, with their types.
const COLUMNS: [(&str, &str); 8] = [
    ("kind", "TEXT"),
    ("ended", "TEXT"),
    ("ended_digest", "TEXT"),
    ("ended_by", "TEXT"),
    ("ended_why", "TEXT"),
    ("ended_at", "TEXT"),
    ("tries", "INTEGER NOT NULL DEFAULT 0"),
    ("retry_at", "INTEGER"),
];

const OWN: &str = "
CREATE TABLE IF NOT EXISTS slacktide_quarantine_manifests (
    recipient TEXT NOT NULL, feed TEXT NOT NULL, epoch INTEGER NOT NULL, number INTEGER NOT NULL,
    manifest TEXT NOT NULL,
    PRIMARY KEY (recipient, feed, epoch, number)) WITHOUT ROWID;
";

pub(super) use verbs::{end_rows, recounted, save_recount};
pub(super) use waiting::retry as retry_waiting;

pub(super) fn prepare(tx: &Transaction<'_>) -> Result<()> {
    let run = || {
        tx.execute_batch(OWN)?;
        let there = tx
            .prepare("SELECT name FROM pragma_table_info('slacktide_quarantine')")?
            .query_map([], |row| row.get(0))?
            .collect::<rusqlite::Result<Vec<String>>>()?;
        for (column, kind) in COLUMNS {
            if !there.iter().any(|name| name == column) {
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

/// Keeps the manifest of a chunk with refused rows, once: it tells their columns.
pub(super) fn keep_manifest(tx: &Transaction<'_>, lane: &Lane, arrival: &Arrival) -> Result<()> {
    let (place, manifest) = (Place::of(arrival), text(&kept_manifest(arrival))?);
    tx.prepare_cached(
        "INSERT INTO slacktide_quarantine_manifests VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
    )
    .and_then(|mut statement| {
        statement.execute(params![
            lane.recipient.as_str(),
            lane.feed.as_str(),
            place.epoch,
            int(place.number),
            manifest,
        ])
    })
    .map(|_| ())
    .map_err(|error| failure::of(&error))
}

/// Keeps what the source could not carry, of a chunk that is stored.
pub(super) fn keep_rejects(tx: &Transaction<'_>, lane: &Lane, arrival: &Arrival) -> Result<()> {
    let place = Place::of(arrival);
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
                place.epoch,
                int(place.number),
                int(ordinal),
                int(arrival.sequence),
                told_of(reject),
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
    async fn entries(&self, wanted: &Wanted) -> Result<Vec<Entry>> {
        let wanted = wanted.clone();
        self.run(move |connection| found::entries(connection, &wanted))
            .await
    }

    async fn content(&self, lane: &Lane, id: &str) -> Result<Option<Content>> {
        let (lane, id) = (lane.clone(), id.to_owned());
        self.run(move |connection| found::content(connection, &lane, &id))
            .await
    }

    async fn judged(&self, arrival: &Arrival) -> Result<Judgement> {
        let arrival = arrival.clone();
        self.run(move |connection| verbs::judged(connection, &arrival))
            .await
    }

    async fn retry_rows(&self, lane: &Lane, ids: &[String], by: &By) -> Result<Vec<Became>> {
        let (ids, by) = (ids.to_vec(), by.clone());
        let tables = self.options.tables(Database::Sqlite, lane);
        self.run(move |connection| verbs::retry_rows(connection, &tables, &ids, &by))
            .await
    }

    async fn finish(&self, arrival: &Arrival, id: &str, by: &By) -> Result<Became> {
        let (arrival, id, by) = (arrival.clone(), id.to_owned(), by.clone());
        self.run(move |connection| verbs::finish(connection, &arrival, &id, &by))
            .await
    }

    async fn stays(&self, lane: &Lane, id: &str, reason: &str) -> Result<()> {
        let (lane, id, reason) = (lane.clone(), id.to_owned(), reason.to_owned());
        self.run(move |connection| verbs::stays(connection, &lane, &id, &reason))
            .await
    }

    async fn discard(&self, lane: &Lane, ids: &[String], by: &By) -> Result<Vec<Became>> {
        let (lane, ids, by) = (lane.clone(), ids.to_vec(), by.clone());
        self.run(move |connection| verbs::discard(connection, &lane, &ids, &by))
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

    async fn held(&self) -> Result<Vec<Held>> {
        self.run(|connection| found::held(connection)).await
    }
}

/// The kind of a row of the table; rows and messages carry none.
fn kind_of(word: Option<&str>, ordinal: Option<i64>) -> Kind {
    match (word, ordinal) {
        (Some("reject"), _) => Kind::Reject,
        (_, Some(_)) => Kind::Row,
        (_, None) => Kind::Message,
    }
}
