//! Reads and writes lanes and ledger entries.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, Transaction, params};
use schemas::digest::Digest;
use schemas::name::{FeedName, Lane, RecipientName};
use serde::de::DeserializeOwned;

use crate::compaction::Compaction;
use crate::error::Result;
use crate::frontier::{Frontier, FrontierEntry};
use crate::ledger::{Entry, EntryState, LaneState};
use crate::merge::ChunkNumber;
use crate::record::{LaneRecord, LedgerRow, broken};
use crate::table::batch_plan::Refused;
use crate::table::schema_change::PendingChange;
use crate::table::shape::Shape;

use super::failure;

/// Converts an unsigned number for SQLite.
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn sql<T>(result: rusqlite::Result<T>) -> Result<T> {
    result.map_err(|error| failure::of(&error))
}

fn json<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|_| broken("slacktide_lanes or slacktide_ledger"))
}

/// Returns every lane.
pub(super) fn lanes(tx: &Transaction<'_>) -> Result<Vec<Lane>> {
    let read = || {
        tx.prepare_cached("SELECT recipient, feed FROM slacktide_lanes ORDER BY 1, 2")?
            .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?
            .collect::<rusqlite::Result<Vec<_>>>()
    };
    let name = |(recipient, feed)| {
        Some(Lane {
            recipient: RecipientName::new(recipient).ok()?,
            feed: FeedName::new(feed).ok()?,
        })
    };
    sql(read())?
        .into_iter()
        .map(|pair| name(pair).ok_or_else(|| broken("slacktide_lanes")))
        .collect()
}

/// Returns the lane's record, or a new one.
pub(super) fn lane(tx: &Transaction<'_>, lane: &Lane) -> Result<LaneRecord> {
    let found = tx
        .prepare_cached(
            "SELECT epoch, openings, stopped, frontier, columns, pending_change, refused, compaction FROM slacktide_lanes \
             WHERE recipient = ?1 AND feed = ?2",
        )
        .and_then(|mut statement| {
            statement
                .query_row(params![lane.recipient.as_str(), lane.feed.as_str()], |row| {
                    let texts: [Option<String>; 4] = [row.get(4)?, row.get(5)?, row.get(6)?, row.get(7)?];
                    Ok((row.get(0)?, row.get::<_, String>(1)?, row.get(2)?, row.get::<_, String>(3)?, texts))
                })
                .optional()
        });
    let Some((epoch, openings, stopped, frontier, [columns, pending_change, refused, compaction])) =
        sql(found)?
    else {
        return Ok(LaneRecord::default());
    };
    Ok(LaneRecord {
        state: LaneState {
            epoch,
            openings: json(&openings)?,
            stopped,
            compaction: compaction.as_deref().map(json::<Compaction>).transpose()?,
        },
        frontier: json::<Frontier>(&frontier)?,
        shape: columns.as_deref().map(json::<Shape>).transpose()?,
        pending_change: pending_change.as_deref().map(json::<PendingChange>).transpose()?,
        refused: refused.as_deref().map(json::<Refused>).transpose()?,
    })
}

/// Writes the lane's record.
pub(super) fn save(tx: &Transaction<'_>, lane: &Lane, record: &LaneRecord) -> Result<()> {
    let text = record.texts()?;
    let done = tx
        .prepare_cached(
            "INSERT OR REPLACE INTO slacktide_lanes (recipient, feed, epoch, openings, stopped, frontier, frontier_epoch, \
             frontier_number, columns, pending_change, refused, compaction) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                lane.recipient.as_str(),
                lane.feed.as_str(),
                record.state.epoch,
                text.openings,
                record.state.stopped,
                text.frontier,
                record.frontier.epoch,
                int(record.frontier.number),
                text.columns,
                text.pending_change,
                text.refused,
                text.compaction,
            ])
        });
    sql(done).map(|_| ())
}

/// Returns the entries with these chunk numbers.
pub(super) fn entries(
    tx: &Transaction<'_>,
    lane: &Lane,
    chunk_numbers: &BTreeSet<ChunkNumber>,
) -> Result<BTreeMap<ChunkNumber, Entry>> {
    let mut entries = BTreeMap::new();
    let mut statement = sql(tx.prepare_cached(
        "SELECT digest, previous, state FROM slacktide_ledger \
         WHERE recipient = ?1 AND feed = ?2 AND epoch = ?3 AND number = ?4",
    ))?;
    for chunk_number in chunk_numbers {
        let key = params![
            lane.recipient.as_str(),
            lane.feed.as_str(),
            chunk_number.epoch,
            int(chunk_number.number)
        ];
        let found = statement.query_row(key, |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, Option<String>>(1)?,
                row.get::<_, String>(2)?,
            ))
        });
        if let Some((digest, previous, state)) = sql(found.optional())? {
            let previous = previous.as_deref().map(digest_of).transpose()?;
            entries.insert(
                *chunk_number,
                Entry {
                    digest: digest_of(&digest)?,
                    previous,
                    state: EntryState::of_word(&state),
                },
            );
        }
    }
    Ok(entries)
}

fn digest_of(text: &str) -> Result<Digest> {
    Digest::from_hex(text).map_err(|_| broken("slacktide_ledger"))
}

/// Writes a new entry or replaces a quarantined one.
pub(super) fn note(tx: &Transaction<'_>, lane: &Lane, row: &LedgerRow) -> Result<()> {
    let cursor = row.cursor_text()?;
    let done = tx
        .prepare_cached(
            "INSERT INTO slacktide_ledger (recipient, feed, epoch, number, digest, previous, state, sequence, publisher, \
             rows, rows_quarantined, cursor_after, read_from, read_to, exchanged_at, stored_at, rows_net) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17) \
             ON CONFLICT DO UPDATE SET digest = excluded.digest, previous = excluded.previous, state = excluded.state, \
             sequence = excluded.sequence, publisher = excluded.publisher, rows = excluded.rows, \
             rows_quarantined = excluded.rows_quarantined, cursor_after = excluded.cursor_after, \
             read_from = excluded.read_from, read_to = excluded.read_to, exchanged_at = excluded.exchanged_at, \
             stored_at = excluded.stored_at, \
             rows_net = CASE slacktide_ledger.state WHEN 'awaited' THEN slacktide_ledger.rows_net ELSE excluded.rows_net END \
             WHERE slacktide_ledger.state IN ('quarantined', 'awaited') AND excluded.state <> 'quarantined'",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                lane.recipient.as_str(),
                lane.feed.as_str(),
                row.chunk_number.epoch,
                int(row.chunk_number.number),
                row.digest.to_string(),
                row.previous.map(|digest| digest.to_string()),
                row.state.word(),
                int(row.sequence),
                row.publisher,
                int(row.rows),
                int(row.rows_quarantined),
                cursor,
                row.read_from.to_string(),
                row.read_to.to_string(),
                row.exchanged_at.to_string(),
                Timestamp::now().to_string(),
                row.rows_net,
            ])
        });
    sql(done).map(|_| ())
}

/// The columns that [`frontier_entry`] reads.
pub(super) const FRONTIER_COLUMNS: &str =
    "epoch, number, digest, previous, state, rows, rows_quarantined, cursor_after";

/// An entry as read from the table, before its texts are parsed.
pub(super) struct RawFrontierEntry {
    epoch: u32,
    number: i64,
    digest: String,
    previous: Option<String>,
    state: String,
    rows: i64,
    rows_quarantined: i64,
    cursor: Option<String>,
}

/// Reads [`FRONTIER_COLUMNS`], which come first.
pub(super) fn raw_frontier_entry(row: &Row<'_>) -> rusqlite::Result<RawFrontierEntry> {
    Ok(RawFrontierEntry {
        epoch: row.get(0)?,
        number: row.get(1)?,
        digest: row.get(2)?,
        previous: row.get(3)?,
        state: row.get(4)?,
        rows: row.get(5)?,
        rows_quarantined: row.get(6)?,
        cursor: row.get(7)?,
    })
}

/// Parses an entry.
pub(super) fn frontier_entry(raw: &RawFrontierEntry) -> Result<FrontierEntry> {
    Ok(FrontierEntry {
        chunk_number: ChunkNumber {
            epoch: raw.epoch,
            number: unsigned(raw.number),
        },
        digest: digest_of(&raw.digest)?,
        previous: raw.previous.as_deref().map(digest_of).transpose()?,
        state: EntryState::of_word(&raw.state),
        rows: unsigned(raw.rows),
        rows_quarantined: unsigned(raw.rows_quarantined),
        cursor_after: raw.cursor.as_deref().map(json).transpose()?,
    })
}

/// Returns up to `limit` entries after a chunk number, in order.
pub(super) fn after(
    tx: &Transaction<'_>,
    lane: &Lane,
    chunk_number: ChunkNumber,
    limit: u32,
) -> Result<Vec<FrontierEntry>> {
    let read = || {
        tx.prepare_cached(&format!(
            "SELECT {FRONTIER_COLUMNS} FROM slacktide_ledger \
             WHERE recipient = ?1 AND feed = ?2 AND (epoch, number) > (?3, ?4) ORDER BY epoch, number LIMIT ?5"
        ))?
        .query_map(
            params![lane.recipient.as_str(), lane.feed.as_str(), chunk_number.epoch, int(chunk_number.number), limit],
            raw_frontier_entry,
        )?
        .collect::<rusqlite::Result<Vec<RawFrontierEntry>>>()
    };
    sql(read())?.iter().map(frontier_entry).collect()
}

/// Counts the entries above a chunk number.
pub(super) fn pending(tx: &Transaction<'_>, lane: &Lane, chunk_number: ChunkNumber) -> Result<u64> {
    let count = tx
        .prepare_cached(
            "SELECT count(*) FROM slacktide_ledger WHERE recipient = ?1 AND feed = ?2 AND state <> 'superseded' \
             AND (epoch, number) > (?3, ?4)",
        )
        .and_then(|mut statement| {
            statement.query_row(
                params![lane.recipient.as_str(), lane.feed.as_str(), chunk_number.epoch, int(chunk_number.number)],
                |row| row.get(0),
            )
        });
    sql(count).map(unsigned)
}
