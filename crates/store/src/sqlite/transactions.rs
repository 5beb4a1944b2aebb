//! The store's transactions.

use jiff::Timestamp;
use rusqlite::{Connection, Transaction, params};
use schemas::name::Lane;

use super::records::{self, int};
use super::rows::{ChunkTarget, RolledBackRows};
use super::tables::{begin, commit};
use super::{failure, opening, quarantine, refill, rows, steps};
use crate::error::Result;
use crate::frontier::{Frontier, advance};
use crate::layout::{LaneTables, Layout};
use crate::ledger::EntryState;
use crate::merge::{ChunkNumber, last_passed};
use crate::naming::Refusal;
use crate::port::{Approval, Arrival, LaneReport, Outcome, Unreadable};
use crate::record::{LaneRecord, LedgerRow, message_id, row_id, text};
use crate::resync::{Removal, removal_of};
use crate::table::batch_plan::{Incoming, Refused, plan_batch, refusal};
use crate::table::schema_change::PendingChange;
use crate::table::shape::Shape;
use crate::table::{EPOCH, quoted};

/// The number of entries read at a time.
const BATCH_ENTRIES: u32 = 2_000;

pub(super) fn store(
    connection: &mut Connection,
    tables: &LaneTables,
    arrivals: &[Arrival],
) -> Result<Vec<Outcome>> {
    let mut undone = RolledBackRows::default();
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
    let first = arrivals.iter().map(ChunkNumber::of).min();
    if let (Err(error), Some(chunk_number)) = (&done, first)
        && let Some(why) = error.refusal(&tables.lane)
        && let Err(failed) = refuse(connection, &tables.lane, chunk_number, why)
    {
        tracing::debug!(lane = %tables.lane, error = %failed, "recording a refusal failed");
    }
    done
}

/// Retries rows that another row may have made room for. The chunks stay stored even if it fails.
fn retry_waiting(
    connection: &mut Connection,
    tables: &LaneTables,
    arrivals: &[Arrival],
    outcomes: &mut [Outcome],
) {
    let has_rows = |outcome: &Outcome| matches!(outcome, Outcome::Stored { rows, .. } if *rows > 0);
    if !outcomes.iter().any(has_rows) {
        return;
    }
    match quarantine::retry_waiting(connection, tables, true, Timestamp::now()) {
        Ok(retried) => retried.count_out(arrivals, outcomes),
        Err(error) => tracing::debug!(lane = %tables.lane, %error, "retrying waiting rows failed"),
    }
}

/// Records why nothing of a lane is stored until an operator acts.
pub(super) fn refuse(
    connection: &mut Connection,
    lane: &Lane,
    chunk_number: ChunkNumber,
    why: Refusal,
) -> Result<()> {
    let tx = begin(connection)?;
    let mut record = records::lane(&tx, lane)?;
    if let Some(refused) = refusal(record.refused.as_ref(), Some(Refused { chunk_number, why }), None) {
        record.refused = refused;
        records::save(&tx, lane, &record)?;
    }
    commit(tx)
}

fn store_all(
    connection: &mut Connection,
    tables: &LaneTables,
    arrivals: &[Arrival],
    undone: &mut RolledBackRows,
) -> Result<Vec<Outcome>> {
    let lane = &tables.lane;
    let tx = begin(connection)?;
    let before = records::lane(&tx, lane)?;
    let incoming = Incoming::all(arrivals);
    let entries = records::entries(&tx, lane, &Incoming::needed(&incoming))?;
    let mut record = before.clone();
    let plan = loop {
        let plan = plan_batch(&record.snapshot(tables), &entries, &incoming);
        let Some(change) = plan.change else {
            break plan;
        };
        steps::apply(&tx, tables, record.shape.as_ref(), &change)?;
        record.shape = Some(change.shape);
    };
    if let Some((chunk_number, changes)) = plan.asks {
        record.ask(chunk_number, changes, Timestamp::now());
    }
    if let Some(refused) = plan.refused {
        record.refused = refused;
    }
    let opens = plan.state.openings != before.state.openings;
    record.state = plan.state;
    let has_rows = |arrival: &Arrival| arrival.chunk.manifest.totals.rows > 0;
    let is_again = |arrival: &Arrival| {
        let chunk_number = ChunkNumber::of(arrival);
        before.state.is_again(chunk_number, entries.get(&chunk_number))
    };
    let mut pairs = arrivals.iter().zip(&plan.verdicts);
    if let Some(shape) = &record.shape
        && pairs.any(|(arrival, verdict)| {
            let removal = || removal_of(&arrival.chunk.manifest, &before.frontier, is_again(arrival));
            verdict.stores() && (has_rows(arrival) || removal() != Removal::None)
        })
    {
        steps::prepare_tables(&tx, tables, shape)?;
    }
    let mut outcomes = Vec::with_capacity(arrivals.len());
    for (arrival, verdict) in arrivals.iter().zip(&plan.verdicts) {
        let mut quarantined = 0;
        if verdict.stores() {
            let chunk_number = ChunkNumber::of(arrival);
            let is_again = is_again(arrival);
            if is_again {
                quarantine::end_rows(&tx, lane, chunk_number)?;
            }
            if is_again && record.shape.is_some() {
                // The history's versions of the chunk were altered or lost.
                refill::forget_history(&tx, &tables.layout, chunk_number)?;
            }
            quarantined = store_chunk(&tx, tables, record.shape.as_ref(), (arrival, is_again), undone)?;
            let removal = removal_of(&arrival.chunk.manifest, &record.frontier, is_again);
            apply_removal(
                &tx,
                tables,
                &mut record,
                (chunk_number, is_again),
                &removal.after_rows(quarantined),
            )?;
        } else if verdict.is_superseded() && !before.state.is_folded(ChunkNumber::of(arrival)) {
            records::note(&tx, lane, &LedgerRow::of(arrival, EntryState::Superseded, 0))?;
        }
        outcomes.push(verdict.outcome(arrival.chunk.manifest.totals.rows, quarantined));
    }
    if opens {
        // After the rows: a superseded chunk may have arrived together with the opening.
        opening::take(&tx, tables, &before.state, &mut record)?;
    }
    records::save(&tx, lane, &record)?;
    commit(tx)?;
    Ok(outcomes)
}

/// Stores a chunk's rows and its entry. Returns the number of refused rows. Rows of a chunk that is stored again were
/// counted before.
fn store_chunk(
    tx: &Transaction<'_>,
    tables: &LaneTables,
    shape: Option<&Shape>,
    (arrival, is_again): (&Arrival, bool),
    undone: &mut RolledBackRows,
) -> Result<u64> {
    let (lane, layout) = (&tables.lane, &tables.layout);
    let rows::StoredRows { refused, net } = match shape.filter(|_| arrival.chunk.manifest.totals.rows > 0) {
        Some(shape) => {
            let to = ChunkTarget {
                layout,
                shape,
                first: 0,
                is_whole: true,
            };
            rows::store(tx, lane, &to, arrival, undone)?
        }
        None => rows::StoredRows::default(),
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

/// Begins or ends a resynchronisation, if the chunk does so. Its end removes the rows of earlier epochs, or records
/// that they had to stay. All rows are sent again after its beginning, so changes that others
/// made before it no longer count; later changes, up to its end, do.
fn apply_removal(
    tx: &Transaction<'_>,
    tables: &LaneTables,
    record: &mut LaneRecord,
    (chunk_number, is_again): (ChunkNumber, bool),
    removal: &Removal,
) -> Result<()> {
    let made = record.shape.as_ref().and_then(|shape| shape.layout.as_ref());
    let layout = made.filter(|layout| layout.mode.keeps_current()).cloned();
    let of = |layout: &Layout| tables.with_layout(layout);
    record.frontier.unfinished_removal = match (removal, &layout) {
        (Removal::None, _) => return Ok(()),
        (Removal::Removes, None) => None,
        (Removal::Removes, Some(layout)) => match remove_older(tx, &quoted(&layout.table), chunk_number)? {
            Some(rows) => {
                tracing::info!(lane = %tables.lane, rows, "resynchronisation complete, rows gone at the source removed");
                if !is_again {
                    refill::forget_rows(tx, &of(layout), rows)?;
                }
                None
            }
            None => Some(chunk_number),
        },
        (Removal::Begins, layout) => {
            if let Some(layout) = layout {
                refill::take_rows(tx, &of(layout))?;
            }
            Some(chunk_number)
        }
        (Removal::Waits | Removal::Kept, _) => Some(chunk_number),
    };
    Ok(())
}

/// Removes the rows of earlier epochs and returns their number; `None` if a trigger or a reference keeps one of them,
/// so that all stay.
fn remove_older(tx: &Transaction<'_>, table: &str, chunk_number: ChunkNumber) -> Result<Option<usize>> {
    let fail = |error: rusqlite::Error| failure::of(&error);
    tx.execute_batch("SAVEPOINT resync").map_err(fail)?;
    let delete = format!("DELETE FROM {table} WHERE {EPOCH} < ?1");
    let gone = match tx.execute(&delete, params![chunk_number.epoch]) {
        Ok(rows) => {
            let left = format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE {EPOCH} < ?1)");
            let left = tx.query_row(&left, params![chunk_number.epoch], |row| row.get::<_, bool>(0));
            (!left.map_err(fail)?).then_some(rows)
        }
        // If a trigger rolled back the whole transaction, there is no savepoint.
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

/// Returns every lane with a pending change.
pub(super) fn pending_changes(connection: &mut Connection) -> Result<Vec<(Lane, PendingChange)>> {
    let tx = begin(connection)?;
    let mut waiting = Vec::new();
    for lane in records::lanes(&tx)? {
        if let Some(pending) = records::lane(&tx, &lane)?.pending_change {
            waiting.push((lane, pending));
        }
    }
    commit(tx)?;
    Ok(waiting)
}

/// Applies an operator's approval.
pub(super) fn accept(
    connection: &mut Connection,
    lane: &Lane,
    approval: &Approval,
) -> Result<Option<PendingChange>> {
    let tx = begin(connection)?;
    let mut record = records::lane(&tx, lane)?;
    let accepted = record.accept();
    if let Some(pending) = &accepted {
        tx.execute(
            "INSERT INTO slacktide_changes VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                lane.recipient.as_str(),
                lane.feed.as_str(),
                Timestamp::now().to_string(),
                pending.chunk_number.epoch,
                int(pending.chunk_number.number),
                text(&pending.changes)?,
                approval.actor,
                approval.reason,
            ],
        )
        .map_err(|error| failure::of(&error))?;
        records::save(&tx, lane, &record)?;
    }
    commit(tx)?;
    Ok(accepted)
}

/// Quarantines a refused row. A row that had left the quarantine enters it again, because its chunk is stored again.
fn keep_row(tx: &Transaction<'_>, lane: &Lane, arrival: &Arrival, row: &rows::Refused) -> Result<()> {
    let manifest = &arrival.chunk.manifest;
    let chunk_number = Some((manifest.epoch, manifest.number));
    let id = row_id(arrival.chunk.digest, row.ordinal);
    quarantine::keep_manifest(tx, lane, arrival)?;
    keep(
        tx,
        lane,
        &id,
        chunk_number,
        Some(row.ordinal),
        arrival.sequence,
        &row.reason,
        &row.bytes,
        arrival.exchanged_at,
        row.is_retryable,
    )
}

#[allow(clippy::too_many_arguments, reason = "the columns of one table")]
fn keep(
    tx: &Transaction<'_>,
    lane: &Lane,
    id: &str,
    chunk_number: Option<(u32, u64)>,
    ordinal: Option<u64>,
    sequence: u64,
    reason: &str,
    bytes: &[u8],
    exchanged_at: Timestamp,
    is_retryable: bool,
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
            chunk_number.map(|(epoch, _)| epoch),
            chunk_number.map(|(_, number)| int(number)),
            ordinal.map(int),
            int(sequence),
            reason,
            bytes,
            exchanged_at.to_string(),
            now.to_string(),
            is_retryable.then(|| now.as_microsecond()),
        ])
    })
    .map(|_| ())
    .map_err(|error| failure::of(&error))
}

pub(super) fn keep_message(connection: &mut Connection, message: &Unreadable) -> Result<()> {
    let tx = begin(connection)?;
    let record = records::lane(&tx, &message.lane)?;
    let claimed = LedgerRow::claimed(message);
    let chunk_number = claimed
        .as_ref()
        .map(|row| (row.chunk_number.epoch, row.chunk_number.number));
    keep(
        &tx,
        &message.lane,
        &message_id(message),
        chunk_number,
        None,
        message.sequence,
        &message.reason,
        &message.bytes,
        message.exchanged_at,
        false,
    )?;
    // Another chunk was stored under a folded number.
    if let Some(row) = claimed.filter(|row| !record.state.is_folded(row.chunk_number)) {
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
            let entries = records::after(&tx, &lane, record.frontier.chunk_number(), BATCH_ENTRIES)?;
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
        let pending = records::pending(&tx, &lane, record.frontier.chunk_number())?;
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
