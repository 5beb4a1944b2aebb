//! Rows that another row may make room for: tried again without an operator.

use jiff::Timestamp;
use rusqlite::{Connection, Transaction, params};
use schemas::name::{FeedName, Lane, RecipientName};

use super::super::records;
use super::super::rows::{Park, Undone, park, parks};
use super::super::tables::{begin, commit};
use super::super::{failure, rows};
use super::verbs::{Tried, Try, into, note_reason, release, save_recount, tried, try_row};
use crate::error::Result;
use crate::layout::LaneTables;
use crate::merge::Place;
use crate::quarantine::waiting::{MOST, Retried, SOON, by_itself, next_try};
use crate::record::{LaneRecord, broken};

fn sql<T>(result: rusqlite::Result<T>) -> Result<T> {
    result.map_err(|error| failure::of(&error))
}

/// The lanes with rows whose time has come.
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

/// Tries rows of a lane again: those whose time has come; right after a chunk of the lane (`soon`) also those that were
/// tried a few times only.
pub(in crate::sqlite) fn retry(
    connection: &mut Connection,
    tables: &LaneTables,
    soon: bool,
    now: Timestamp,
) -> Result<Retried> {
    let mut undone = Undone::default();
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
    undone: &mut Undone,
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
                MOST
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
    undone: &mut Undone,
) -> Result<Vec<Place>> {
    let (lane, by) = (&tables.lane, by_itself());
    let mut waiting = Vec::with_capacity(ids.len());
    for id in ids {
        if let Ok(row) = tried(tx, lane, id, record, &by)? {
            waiting.push(row);
        }
    }
    let (mut released, mut refused) = (Vec::new(), Vec::new());
    // Each row may make room for another: forwards and backwards, until nothing moves.
    loop {
        let before = waiting.len();
        let mut still = Vec::with_capacity(before);
        refused.clear();
        for row in waiting {
            match try_row(tx, tables, record, &row, undone)? {
                Try::Stored(net) => {
                    release(tx, lane, &row, net, &by)?;
                    released.push(Place::of(&row.arrival));
                }
                Try::Refused(why) => {
                    refused.push((row.entry.id.clone(), why));
                    still.push(row);
                }
                Try::Not(_) => {}
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
        released.push(Place::of(&row.arrival));
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
    waiting: &[Tried],
    now: Timestamp,
) -> Result<()> {
    note_reason(tx, lane, id, &why.reason)?;
    let row = waiting.iter().find(|row| row.entry.id == id);
    let tries = row
        .and_then(|row| row.entry.waiting)
        .map_or(0, |waiting| waiting.tries);
    let at = why.waits.then(|| next_try(tries, now).as_microsecond());
    sql(tx.execute(
        "UPDATE slacktide_quarantine SET tries = tries + 1, retry_at = ?4 \
         WHERE recipient = ?1 AND feed = ?2 AND id = ?3 AND ended IS NULL",
        params![lane.recipient.as_str(), lane.feed.as_str(), id, at],
    ))
    .map(|_| ())
}

/// A row that is stored, and how many more rows its table has.
type Stored<'a> = (&'a Tried, i64);

/// Stores rows together that hold what is unique from each other, and returns those that were stored. What is refused
/// even so waits for another row: it is left out, and the rest is tried again without it.
fn together<'a>(
    tx: &Transaction<'_>,
    tables: &LaneTables,
    record: &LaneRecord,
    waiting: &'a [Tried],
    undone: &mut Undone,
) -> Result<Vec<Stored<'a>>> {
    let mut set: Vec<&Tried> = waiting.iter().collect();
    let Some(first) = set
        .first()
        .filter(|_| set.len() > 1 && tables.layout.mode.keeps_current())
    else {
        return Ok(Vec::new());
    };
    let key = &first.arrival.chunk.manifest.schema.key;
    let key: Vec<&str> = key.iter().map(|name| tables.layout.column(name)).collect();
    let Some(parks) = sql(parks(tx, &tables.layout.table, &key))? else {
        return Ok(Vec::new());
    };
    while set.len() > 1 {
        sql(tx.execute_batch("SAVEPOINT together"))?;
        let (stored, refused) = all_of(tx, tables, record, &set, &parks, undone)?;
        if refused.is_empty() {
            sql(tx.execute_batch("RELEASE together"))?;
            return Ok(stored);
        }
        sql(tx.execute_batch("ROLLBACK TO together; RELEASE together"))?;
        set.retain(|row| !refused.contains(&row.entry.id));
    }
    Ok(Vec::new())
}

/// Lets the older versions of all rows give up what is unique, then writes each. Returns those that are stored, and the
/// ids of those that are refused.
fn all_of<'a>(
    tx: &Transaction<'_>,
    tables: &LaneTables,
    record: &LaneRecord,
    set: &[&'a Tried],
    parks: &[Park],
    undone: &mut Undone,
) -> Result<(Vec<Stored<'a>>, Vec<String>)> {
    let none = || {
        let ids = set.iter().map(|row| row.entry.id.clone());
        Ok((Vec::new(), ids.collect()))
    };
    for row in set {
        let Some(into) = into(tables, record, row) else {
            return none();
        };
        if !park(tx, &tables.lane, &into, &row.arrival, parks)? {
            return none();
        }
    }
    let (mut stored, mut refused) = (Vec::new(), Vec::new());
    for row in set {
        match try_row(tx, tables, record, row, undone)? {
            Try::Stored(net) => stored.push((*row, net)),
            _ => refused.push(row.entry.id.clone()),
        }
    }
    Ok((stored, refused))
}
