//! The verbs, each one transaction.

use jiff::Timestamp;
use rusqlite::{Connection, Transaction, params};
use schemas::name::Lane;

use super::records::{self, int};
use super::rows::{Tables, Undone};
use super::tables::{begin, commit};
use super::{failure, opening, quarantine, refill, rows, steps};
use crate::error::Result;
use crate::frontier::{Frontier, advance};
use crate::layout::{LaneTables, Layout};
use crate::ledger::EntryState;
use crate::merge::{Place, last_passed};
use crate::naming::Refusal;
use crate::port::{Answer, Arrival, LaneReport, Outcome, Unreadable};
use crate::record::{LaneRecord, LedgerRow, message_id, row_id, text};
use crate::resync::{Removal, removal_of};
use crate::table::asked::Question;
use crate::table::intake::{Incoming, Refused, intake, refusal};
use crate::table::shape::Shape;
use crate::table::{EPOCH, quoted};

/// Entries that the frontier takes at a time.
const STRIDE: u32 = 2_000;

pub(super) fn store(
    connection: &mut Connection,
    tables: &LaneTables,
    arrivals: &[Arrival],
) -> Result<Vec<Outcome>> {
    let mut undone = Undone::default();
    let done = loop {
        let done = store_all(connection, tables, arrivals, &mut undone);
        if done.is_ok() || !undone.take() {
            break done;
        }
    };
    let mut done = done;
    if let Ok(outcomes) = &mut done {
        retry_waiting(connection, tables, arrivals, outcomes);
    }
    let first = arrivals.iter().map(Place::of).min();
    if let (Err(error), Some(place)) = (&done, first)
        && let Some(why) = error.refusal(&tables.lane)
        && let Err(failed) = refuse(connection, &tables.lane, place, why)
    {
        tracing::debug!(lane = %tables.lane, error = %failed, "a refusal was not noted");
    }
    done
}

/// Tries rows again that another row may have made room for by now. The chunks are stored whatever comes of it.
fn retry_waiting(
    connection: &mut Connection,
    tables: &LaneTables,
    arrivals: &[Arrival],
    outcomes: &mut [Outcome],
) {
    let brought = |outcome: &Outcome| matches!(outcome, Outcome::Stored { rows, .. } if *rows > 0);
    if !outcomes.iter().any(brought) {
        return;
    }
    match quarantine::retry_waiting(connection, tables, true, Timestamp::now()) {
        Ok(retried) => retried.count_out(arrivals, outcomes),
        Err(error) => tracing::debug!(lane = %tables.lane, %error, "rows that wait were not tried again"),
    }
}

/// Notes why nothing of a lane is stored until somebody acts.
pub(super) fn refuse(connection: &mut Connection, lane: &Lane, place: Place, why: Refusal) -> Result<()> {
    let tx = begin(connection)?;
    let mut record = records::lane(&tx, lane)?;
    if let Some(refused) = refusal(record.refused.as_ref(), Some(Refused { place, why }), None) {
        record.refused = refused;
        records::save(&tx, lane, &record)?;
    }
    commit(tx)
}

fn store_all(
    connection: &mut Connection,
    tables: &LaneTables,
    arrivals: &[Arrival],
    undone: &mut Undone,
) -> Result<Vec<Outcome>> {
    let lane = &tables.lane;
    let tx = begin(connection)?;
    let before = records::lane(&tx, lane)?;
    let incoming = Incoming::all(arrivals);
    let entries = records::entries(&tx, lane, &Incoming::needed(&incoming))?;
    let mut record = before.clone();
    let intake = loop {
        let intake = intake(&record.given(tables), &entries, &incoming);
        let Some(change) = intake.change else { break intake };
        steps::apply(&tx, tables, record.shape.as_ref(), &change)?;
        record.shape = Some(change.shape);
    };
    if let Some((place, changes)) = intake.asks {
        record.ask(place, changes, Timestamp::now());
    }
    if let Some(refused) = intake.refused {
        record.refused = refused;
    }
    let opens = intake.state.openings != before.state.openings;
    record.state = intake.state;
    let has_rows = |arrival: &Arrival| arrival.chunk.manifest.totals.rows > 0;
    let is_again = |arrival: &Arrival| {
        let place = Place::of(arrival);
        before.state.is_again(place, entries.get(&place))
    };
    let mut pairs = arrivals.iter().zip(&intake.verdicts);
    if let Some(shape) = &record.shape
        && pairs.any(|(arrival, verdict)| {
            let removal = || removal_of(&arrival.chunk.manifest, &before.frontier, is_again(arrival));
            verdict.stores() && (has_rows(arrival) || removal() != Removal::None)
        })
    {
        steps::hold(&tx, tables, shape)?;
    }
    let mut outcomes = Vec::with_capacity(arrivals.len());
    for (arrival, verdict) in arrivals.iter().zip(&intake.verdicts) {
        let mut quarantined = 0;
        if verdict.stores() {
            let place = Place::of(arrival);
            let is_again = is_again(arrival);
            if is_again {
                quarantine::end_rows(&tx, lane, place)?;
            }
            if is_again && record.shape.is_some() {
                // What a history holds of it was altered or lost.
                refill::forget_history(&tx, &tables.layout, place)?;
            }
            quarantined = store_chunk(&tx, tables, record.shape.as_ref(), (arrival, is_again), undone)?;
            let removal = removal_of(&arrival.chunk.manifest, &record.frontier, is_again);
            apply_removal(
                &tx,
                tables,
                &mut record,
                (place, is_again),
                &removal.after_rows(quarantined),
            )?;
        } else if verdict.is_superseded() && !before.state.is_folded(Place::of(arrival)) {
            records::note(&tx, lane, &LedgerRow::of(arrival, EntryState::Superseded, 0))?;
        }
        outcomes.push(verdict.outcome(arrival.chunk.manifest.totals.rows, quarantined));
    }
    if opens {
        // Behind the rows: what an epoch leaves behind may have come with its opening.
        opening::take(&tx, tables, &before.state, &mut record)?;
    }
    records::save(&tx, lane, &record)?;
    commit(tx)?;
    Ok(outcomes)
}

/// Stores a chunk's rows and its entry; says how many rows were refused. Rows of a chunk that is stored again were counted
/// before.
fn store_chunk(
    tx: &Transaction<'_>,
    tables: &LaneTables,
    shape: Option<&Shape>,
    (arrival, is_again): (&Arrival, bool),
    undone: &mut Undone,
) -> Result<u64> {
    let (lane, layout) = (&tables.lane, &tables.layout);
    let rows::Done { refused, net } = match shape.filter(|_| arrival.chunk.manifest.totals.rows > 0) {
        Some(shape) => {
            let to = Tables {
                layout,
                shape,
                first: 0,
                is_whole: true,
            };
            rows::store(tx, lane, &to, arrival, undone)?
        }
        None => rows::Done::default(),
    };
    let quarantined = refused.len() as u64;
    for row in &refused {
        keep_row(tx, lane, arrival, row)?;
    }
    let stored = LedgerRow {
        rows_net: Some(if is_again { 0 } else { net }),
        ..LedgerRow::of(arrival, EntryState::Stored, quarantined)
    };
    records::note(tx, lane, &stored)?;
    quarantine::keep_rejects(tx, lane, arrival)?;
    Ok(quarantined)
}

/// Begins or ends a resynchronisation, where the chunk does that. Its end removes the rows of earlier epochs, or notes that they
/// had to stay. All rows come again behind its beginning, so what others did to the table before counts no more; what they do
/// until its end does.
fn apply_removal(
    tx: &Transaction<'_>,
    tables: &LaneTables,
    record: &mut LaneRecord,
    (place, is_again): (Place, bool),
    removal: &Removal,
) -> Result<()> {
    let made = record.shape.as_ref().and_then(|shape| shape.layout.as_ref());
    let layout = made.filter(|layout| layout.mode.keeps_current()).cloned();
    let of = |layout: &Layout| tables.with_layout(layout);
    record.frontier.unremoved = match (removal, &layout) {
        (Removal::None, _) => return Ok(()),
        (Removal::Removes, None) => None,
        (Removal::Removes, Some(layout)) => match remove_older(tx, &quoted(&layout.table), place)? {
            Some(rows) => {
                tracing::info!(lane = %tables.lane, rows, "resynchronisation complete, rows gone at the source removed");
                if !is_again {
                    refill::forget_rows(tx, &of(layout), rows)?;
                }
                None
            }
            None => Some(place),
        },
        (Removal::Begins, layout) => {
            if let Some(layout) = layout {
                refill::take_rows(tx, &of(layout))?;
            }
            Some(place)
        }
        (Removal::Waits | Removal::Kept, _) => Some(place),
    };
    Ok(())
}

/// Removes the rows of earlier epochs, and returns how many; `None` where the table did not let all of them go, so that
/// all of them stay: a trigger, or a row that refers to one.
fn remove_older(tx: &Transaction<'_>, table: &str, place: Place) -> Result<Option<usize>> {
    let fail = |error: rusqlite::Error| failure::of(&error);
    tx.execute_batch("SAVEPOINT resync").map_err(fail)?;
    let delete = format!("DELETE FROM {table} WHERE {EPOCH} < ?1");
    let gone = match tx.execute(&delete, params![place.epoch]) {
        Ok(rows) => {
            let left = format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE {EPOCH} < ?1)");
            let left = tx.query_row(&left, params![place.epoch], |row| row.get::<_, bool>(0));
            (!left.map_err(fail)?).then_some(rows)
        }
        // Where a trigger undid the whole transaction, there is nothing to go back to.
        Err(error) if failure::of_row(&error).is_some() && !tx.is_autocommit() => None,
        Err(error) => return Err(failure::of(&error)),
    };
    let back = if gone.is_some() {
        ""
    } else {
        "ROLLBACK TO resync; "
    };
    tx.execute_batch(&format!("{back}RELEASE resync")).map_err(fail)?;
    Ok(gone)
}

/// Every lane that waits for an operator's word.
pub(super) fn asked(connection: &mut Connection) -> Result<Vec<(Lane, Question)>> {
    let tx = begin(connection)?;
    let mut waiting = Vec::new();
    for lane in records::lanes(&tx)? {
        if let Some(question) = records::lane(&tx, &lane)?.asked {
            waiting.push((lane, question));
        }
    }
    commit(tx)?;
    Ok(waiting)
}

/// Takes an operator's word.
pub(super) fn accept(connection: &mut Connection, lane: &Lane, answer: &Answer) -> Result<Option<Question>> {
    let tx = begin(connection)?;
    let mut record = records::lane(&tx, lane)?;
    let accepted = record.accept();
    if let Some(question) = &accepted {
        tx.execute(
            "INSERT INTO slacktide_changes VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                lane.recipient.as_str(),
                lane.feed.as_str(),
                Timestamp::now().to_string(),
                question.place.epoch,
                int(question.place.number),
                text(&question.changes)?,
                answer.actor,
                answer.reason,
            ],
        )
        .map_err(|error| failure::of(&error))?;
        records::save(&tx, lane, &record)?;
    }
    commit(tx)?;
    Ok(accepted)
}

/// Keeps a refused row. One that left the quarantine before is in it again: its chunk is stored again.
fn keep_row(tx: &Transaction<'_>, lane: &Lane, arrival: &Arrival, row: &rows::Refused) -> Result<()> {
    let manifest = &arrival.chunk.manifest;
    let place = Some((manifest.epoch, manifest.number));
    let id = row_id(arrival.chunk.digest, row.ordinal);
    quarantine::keep_manifest(tx, lane, arrival)?;
    keep(
        tx,
        lane,
        &id,
        place,
        Some(row.ordinal),
        arrival.sequence,
        &row.reason,
        &row.bytes,
        arrival.exchanged_at,
        row.waits,
    )
}

#[allow(clippy::too_many_arguments, reason = "the columns of one table")]
fn keep(
    tx: &Transaction<'_>,
    lane: &Lane,
    id: &str,
    place: Option<(u32, u64)>,
    ordinal: Option<u64>,
    sequence: u64,
    reason: &str,
    bytes: &[u8],
    exchanged_at: Timestamp,
    waits: bool,
) -> Result<()> {
    let now = Timestamp::now();
    tx.prepare_cached(
        "INSERT INTO slacktide_quarantine (recipient, feed, id, epoch, number, ordinal, sequence, reason, bytes, \
         exchanged_at, quarantined_at, retry_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) \
         ON CONFLICT DO UPDATE SET ended = NULL, bytes = excluded.bytes, reason = excluded.reason, tries = 0, \
         quarantined_at = excluded.quarantined_at, retry_at = excluded.retry_at \
         WHERE slacktide_quarantine.ended IS NOT NULL AND slacktide_quarantine.ordinal IS NOT NULL",
    )
    .and_then(|mut statement| {
        statement.execute(params![
            lane.recipient.as_str(),
            lane.feed.as_str(),
            id,
            place.map(|(epoch, _)| epoch),
            place.map(|(_, number)| int(number)),
            ordinal.map(int),
            int(sequence),
            reason,
            bytes,
            exchanged_at.to_string(),
            now.to_string(),
            waits.then(|| now.as_microsecond()),
        ])
    })
    .map(|_| ())
    .map_err(|error| failure::of(&error))
}

pub(super) fn keep_message(connection: &mut Connection, message: &Unreadable) -> Result<()> {
    let tx = begin(connection)?;
    let record = records::lane(&tx, &message.lane)?;
    let claimed = LedgerRow::claimed(message);
    let place = claimed.as_ref().map(|row| (row.place.epoch, row.place.number));
    keep(
        &tx,
        &message.lane,
        &message_id(message),
        place,
        None,
        message.sequence,
        &message.reason,
        &message.bytes,
        message.exchanged_at,
        false,
    )?;
    // In a place that was folded another chunk was stored.
    if let Some(row) = claimed.filter(|row| !record.state.is_folded(row.place)) {
        records::note(&tx, &message.lane, &row)?;
    }
    records::save(&tx, &message.lane, &record)?;
    commit(tx)
}

pub(super) fn reports(connection: &mut Connection) -> Result<Vec<LaneReport>> {
    let tx = begin(connection)?;
    let mut reports = Vec::new();
    for lane in records::lanes(&tx)? {
        let before = records::lane(&tx, &lane)?;
        let mut record = before.clone();
        loop {
            let entries = records::after(&tx, &lane, record.frontier.place(), STRIDE)?;
            let step = advance(&record.frontier, &record.state, &entries);
            let moved = step.frontier != record.frontier;
            record.frontier = step.frontier;
            if let Some(reason) = step.broken {
                record.state.stopped.get_or_insert(reason);
                break;
            }
            if !moved {
                break;
            }
        }
        if record != before {
            records::save(&tx, &lane, &record)?;
            drop_tombstones(&tx, &lane, &record.frontier)?;
        }
        let pending = records::pending(&tx, &lane, record.frontier.place())?;
        reports.push(record.report(&lane, pending));
    }
    commit(tx)?;
    Ok(reports)
}

fn drop_tombstones(tx: &Transaction<'_>, lane: &Lane, frontier: &Frontier) -> Result<()> {
    let last = last_passed(frontier);
    tx.execute(
        "DELETE FROM slacktide_tombstones WHERE recipient = ?1 AND feed = ?2 AND (epoch, number) <= (?3, ?4)",
        params![
            lane.recipient.as_str(),
            lane.feed.as_str(),
            last.epoch,
            int(last.number)
        ],
    )
    .map(|_| ())
    .map_err(|error| failure::of(&error))
}
