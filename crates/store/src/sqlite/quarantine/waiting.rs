//! Retries rows that wait for another row, without an operator.

use jiff::Timestamp;
use rusqlite::{Connection, Transaction, params};
use schemas::name::{FeedName, Lane, RecipientName};

use super::super::records;
use super::super::rows::{FreedColumns, RolledBackRows, columns_to_free, free_unique_values};
use super::super::tables::{begin, commit};
use super::super::{failure, rows};
use super::transactions::{RowRetry, TryOutcome, into, note_reason, release, save_recount, tried, try_row};
use crate::error::Result;
use crate::layout::LaneTables;
use crate::merge::ChunkNumber;
use crate::quarantine::waiting::{MAX_ROWS_PER_TRY, Retried, SOON, automatic_retry, next_try};
use crate::record::{LaneRecord, broken};

fn sql<T>(result: rusqlite::Result<T>) -> Result<T> {
    result.map_err(|error| failure::of(&error))
}

/// Returns the lanes with due rows.
pub(super) fn due(connection: &Connection, now: Timestamp) -> Result<Vec<Lane>> {
    let read = || {
        connection
            .prepare_cached("SELECT DISTINCT recipient, feed FROM slacktide_quarantine WHERE retry_at <= ?1")?
            .query_map([now.as_microsecond()], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
            })?
            .collect::<rusqlite::Result<Vec<_>>>()
    };
    let lane = |(recipient, feed)| {
        let names = RecipientName::new(recipient).ok().zip(FeedName::new(feed).ok());
        let lane = names.map(|(recipient, feed)| Lane { recipient, feed });
        lane.ok_or_else(|| broken("slacktide_quarantine"))
    };
    sql(read())?.into_iter().map(lane).collect()
}

/// Retries due rows of a lane. Right after a chunk of the lane (`soon`), also retries rows with few tries.
pub(in crate::sqlite) fn retry(
    connection: &mut Connection,
    tables: &LaneTables,
    soon: bool,
    now: Timestamp,
) -> Result<Retried> {
    let mut undone = RolledBackRows::default();
    loop {
        let done = retry_once(connection, tables, soon, now, &mut undone);
        if done.is_ok() || !undone.take() {
            return done;
        }
    }
}

fn retry_once(
    connection: &mut Connection,
    tables: &LaneTables,
    soon: bool,
    now: Timestamp,
    undone: &mut RolledBackRows,
) -> Result<Retried> {
    let lane = &tables.lane;
    let mut retried = Retried::default();
    let ids = sql(ids(connection, lane, soon, now))?;
    if !ids.is_empty() {
        let tx = begin(connection)?;
        let record = records::lane(&tx, lane)?;
        retried.released = retry_all(&tx, tables, &record, &ids, now, undone)?;
        save_recount(&tx, lane, record)?;
        commit(tx)?;
    }
    let count = connection.query_row(
        "SELECT count(*) FROM slacktide_quarantine WHERE recipient = ?1 AND feed = ?2 AND retry_at IS NOT NULL",
        params![lane.recipient.as_str(), lane.feed.as_str()],
        |row| row.get::<_, i64>(0),
    );
    retried.waiting = u64::try_from(sql(count)?).unwrap_or(0);
    Ok(retried)
}

fn ids(connection: &Connection, lane: &Lane, soon: bool, now: Timestamp) -> rusqlite::Result<Vec<String>> {
    connection
        .prepare_cached(
            "SELECT id FROM slacktide_quarantine WHERE recipient = ?1 AND feed = ?2 AND ended IS NULL \
             AND retry_at IS NOT NULL AND (retry_at <= ?3 OR (?4 AND tries < ?5)) ORDER BY epoch, number, ordinal LIMIT ?6",
        )?
        .query_map(
            params![
                lane.recipient.as_str(),
                lane.feed.as_str(),
                now.as_microsecond(),
                soon,
                SOON,
                MAX_ROWS_PER_TRY
            ],
            |row| row.get(0),
        )?
        .collect()
}

fn retry_all(
    tx: &Transaction<'_>,
    tables: &LaneTables,
    record: &LaneRecord,
    ids: &[String],
    now: Timestamp,
    undone: &mut RolledBackRows,
) -> Result<Vec<ChunkNumber>> {
    let (lane, by) = (&tables.lane, automatic_retry());
    let mut waiting = Vec::with_capacity(ids.len());
    for id in ids {
        if let Ok(row) = tried(tx, lane, id, record, &by)? {
            waiting.push(row);
        }
    }
    let (mut released, mut refused) = (Vec::new(), Vec::new());
    // Each row may make room for another: repeat in both directions until nothing moves.
    loop {
        let before = waiting.len();
        let mut still = Vec::with_capacity(before);
        refused.clear();
        for row in waiting {
            match try_row(tx, tables, record, &row, undone)? {
                TryOutcome::Stored(net) => {
                    release(tx, lane, &row, net, &by)?;
                    released.push(ChunkNumber::of(&row.arrival));
                }
                TryOutcome::Refused(why) => {
                    refused.push((row.entry.id.clone(), why));
                    still.push(row);
                }
                TryOutcome::Not(_) => {}
            }
        }
        waiting = still;
        if waiting.is_empty() || waiting.len() == before {
            break;
        }
        waiting.reverse();
    }
    for (row, net) in together(tx, tables, record, &waiting, undone)? {
        release(tx, lane, row, net, &by)?;
        released.push(ChunkNumber::of(&row.arrival));
        refused.retain(|(id, _)| *id != row.entry.id);
    }
    for (id, why) in &refused {
        wait_on(tx, lane, id, why, &waiting, now)?;
    }
    Ok(released)
}

fn wait_on(
    tx: &Transaction<'_>,
    lane: &Lane,
    id: &str,
    why: &rows::Refused,
    waiting: &[RowRetry],
    now: Timestamp,
) -> Result<()> {
    note_reason(tx, lane, id, &why.reason)?;
    let row = waiting.iter().find(|row| row.entry.id == id);
    let tries = row
        .and_then(|row| row.entry.waiting)
        .map_or(0, |waiting| waiting.tries);
    let at = why.is_retryable.then(|| next_try(tries, now).as_microsecond());
    sql(tx.execute(
        "UPDATE slacktide_quarantine SET tries = tries + 1, retry_at = ?4 \
         WHERE recipient = ?1 AND feed = ?2 AND id = ?3 AND ended IS NULL",
        params![lane.recipient.as_str(), lane.feed.as_str(), id, at],
    ))
    .map(|_| ())
}

/// A stored row, and the number of additional rows in its table.
type Stored<'a> = (&'a RowRetry, i64);

/// Stores rows together that hold each other's unique values, and returns the stored ones. A row that is still
/// refused waits for another row: it is left out, and the rest is retried.
fn together<'a>(
    tx: &Transaction<'_>,
    tables: &LaneTables,
    record: &LaneRecord,
    waiting: &'a [RowRetry],
    undone: &mut RolledBackRows,
) -> Result<Vec<Stored<'a>>> {
    let mut set: Vec<&RowRetry> = waiting.iter().collect();
    let Some(first) = set
        .first()
        .filter(|_| set.len() > 1 && tables.layout.mode.keeps_current())
    else {
        return Ok(Vec::new());
    };
    let key = &first.arrival.chunk.manifest.schema.key;
    let key: Vec<&str> = key.iter().map(|name| tables.layout.column(name)).collect();
    let Some(columns_to_free) = sql(columns_to_free(tx, &tables.layout.table, &key))? else {
        return Ok(Vec::new());
    };
    while set.len() > 1 {
        sql(tx.execute_batch("SAVEPOINT together"))?;
        let (stored, refused) = all_of(tx, tables, record, &set, &columns_to_free, undone)?;
        if refused.is_empty() {
            sql(tx.execute_batch("RELEASE together"))?;
            return Ok(stored);
        }
        sql(tx.execute_batch("ROLLBACK TO together; RELEASE together"))?;
        set.retain(|row| !refused.contains(&row.entry.id));
    }
    Ok(Vec::new())
}

/// Frees the unique values of the older versions of all rows, then writes each row. Returns the stored rows and the
/// ids of the refused ones.
fn all_of<'a>(
    tx: &Transaction<'_>,
    tables: &LaneTables,
    record: &LaneRecord,
    set: &[&'a RowRetry],
    columns_to_free: &[FreedColumns],
    undone: &mut RolledBackRows,
) -> Result<(Vec<Stored<'a>>, Vec<String>)> {
    let none = || {
        let ids = set.iter().map(|row| row.entry.id.clone());
        Ok((Vec::new(), ids.collect()))
    };
    for row in set {
        let Some(into) = into(tables, record, row) else {
            return none();
        };
        if !free_unique_values(tx, &tables.lane, &into, &row.arrival, columns_to_free)? {
            return none();
        }
    }
    let (mut stored, mut refused) = (Vec::new(), Vec::new());
    for row in set {
        match try_row(tx, tables, record, row, undone)? {
            TryOutcome::Stored(net) => stored.push((*row, net)),
            _ => refused.push(row.entry.id.clone()),
        }
    }
    Ok((stored, refused))
}
