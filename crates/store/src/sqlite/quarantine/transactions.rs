//! Transactions of the quarantine.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use schemas::digest::Digest;
use schemas::name::Lane;

use super::super::records::{self, int};
use super::super::rows::{ChunkTarget, RolledBackRows};
use super::super::tables::{begin, commit};
use super::super::{failure, rows, steps};
use super::queries;
use crate::error::Result;
use crate::frontier::Frontier;
use crate::layout::LaneTables;
use crate::ledger::{ChunkLinks, EntryState, Judgement, needed, plan};
use crate::merge::ChunkNumber;
use crate::port::Arrival;
use crate::quarantine::decide::{Below, ReleasedEntry, blocked_outcome, message_outcome, recount};
use crate::quarantine::{Decision, Ending, Entry, NO_PLACE, RetryOutcome, chunk_of_row, restored_decision};
use crate::record::{LaneRecord, broken};
use crate::table::shape::{Fit, fit};

fn sql<T>(result: rusqlite::Result<T>) -> Result<T> {
    result.map_err(|error| failure::of(&error))
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn digest_of(text: &str) -> Result<Digest> {
    Digest::from_hex(text).map_err(|_| broken("slacktide_ledger"))
}

pub(super) fn judge(connection: &mut Connection, arrival: &Arrival) -> Result<Judgement> {
    let lane = arrival.chunk.manifest.lane();
    let links = [ChunkLinks::of(arrival)];
    let tx = begin(connection)?;
    let record = records::lane(&tx, &lane)?;
    let entries = records::entries(&tx, &lane, &needed(&links))?;
    let mut judgements = plan(&record.state, &entries, &links).judgements;
    judgements.pop().ok_or_else(|| broken("slacktide_ledger"))
}

pub(super) fn retry_rows(
    connection: &mut Connection,
    tables: &LaneTables,
    ids: &[String],
    by: &Decision,
) -> Result<Vec<RetryOutcome>> {
    let mut undone = RolledBackRows::default();
    loop {
        let done = retry_once(connection, tables, ids, by, &mut undone);
        if done.is_ok() || !undone.take() {
            return done;
        }
    }
}

fn retry_once(
    connection: &mut Connection,
    tables: &LaneTables,
    ids: &[String],
    by: &Decision,
    undone: &mut RolledBackRows,
) -> Result<Vec<RetryOutcome>> {
    let lane = &tables.lane;
    let tx = begin(connection)?;
    let record = records::lane(&tx, lane)?;
    let mut outcome = Vec::with_capacity(ids.len());
    for id in ids {
        outcome.push(retry_row(&tx, tables, id, &record, by, undone)?);
    }
    save_recount(&tx, lane, record)?;
    commit(tx)?;
    Ok(outcome)
}

fn retry_row(
    tx: &Transaction<'_>,
    tables: &LaneTables,
    id: &str,
    record: &LaneRecord,
    by: &Decision,
    undone: &mut RolledBackRows,
) -> Result<RetryOutcome> {
    let lane = &tables.lane;
    let tried = match tried(tx, lane, id, record, by)? {
        Ok(tried) => tried,
        Err(outcome) => return Ok(outcome),
    };
    match try_row(tx, tables, record, &tried, undone)? {
        TryOutcome::Not(outcome) => Ok(outcome),
        TryOutcome::Refused(row) => {
            note_reason(tx, lane, id, &row.reason)?;
            Ok(RetryOutcome::Stays { reason: row.reason })
        }
        TryOutcome::Stored(net) => {
            release(tx, lane, &tried, net, by)?;
            Ok(RetryOutcome::Released { rows: 1, refused: 0 })
        }
    }
}

/// A row that may be retried.
pub(super) struct RowRetry {
    pub(super) entry: Entry,
    /// A chunk of this row alone.
    pub(super) arrival: Arrival,
}

/// The outcome of one try.
pub(super) enum TryOutcome {
    /// It is stored, unless a newer version is stored. Contains the number of additional rows.
    Stored(i64),
    /// It was refused. Contains the cause, and whether another row may make room for it.
    Refused(rows::Refused),
    /// It was not tried.
    Not(RetryOutcome),
}

/// Returns a row that may be retried, or its outcome.
pub(super) fn tried(
    tx: &Transaction<'_>,
    lane: &Lane,
    id: &str,
    record: &LaneRecord,
    by: &Decision,
) -> Result<std::result::Result<RowRetry, RetryOutcome>> {
    let Some(entry) = queries::one(tx, lane, id)? else {
        return Ok(Err(RetryOutcome::Unknown));
    };
    let ending = entry.ended.as_ref().map(|ended| ended.ending);
    if let Some(answer) = blocked_outcome(entry.kind, ending, &record.state, entry.chunk_number) {
        if answer == RetryOutcome::LeftBehind {
            end(tx, lane, id, Ending::LeftBehind, by)?;
        }
        return Ok(Err(answer));
    }
    let content = queries::content(tx, lane, id)?;
    let Some((bytes, Some(manifest))) = content.map(|content| (content.bytes, content.manifest)) else {
        return Ok(Err(RetryOutcome::Stays {
            reason: "the columns of its chunk were not kept with it; discard it and rewind the feed"
                .to_owned(),
        }));
    };
    Ok(Ok(RowRetry {
        arrival: chunk_of_row(&entry, manifest, bytes),
        entry,
    }))
}

/// Returns the target of a row; `None` if its columns no longer fit the tables.
pub(super) fn into<'a>(
    tables: &'a LaneTables,
    record: &'a LaneRecord,
    tried: &RowRetry,
) -> Option<ChunkTarget<'a>> {
    let (columns, chunk_number) = (
        &tried.arrival.chunk.manifest.schema,
        ChunkNumber::of(&tried.arrival),
    );
    let shape = record
        .shape
        .as_ref()
        .filter(|shape| fit(Some(shape), columns, chunk_number, tables, chunk_number) == Fit::Fits);
    shape.map(|shape| ChunkTarget {
        layout: &tables.layout,
        shape,
        first: tried.entry.ordinal.unwrap_or(0),
        is_whole: false,
    })
}

/// Stores one row under its chunk's number.
pub(super) fn try_row(
    tx: &Transaction<'_>,
    tables: &LaneTables,
    record: &LaneRecord,
    tried: &RowRetry,
    undone: &mut RolledBackRows,
) -> Result<TryOutcome> {
    let Some(into) = into(tables, record, tried) else {
        return Ok(TryOutcome::Not(RetryOutcome::Never {
            reason: NO_PLACE.to_owned(),
        }));
    };
    steps::prepare_tables(tx, tables, into.shape)?;
    let rows::StoredRows { refused, net } = rows::store(tx, &tables.lane, &into, &tried.arrival, undone)?;
    let refused = refused.into_iter().next();
    Ok(refused.map_or(TryOutcome::Stored(net), TryOutcome::Refused))
}

/// Ends the entry of a stored row and adds it to its chunk's counts.
pub(super) fn release(
    tx: &Transaction<'_>,
    lane: &Lane,
    tried: &RowRetry,
    net: i64,
    by: &Decision,
) -> Result<()> {
    let chunk_number = ChunkNumber::of(&tried.arrival);
    end(tx, lane, &tried.entry.id, Ending::Released, by)?;
    sql(tx.execute(
        "UPDATE slacktide_ledger SET rows_quarantined = max(rows_quarantined - 1, 0), rows_net = rows_net + ?5 \
         WHERE recipient = ?1 AND feed = ?2 AND epoch = ?3 AND number = ?4",
        params![
            lane.recipient.as_str(),
            lane.feed.as_str(),
            chunk_number.epoch,
            int(chunk_number.number),
            net
        ],
    ))
    .map(|_| ())
}

pub(super) fn finish(
    connection: &mut Connection,
    arrival: &Arrival,
    id: &str,
    by: &Decision,
) -> Result<RetryOutcome> {
    let lane = arrival.chunk.manifest.lane();
    let tx = begin(connection)?;
    let record = records::lane(&tx, &lane)?;
    let outcome = match queries::one(&tx, &lane, id)? {
        None => RetryOutcome::Unknown,
        Some(Entry {
            ended: Some(ended), ..
        }) => RetryOutcome::Ended { ending: ended.ending },
        Some(_) => {
            let released_entry = released_entry(&tx, &lane, ChunkNumber::of(arrival))?;
            let is_folded = record.state.is_folded(ChunkNumber::of(arrival));
            let outcome = message_outcome(arrival.chunk.digest, released_entry, is_folded);
            match outcome {
                RetryOutcome::Released { .. } => end(&tx, &lane, id, Ending::Released, by)?,
                RetryOutcome::LeftBehind => end(&tx, &lane, id, Ending::LeftBehind, by)?,
                _ => {}
            }
            outcome
        }
    };
    save_recount(&tx, &lane, record)?;
    commit(tx)?;
    Ok(outcome)
}

fn released_entry(
    tx: &Transaction<'_>,
    lane: &Lane,
    chunk_number: ChunkNumber,
) -> Result<Option<ReleasedEntry>> {
    let found = tx
        .query_row(
            "SELECT digest, state, rows, rows_quarantined FROM slacktide_ledger \
             WHERE recipient = ?1 AND feed = ?2 AND epoch = ?3 AND number = ?4",
            params![
                lane.recipient.as_str(),
                lane.feed.as_str(),
                chunk_number.epoch,
                int(chunk_number.number)
            ],
            |row| {
                let (digest, state): (String, String) = (row.get(0)?, row.get(1)?);
                Ok((digest, state, row.get::<_, i64>(2)?, row.get::<_, i64>(3)?))
            },
        )
        .optional();
    let Some((digest, state, rows, refused)) = sql(found)? else {
        return Ok(None);
    };
    Ok(Some(ReleasedEntry {
        digest: digest_of(&digest)?,
        state: EntryState::of_word(&state),
        rows: unsigned(rows),
        refused: unsigned(refused),
    }))
}

pub(super) fn record_reason(connection: &mut Connection, lane: &Lane, id: &str, reason: &str) -> Result<()> {
    let tx = begin(connection)?;
    note_reason(&tx, lane, id, reason)?;
    commit(tx)
}

pub(super) fn note_reason(tx: &Transaction<'_>, lane: &Lane, id: &str, reason: &str) -> Result<()> {
    sql(tx.execute(
        "UPDATE slacktide_quarantine SET reason = ?4 WHERE recipient = ?1 AND feed = ?2 AND id = ?3 AND ended IS NULL",
        params![lane.recipient.as_str(), lane.feed.as_str(), id, reason],
    ))
    .map(|_| ())
}

pub(super) fn discard(
    connection: &mut Connection,
    lane: &Lane,
    ids: &[String],
    by: &Decision,
) -> Result<Vec<RetryOutcome>> {
    let tx = begin(connection)?;
    let record = records::lane(&tx, lane)?;
    let mut outcome = Vec::with_capacity(ids.len());
    for id in ids {
        outcome.push(match queries::one(&tx, lane, id)? {
            None => RetryOutcome::Unknown,
            Some(Entry {
                ended: Some(ended), ..
            }) => RetryOutcome::Ended { ending: ended.ending },
            Some(_) => {
                end(&tx, lane, id, Ending::Discarded, by)?;
                RetryOutcome::Discarded
            }
        });
    }
    save_recount(&tx, lane, record)?;
    commit(tx)?;
    Ok(outcome)
}

/// Ends an entry: its bytes are dropped, their digest is kept.
fn end(tx: &Transaction<'_>, lane: &Lane, id: &str, ending: Ending, by: &Decision) -> Result<()> {
    let content = queries::content(tx, lane, id)?;
    let digest = content.map(|content| Digest::of(&[&content.bytes]).to_string());
    sql(tx.execute(
        "UPDATE slacktide_quarantine SET ended = ?4, ended_digest = ?5, bytes = x'', retry_at = NULL, ended_by = ?6, ended_reason = ?7, \
         ended_at = ?8 WHERE recipient = ?1 AND feed = ?2 AND id = ?3 AND ended IS NULL",
        params![
            lane.recipient.as_str(),
            lane.feed.as_str(),
            id,
            ending.word(),
            digest,
            by.actor,
            by.reason,
            Timestamp::now().to_string(),
        ],
    ))
    .map(|_| ())
}

/// Ends the entries of rows whose chunk is stored again.
pub(in crate::sqlite) fn end_rows(
    tx: &Transaction<'_>,
    lane: &Lane,
    chunk_number: ChunkNumber,
) -> Result<()> {
    let read = || {
        tx.prepare_cached(
            "SELECT id FROM slacktide_quarantine WHERE recipient = ?1 AND feed = ?2 AND epoch = ?3 AND number = ?4 \
             AND ordinal IS NOT NULL AND kind IS NOT 'reject' AND ended IS NULL",
        )?
        .query_map(
            params![
                lane.recipient.as_str(),
                lane.feed.as_str(),
                chunk_number.epoch,
                int(chunk_number.number)
            ],
            |row| row.get(0),
        )?
        .collect::<rusqlite::Result<Vec<String>>>()
    };
    let by = restored_decision();
    sql(read())?
        .iter()
        .try_for_each(|id| end(tx, lane, id, Ending::Released, &by))
}

/// Recounts the chunks below the frontier.
pub(in crate::sqlite) fn save_recount(tx: &Transaction<'_>, lane: &Lane, record: LaneRecord) -> Result<()> {
    let frontier = recounted(tx, lane, &record)?;
    records::save(tx, lane, &LaneRecord { frontier, ..record })
}

/// Returns the frontier with the chunks below it recounted.
pub(in crate::sqlite) fn recounted(
    tx: &Transaction<'_>,
    lane: &Lane,
    record: &LaneRecord,
) -> Result<Frontier> {
    let at = record.frontier.chunk_number();
    if at.number == 0 {
        return Ok(record.frontier.clone());
    }
    Ok(recount(&record.frontier, &record.state, &below(tx, lane, at)?))
}

fn below(tx: &Transaction<'_>, lane: &Lane, at: ChunkNumber) -> Result<Below> {
    let (recipient, feed, number) = (lane.recipient.as_str(), lane.feed.as_str(), int(at.number));
    let key = params![recipient, feed, at.epoch, number];
    let head = tx
        .query_row(
            "SELECT digest, state FROM slacktide_ledger WHERE recipient = ?1 AND feed = ?2 AND epoch = ?3 AND number = ?4",
            key,
            |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)),
        )
        .optional();
    let head = match sql(head)? {
        Some((digest, state)) => Some((
            digest_of(&digest)?,
            EntryState::of_word(&state) == EntryState::Stored,
        )),
        None => None,
    };
    let stored = "slacktide_ledger WHERE recipient = ?1 AND feed = ?2 AND epoch = ?3 AND number <= ?4 \
                  AND state = 'stored'";
    let rows: i64 = sql(tx.query_row(
        &format!("SELECT coalesce(sum(rows), 0) FROM {stored}"),
        key,
        |row| row.get(0),
    ))?;
    let cursor = tx
        .query_row(
            &format!("SELECT cursor_after FROM {stored} ORDER BY number DESC LIMIT 1"),
            key,
            |row| row.get::<_, Option<String>>(0),
        )
        .optional();
    let cursor = sql(cursor)?
        .flatten()
        .map(|text| serde_json::from_str(&text).map_err(|_| broken("slacktide_ledger")))
        .transpose()?;
    let read = || {
        tx.prepare_cached(
            "SELECT l.epoch, l.number, EXISTS (SELECT 1 FROM slacktide_quarantine q WHERE q.recipient = ?1 AND q.feed = ?2 \
             AND q.epoch = l.epoch AND q.number = l.number AND q.ended IS NULL AND q.kind IS NOT 'reject') \
             FROM slacktide_ledger l WHERE l.recipient = ?1 AND l.feed = ?2 AND (l.epoch, l.number) <= (?3, ?4) \
             AND (l.state = 'quarantined' OR l.rows_quarantined > 0) ORDER BY 1, 2",
        )?
        .query_map(key, |row| {
            let chunk_number = ChunkNumber {
                epoch: row.get(0)?,
                number: unsigned(row.get(1)?),
            };
            Ok((chunk_number, row.get(2)?))
        })?
        .collect::<rusqlite::Result<Vec<(ChunkNumber, bool)>>>()
    };
    Ok(Below {
        head,
        cursor,
        rows: unsigned(rows),
        marked: sql(read())?,
    })
}
