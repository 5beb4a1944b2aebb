//! The transactions.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use schemas::digest::Digest;
use schemas::name::Lane;

use super::super::records::{self, int};
use super::super::rows::{Tables, Undone};
use super::super::tables::{begin, commit};
use super::super::{failure, rows, steps};
use super::found;
use crate::error::Result;
use crate::frontier::Frontier;
use crate::layout::LaneTables;
use crate::ledger::{ChunkLinks, EntryState, Judgement, needed, plan};
use crate::merge::Place;
use crate::port::Arrival;
use crate::quarantine::decide::{Below, Noted, message_became, recount, untried};
use crate::quarantine::{Became, By, Ending, Entry, NO_PLACE, chunk_of_row, stored_again};
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

pub(super) fn judged(connection: &mut Connection, arrival: &Arrival) -> Result<Judgement> {
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
    by: &By,
) -> Result<Vec<Became>> {
    let mut undone = Undone::default();
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
    by: &By,
    undone: &mut Undone,
) -> Result<Vec<Became>> {
    let lane = &tables.lane;
    let tx = begin(connection)?;
    let record = records::lane(&tx, lane)?;
    let mut became = Vec::with_capacity(ids.len());
    for id in ids {
        became.push(retry_row(&tx, tables, id, &record, by, undone)?);
    }
    save_recount(&tx, lane, record)?;
    commit(tx)?;
    Ok(became)
}

fn retry_row(
    tx: &Transaction<'_>,
    tables: &LaneTables,
    id: &str,
    record: &LaneRecord,
    by: &By,
    undone: &mut Undone,
) -> Result<Became> {
    let lane = &tables.lane;
    let tried = match tried(tx, lane, id, record, by)? {
        Ok(tried) => tried,
        Err(became) => return Ok(became),
    };
    match try_row(tx, tables, record, &tried, undone)? {
        Try::Not(became) => Ok(became),
        Try::Refused(row) => {
            note_reason(tx, lane, id, &row.reason)?;
            Ok(Became::Stays { reason: row.reason })
        }
        Try::Stored(net) => {
            release(tx, lane, &tried, net, by)?;
            Ok(Became::Released { rows: 1, refused: 0 })
        }
    }
}

/// A row that may be tried.
pub(super) struct Tried {
    pub(super) entry: Entry,
    /// A chunk of this row alone.
    pub(super) arrival: Arrival,
}

/// What came of a try.
pub(super) enum Try {
    /// It is stored, where nothing newer stands: how many more rows the table has.
    Stored(i64),
    /// It was refused: why, and whether another row may make room for it.
    Refused(rows::Refused),
    /// It was not tried.
    Not(Became),
}

/// A row that may be tried; otherwise what became of it.
pub(super) fn tried(
    tx: &Transaction<'_>,
    lane: &Lane,
    id: &str,
    record: &LaneRecord,
    by: &By,
) -> Result<std::result::Result<Tried, Became>> {
    let Some(entry) = found::one(tx, lane, id)? else {
        return Ok(Err(Became::Unknown));
    };
    let how = entry.ended.as_ref().map(|ended| ended.how);
    if let Some(answer) = untried(entry.kind, how, &record.state, entry.place) {
        if answer == Became::LeftBehind {
            end(tx, lane, id, Ending::LeftBehind, by)?;
        }
        return Ok(Err(answer));
    }
    let content = found::content(tx, lane, id)?;
    let Some((bytes, Some(manifest))) = content.map(|content| (content.bytes, content.manifest)) else {
        return Ok(Err(Became::Stays {
            reason: "the columns of its chunk were not kept with it; discard it and rewind the feed"
                .to_owned(),
        }));
    };
    Ok(Ok(Tried {
        arrival: chunk_of_row(&entry, manifest, bytes),
        entry,
    }))
}

/// Where a row goes; none: its columns find no place any more.
pub(super) fn into<'a>(tables: &'a LaneTables, record: &'a LaneRecord, tried: &Tried) -> Option<Tables<'a>> {
    let (columns, place) = (&tried.arrival.chunk.manifest.schema, Place::of(&tried.arrival));
    let shape = record
        .shape
        .as_ref()
        .filter(|shape| fit(Some(shape), columns, place, tables, place) == Fit::Fits);
    shape.map(|shape| Tables {
        layout: &tables.layout,
        shape,
        first: tried.entry.ordinal.unwrap_or(0),
        is_whole: false,
    })
}

/// Stores one row, under its chunk's place.
pub(super) fn try_row(
    tx: &Transaction<'_>,
    tables: &LaneTables,
    record: &LaneRecord,
    tried: &Tried,
    undone: &mut Undone,
) -> Result<Try> {
    let Some(into) = into(tables, record, tried) else {
        return Ok(Try::Not(Became::Never {
            reason: NO_PLACE.to_owned(),
        }));
    };
    steps::hold(tx, tables, into.shape)?;
    let rows::Done { refused, net } = rows::store(tx, &tables.lane, &into, &tried.arrival, undone)?;
    let refused = refused.into_iter().next();
    Ok(refused.map_or(Try::Stored(net), Try::Refused))
}

/// Ends the entry of a row that is stored, and counts its row with its chunk's.
pub(super) fn release(tx: &Transaction<'_>, lane: &Lane, tried: &Tried, net: i64, by: &By) -> Result<()> {
    let place = Place::of(&tried.arrival);
    end(tx, lane, &tried.entry.id, Ending::Released, by)?;
    sql(tx.execute(
        "UPDATE slacktide_ledger SET rows_quarantined = max(rows_quarantined - 1, 0), rows_net = rows_net + ?5 \
         WHERE recipient = ?1 AND feed = ?2 AND epoch = ?3 AND number = ?4",
        params![
            lane.recipient.as_str(),
            lane.feed.as_str(),
            place.epoch,
            int(place.number),
            net
        ],
    ))
    .map(|_| ())
}

pub(super) fn finish(connection: &mut Connection, arrival: &Arrival, id: &str, by: &By) -> Result<Became> {
    let lane = arrival.chunk.manifest.lane();
    let tx = begin(connection)?;
    let record = records::lane(&tx, &lane)?;
    let became = match found::one(&tx, &lane, id)? {
        None => Became::Unknown,
        Some(Entry {
            ended: Some(ended), ..
        }) => Became::Ended { how: ended.how },
        Some(_) => {
            let noted = noted(&tx, &lane, Place::of(arrival))?;
            let is_folded = record.state.is_folded(Place::of(arrival));
            let became = message_became(arrival.chunk.digest, noted, is_folded);
            match became {
                Became::Released { .. } => end(&tx, &lane, id, Ending::Released, by)?,
                Became::LeftBehind => end(&tx, &lane, id, Ending::LeftBehind, by)?,
                _ => {}
            }
            became
        }
    };
    save_recount(&tx, &lane, record)?;
    commit(tx)?;
    Ok(became)
}

fn noted(tx: &Transaction<'_>, lane: &Lane, place: Place) -> Result<Option<Noted>> {
    let found = tx
        .query_row(
            "SELECT digest, state, rows, rows_quarantined FROM slacktide_ledger \
             WHERE recipient = ?1 AND feed = ?2 AND epoch = ?3 AND number = ?4",
            params![
                lane.recipient.as_str(),
                lane.feed.as_str(),
                place.epoch,
                int(place.number)
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
    Ok(Some(Noted {
        digest: digest_of(&digest)?,
        state: EntryState::of_word(&state),
        rows: unsigned(rows),
        refused: unsigned(refused),
    }))
}

pub(super) fn stays(connection: &mut Connection, lane: &Lane, id: &str, reason: &str) -> Result<()> {
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
    by: &By,
) -> Result<Vec<Became>> {
    let tx = begin(connection)?;
    let record = records::lane(&tx, lane)?;
    let mut became = Vec::with_capacity(ids.len());
    for id in ids {
        became.push(match found::one(&tx, lane, id)? {
            None => Became::Unknown,
            Some(Entry {
                ended: Some(ended), ..
            }) => Became::Ended { how: ended.how },
            Some(_) => {
                end(&tx, lane, id, Ending::Discarded, by)?;
                Became::Discarded
            }
        });
    }
    save_recount(&tx, lane, record)?;
    commit(tx)?;
    Ok(became)
}

/// Ends an entry: its bytes are dropped, their digest stays.
fn end(tx: &Transaction<'_>, lane: &Lane, id: &str, how: Ending, by: &By) -> Result<()> {
    let content = found::content(tx, lane, id)?;
    let digest = content.map(|content| Digest::of(&[&content.bytes]).to_string());
    sql(tx.execute(
        "UPDATE slacktide_quarantine SET ended = ?4, ended_digest = ?5, bytes = x'', retry_at = NULL, ended_by = ?6, ended_why = ?7, \
         ended_at = ?8 WHERE recipient = ?1 AND feed = ?2 AND id = ?3 AND ended IS NULL",
        params![
            lane.recipient.as_str(),
            lane.feed.as_str(),
            id,
            how.word(),
            digest,
            by.actor,
            by.reason,
            Timestamp::now().to_string(),
        ],
    ))
    .map(|_| ())
}

/// Ends the entries of a chunk's rows, because the chunk is stored again.
pub(in crate::sqlite) fn end_rows(tx: &Transaction<'_>, lane: &Lane, place: Place) -> Result<()> {
    let read = || {
        tx.prepare_cached(
            "SELECT id FROM slacktide_quarantine WHERE recipient = ?1 AND feed = ?2 AND epoch = ?3 AND number = ?4 \
             AND ordinal IS NOT NULL AND kind IS NOT 'reject' AND ended IS NULL",
        )?
        .query_map(
            params![
                lane.recipient.as_str(),
                lane.feed.as_str(),
                place.epoch,
                int(place.number)
            ],
            |row| row.get(0),
        )?
        .collect::<rusqlite::Result<Vec<String>>>()
    };
    let by = stored_again();
    sql(read())?
        .iter()
        .try_for_each(|id| end(tx, lane, id, Ending::Released, &by))
}

/// Counts anew what stands below the frontier.
pub(in crate::sqlite) fn save_recount(tx: &Transaction<'_>, lane: &Lane, record: LaneRecord) -> Result<()> {
    let frontier = recounted(tx, lane, &record)?;
    records::save(tx, lane, &LaneRecord { frontier, ..record })
}

/// The frontier with what stands below it counted anew.
pub(in crate::sqlite) fn recounted(
    tx: &Transaction<'_>,
    lane: &Lane,
    record: &LaneRecord,
) -> Result<Frontier> {
    let at = record.frontier.place();
    if at.number == 0 {
        return Ok(record.frontier.clone());
    }
    Ok(recount(&record.frontier, &record.state, &below(tx, lane, at)?))
}

fn below(tx: &Transaction<'_>, lane: &Lane, at: Place) -> Result<Below> {
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
            let place = Place {
                epoch: row.get(0)?,
                number: unsigned(row.get(1)?),
            };
            Ok((place, row.get(2)?))
        })?
        .collect::<rusqlite::Result<Vec<(Place, bool)>>>()
    };
    Ok(Below {
        head,
        cursor,
        rows: unsigned(rows),
        marked: sql(read())?,
    })
}
