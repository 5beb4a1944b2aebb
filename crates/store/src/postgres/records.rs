//! Reads and writes lanes and ledger entries.

use std::collections::{BTreeMap, BTreeSet};

use schemas::digest::Digest;
use schemas::name::{FeedName, Lane, RecipientName};
use serde::de::DeserializeOwned;
use tokio_postgres::Row;

use super::failure;
use super::session::Session;
use crate::compaction::Compaction;
use crate::error::Result;
use crate::frontier::{Frontier, FrontierEntry};
use crate::ledger::{Entry, EntryState, LaneState};
use crate::merge::ChunkNumber;
use crate::record::{LaneRecord, LedgerRow, broken, text};
use crate::table::batch_plan::Refused;
use crate::table::schema_change::PendingChange;
use crate::table::shape::Shape;

/// How a lane's row is locked until the transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LaneLock {
    /// Shared, with other transactions that store.
    Shared,
    /// Exclusive.
    Alone,
    /// Shared with transactions that store, exclusive against others that write the frontier.
    Frontier,
    /// Not locked.
    Free,
}

fn pg<T>(result: std::result::Result<T, tokio_postgres::Error>) -> Result<T> {
    result.map_err(|error| failure::of(&error))
}

fn json<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|_| broken("slacktide.lanes or slacktide.ledger"))
}

/// Converts a number for the database.
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Converts a number of rows for the database.
pub(super) fn signed(number: u64) -> i64 {
    int(number)
}

/// Converts an epoch for the database.
pub(super) fn small(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn epoch_of(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

fn digest_of(text: &str) -> Result<Digest> {
    Digest::from_hex(text).map_err(|_| broken("slacktide.ledger"))
}

/// Returns every lane.
pub(super) async fn lanes(session: &Session) -> Result<Vec<Lane>> {
    let rows = pg(session
        .client
        .query("SELECT recipient, feed FROM slacktide.lanes ORDER BY 1, 2", &[])
        .await)?;
    rows.iter()
        .map(|row| {
            let (recipient, feed): (String, String) = (pg(row.try_get(0))?, pg(row.try_get(1))?);
            let lane = RecipientName::new(recipient).ok().zip(FeedName::new(feed).ok());
            lane.map(|(recipient, feed)| Lane { recipient, feed })
                .ok_or_else(|| broken("slacktide.lanes"))
        })
        .collect()
}

/// Creates the lane's row if it is missing.
pub(super) async fn make(session: &Session, lane: &Lane) -> Result<()> {
    let fresh = LaneRecord::default();
    let text = fresh.texts()?;
    pg(session
        .client
        .execute(
            "INSERT INTO slacktide.lanes (recipient, feed, epoch, openings, stopped, frontier, frontier_epoch, frontier_number, \
             columns) VALUES ($1, $2, $3, $4, NULL, $5, 1, 0, NULL) ON CONFLICT DO NOTHING",
            &[&lane.recipient.as_str(), &lane.feed.as_str(), &small(fresh.state.epoch), &text.openings, &text.frontier],
        )
        .await)
    .map(|_| ())
}

/// Returns the lane's record. The shared lock is `FOR KEY SHARE`, which does not conflict with the frontier's update.
pub(super) async fn lane(session: &Session, lane: &Lane, lock: LaneLock) -> Result<Option<LaneRecord>> {
    const SELECT: &str = "SELECT epoch, openings, stopped, frontier, columns, pending_change, refused, compaction FROM slacktide.lanes \
         WHERE recipient = $1 AND feed = $2";
    let sql = match lock {
        LaneLock::Shared => format!("{SELECT} FOR KEY SHARE"),
        LaneLock::Alone => format!("{SELECT} FOR UPDATE"),
        LaneLock::Frontier => format!("{SELECT} FOR NO KEY UPDATE"),
        LaneLock::Free => SELECT.to_owned(),
    };
    let found = pg(session
        .client
        .query_opt(&sql, &[&lane.recipient.as_str(), &lane.feed.as_str()])
        .await)?;
    let Some(row) = found else { return Ok(None) };
    let (openings, frontier): (String, String) = (pg(row.try_get(1))?, pg(row.try_get(3))?);
    let (columns, pending_change): (Option<String>, Option<String>) =
        (pg(row.try_get(4))?, pg(row.try_get(5))?);
    let (refused, compaction): (Option<String>, Option<String>) = (pg(row.try_get(6))?, pg(row.try_get(7))?);
    Ok(Some(LaneRecord {
        state: LaneState {
            epoch: epoch_of(pg(row.try_get(0))?),
            openings: json(&openings)?,
            stopped: pg(row.try_get(2))?,
            compaction: compaction.as_deref().map(json::<Compaction>).transpose()?,
        },
        frontier: json::<Frontier>(&frontier)?,
        shape: columns.as_deref().map(json::<Shape>).transpose()?,
        pending_change: pending_change.as_deref().map(json::<PendingChange>).transpose()?,
        refused: refused.as_deref().map(json::<Refused>).transpose()?,
    }))
}

/// Writes the lane's epoch, stop and pending change; the row must be locked exclusively.
pub(super) async fn save_state(session: &Session, lane: &Lane, record: &LaneRecord) -> Result<()> {
    let text = record.texts()?;
    pg(session
        .client
        .execute(
            "UPDATE slacktide.lanes SET epoch = $3, openings = $4, stopped = $5, pending_change = $6 WHERE recipient = $1 AND feed = $2",
            &[
                &lane.recipient.as_str(),
                &lane.feed.as_str(),
                &small(record.state.epoch),
                &text.openings,
                &record.state.stopped,
                &text.pending_change,
            ],
        )
        .await)
    .map(|_| ())
}

/// Writes the tables' shape and the lane's pending change; the row must be locked exclusively.
pub(super) async fn save_columns(session: &Session, lane: &Lane, record: &LaneRecord) -> Result<()> {
    let text = record.texts()?;
    let sql = "UPDATE slacktide.lanes SET columns = $3, pending_change = $4, refused = $5 WHERE recipient = $1 AND feed = $2";
    pg(session
        .client
        .execute(
            sql,
            &[
                &lane.recipient.as_str(),
                &lane.feed.as_str(),
                &text.columns,
                &text.pending_change,
                &text.refused,
            ],
        )
        .await)
    .map(|_| ())
}

/// Writes the frontier, unless another poller has written a later one.
pub(super) async fn save_frontier(session: &Session, lane: &Lane, record: &LaneRecord) -> Result<()> {
    let text = record.texts()?;
    pg(session
        .client
        .execute(
            "UPDATE slacktide.lanes SET frontier = $3, frontier_epoch = $4, frontier_number = $5 \
             WHERE recipient = $1 AND feed = $2 AND (frontier_epoch, frontier_number) < ($4, $5)",
            &[
                &lane.recipient.as_str(),
                &lane.feed.as_str(),
                &text.frontier,
                &small(record.frontier.epoch),
                &int(record.frontier.number),
            ],
        )
        .await)
    .map(|_| ())
}

/// Records whether a resynchronisation's end could remove rows. The lane must be locked exclusively.
pub(super) async fn save_unfinished_removal(
    session: &Session,
    lane: &Lane,
    record: &LaneRecord,
    unfinished_removal: Option<ChunkNumber>,
) -> Result<()> {
    let frontier = text(&Frontier {
        unfinished_removal,
        ..record.frontier.clone()
    })?;
    pg(session
        .client
        .execute(
            "UPDATE slacktide.lanes SET frontier = $3 WHERE recipient = $1 AND feed = $2",
            &[&lane.recipient.as_str(), &lane.feed.as_str(), &frontier],
        )
        .await)
    .map(|_| ())
}

/// Writes the frontier, also backwards; the row must be locked exclusively.
pub(super) async fn set_frontier(session: &Session, lane: &Lane, record: &LaneRecord) -> Result<()> {
    let text = record.texts()?;
    pg(session
        .client
        .execute(
            "UPDATE slacktide.lanes SET frontier = $3, frontier_epoch = $4, frontier_number = $5 \
             WHERE recipient = $1 AND feed = $2",
            &[
                &lane.recipient.as_str(),
                &lane.feed.as_str(),
                &text.frontier,
                &small(record.frontier.epoch),
                &int(record.frontier.number),
            ],
        )
        .await)
    .map(|_| ())
}

/// Writes the summary of folded entries; the row must be locked exclusively.
pub(super) async fn set_compaction(session: &Session, lane: &Lane, record: &LaneRecord) -> Result<()> {
    let text = record.texts()?;
    pg(session
        .client
        .execute(
            "UPDATE slacktide.lanes SET compaction = $3 WHERE recipient = $1 AND feed = $2",
            &[&lane.recipient.as_str(), &lane.feed.as_str(), &text.compaction],
        )
        .await)
    .map(|_| ())
}

/// Returns the entries with these chunk numbers.
pub(super) async fn entries(
    session: &Session,
    lane: &Lane,
    chunk_numbers: &BTreeSet<ChunkNumber>,
) -> Result<BTreeMap<ChunkNumber, Entry>> {
    let epochs: Vec<i32> = chunk_numbers
        .iter()
        .map(|chunk_number| small(chunk_number.epoch))
        .collect();
    let numbers: Vec<i64> = chunk_numbers
        .iter()
        .map(|chunk_number| int(chunk_number.number))
        .collect();
    let rows = pg(session
        .client
        .query(
            "SELECT l.epoch, l.number, l.digest, l.previous, l.state FROM slacktide.ledger l \
             JOIN unnest($3::int[], $4::bigint[]) AS p (epoch, number) USING (epoch, number) \
             WHERE l.recipient = $1 AND l.feed = $2",
            &[&lane.recipient.as_str(), &lane.feed.as_str(), &epochs, &numbers],
        )
        .await)?;
    let entry = |row: &Row| {
        let (digest, previous): (String, Option<String>) = (pg(row.try_get(2))?, pg(row.try_get(3))?);
        let chunk_number = ChunkNumber {
            epoch: epoch_of(pg(row.try_get(0))?),
            number: unsigned(pg(row.try_get(1))?),
        };
        let state = EntryState::of_word(pg(row.try_get(4))?);
        let previous = previous.as_deref().map(digest_of).transpose()?;
        Ok((
            chunk_number,
            Entry {
                digest: digest_of(&digest)?,
                previous,
                state,
            },
        ))
    };
    rows.iter().map(entry).collect()
}

/// Writes new entries and replaces quarantined ones. Returns the number of written entries.
pub(super) async fn note(session: &Session, lane: &Lane, rows: &[LedgerRow]) -> Result<u64> {
    if rows.is_empty() {
        return Ok(0);
    }
    fn all<T>(rows: &[LedgerRow], of: impl Fn(&LedgerRow) -> T) -> Vec<T> {
        rows.iter().map(of).collect()
    }
    let cursors = rows
        .iter()
        .map(LedgerRow::cursor_text)
        .collect::<Result<Vec<_>>>()?;
    pg(session
        .client
        .execute(
            "INSERT INTO slacktide.ledger (recipient, feed, epoch, number, digest, previous, state, sequence, publisher, \
             rows, rows_quarantined, cursor_after, read_from, read_to, exchanged_at, stored_at, rows_net) \
             SELECT $1, $2, epoch, number, digest, previous, state, sequence, publisher, rows, rows_quarantined, \
             cursor_after, read_from::timestamptz, read_to::timestamptz, exchanged_at::timestamptz, clock_timestamp(), rows_net \
             FROM unnest($3::int[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::text[], \
             $10::bigint[], $11::bigint[], $12::text[], $13::text[], $14::text[], $15::text[], $16::bigint[]) AS u (epoch, number, \
             digest, previous, state, sequence, publisher, rows, rows_quarantined, cursor_after, read_from, read_to, exchanged_at, \
             rows_net) \
             ON CONFLICT (recipient, feed, epoch, number) DO UPDATE SET digest = excluded.digest, \
             previous = excluded.previous, state = excluded.state, sequence = excluded.sequence, \
             publisher = excluded.publisher, rows = excluded.rows, rows_quarantined = excluded.rows_quarantined, \
             cursor_after = excluded.cursor_after, read_from = excluded.read_from, read_to = excluded.read_to, \
             exchanged_at = excluded.exchanged_at, stored_at = excluded.stored_at, \
             rows_net = CASE ledger.state WHEN 'awaited' THEN ledger.rows_net ELSE excluded.rows_net END \
             WHERE ledger.state IN ('quarantined', 'awaited') AND excluded.state <> 'quarantined'",
            &[
                &lane.recipient.as_str(),
                &lane.feed.as_str(),
                &all(rows, |row| small(row.chunk_number.epoch)),
                &all(rows, |row| int(row.chunk_number.number)),
                &all(rows, |row| row.digest.to_string()),
                &all(rows, |row| row.previous.map(|digest| digest.to_string())),
                &all(rows, |row| row.state.word()),
                &all(rows, |row| int(row.sequence)),
                &all(rows, |row| row.publisher.clone()),
                &all(rows, |row| int(row.rows)),
                &all(rows, |row| int(row.rows_quarantined)),
                &cursors,
                &all(rows, |row| row.read_from.to_string()),
                &all(rows, |row| row.read_to.to_string()),
                &all(rows, |row| row.exchanged_at.to_string()),
                &all(rows, |row| row.rows_net),
            ],
        )
        .await)
}

/// Returns up to `limit` entries after a chunk number, in order.
pub(super) async fn after(
    session: &Session,
    lane: &Lane,
    chunk_number: ChunkNumber,
    limit: i64,
) -> Result<Vec<FrontierEntry>> {
    let rows = pg(session
        .client
        .query(
            "SELECT epoch, number, digest, previous, state, rows, rows_quarantined, cursor_after FROM slacktide.ledger \
             WHERE recipient = $1 AND feed = $2 AND (epoch, number) > ($3, $4) ORDER BY epoch, number LIMIT $5",
            &[&lane.recipient.as_str(), &lane.feed.as_str(), &small(chunk_number.epoch), &int(chunk_number.number), &limit],
        )
        .await)?;
    rows.iter().map(frontier_entry).collect()
}

/// Reads an entry from `epoch`, `number`, `digest`, `previous`, `state`, `rows`, `rows_quarantined`, `cursor_after`.
pub(super) fn frontier_entry(row: &Row) -> Result<FrontierEntry> {
    let (digest, previous): (String, Option<String>) = (pg(row.try_get(2))?, pg(row.try_get(3))?);
    let cursor: Option<String> = pg(row.try_get(7))?;
    Ok(FrontierEntry {
        chunk_number: chunk_number(row)?,
        digest: digest_of(&digest)?,
        previous: previous.as_deref().map(digest_of).transpose()?,
        state: EntryState::of_word(pg(row.try_get(4))?),
        rows: unsigned(pg(row.try_get(5))?),
        rows_quarantined: unsigned(pg(row.try_get(6))?),
        cursor_after: cursor.as_deref().map(json).transpose()?,
    })
}

/// Reads the chunk number from the first two columns: `epoch`, `number`.
pub(super) fn chunk_number(row: &Row) -> Result<ChunkNumber> {
    Ok(ChunkNumber {
        epoch: epoch_of(pg(row.try_get(0))?),
        number: unsigned(pg(row.try_get(1))?),
    })
}

/// Counts the entries above a chunk number.
pub(super) async fn pending(session: &Session, lane: &Lane, chunk_number: ChunkNumber) -> Result<u64> {
    let row = pg(session
        .client
        .query_one(
            "SELECT count(*) FROM slacktide.ledger WHERE recipient = $1 AND feed = $2 AND state <> 'superseded' \
             AND (epoch, number) > ($3, $4)",
            &[&lane.recipient.as_str(), &lane.feed.as_str(), &small(chunk_number.epoch), &int(chunk_number.number)],
        )
        .await)?;
    pg(row.try_get(0)).map(unsigned)
}

/// A message or a row for the quarantine.
pub(super) struct QuarantinedItem<'a> {
    pub(super) id: String,
    pub(super) chunk_number: Option<ChunkNumber>,
    pub(super) ordinal: Option<u64>,
    pub(super) sequence: u64,
    pub(super) reason: &'a str,
    pub(super) bytes: &'a [u8],
    pub(super) exchanged_at: jiff::Timestamp,
    /// Whether it is retried without an operator.
    pub(super) is_retryable: bool,
}

/// Stores an item once. A row that had left the quarantine enters it again, because its chunk is stored again.
pub(super) async fn keep(session: &Session, lane: &Lane, kept: &QuarantinedItem<'_>) -> Result<()> {
    pg(session
        .client
        .execute(
            "INSERT INTO slacktide.quarantine AS q (recipient, feed, id, epoch, number, ordinal, sequence, reason, bytes, \
             exchanged_at, quarantined_at, retry_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, \
             $10::text::timestamptz, clock_timestamp(), CASE WHEN $11 THEN clock_timestamp() END) \
             ON CONFLICT (recipient, feed, id) DO UPDATE SET ended = NULL, bytes = excluded.bytes, reason = excluded.reason, \
             tries = 0, quarantined_at = excluded.quarantined_at, retry_at = excluded.retry_at \
             WHERE q.ended IS NOT NULL AND q.ordinal IS NOT NULL",
            &[
                &lane.recipient.as_str(),
                &lane.feed.as_str(),
                &kept.id,
                &kept.chunk_number.map(|chunk_number| small(chunk_number.epoch)),
                &kept.chunk_number.map(|chunk_number| int(chunk_number.number)),
                &kept.ordinal.map(int),
                &int(kept.sequence),
                &kept.reason,
                &kept.bytes,
                &kept.exchanged_at.to_string(),
                &kept.is_retryable,
            ],
        )
        .await)
    .map(|_| ())
}
