//! The store's transactions.

use jiff::Timestamp;
use schemas::name::Lane;

use super::rows::{self, ChunkTarget};
use super::sql::{Session, now};
use super::steps;
use crate::arrival::Arrival;
use crate::bookkeeping::ledger::{self, QuarantinedItem};
use crate::bookkeeping::quarantine::waiting;
use crate::bookkeeping::removal::StoredChunk;
use crate::bookkeeping::{
    Begin, LaneLock, SqlSession as _, lane_operations, lanes, opening, quarantine, refill, removal,
};
use crate::chunk_number::ChunkNumber;
use crate::error::Result;
use crate::layout::LaneTables;
use crate::ledger::EntryState;
use crate::port::Outcome;
use crate::record::{LaneRecord, LedgerRow, row_id};
use crate::resync::{Removal, removal_of};
use crate::table::batch_plan::{Incoming, plan_batch};
use crate::table::shape::Shape;

pub(super) fn store(
    session: &mut Session<'_>,
    tables: &LaneTables,
    arrivals: &[Arrival],
) -> Result<Vec<Outcome>> {
    let mut done = session.past_rollbacks(|session| store_all(session, tables, arrivals));
    if let Ok(outcomes) = &mut done {
        retry_waiting(session, tables, arrivals, outcomes);
    }
    let first = arrivals.iter().map(ChunkNumber::of).min();
    if let (Err(error), Some(chunk_number)) = (&done, first)
        && let Some(why) = error.refusal(&tables.lane)
        && let Err(failed) = now(lane_operations::refuse(session, &tables.lane, chunk_number, why))
    {
        tracing::debug!(lane = %tables.lane, error = %failed, "recording a refusal failed");
    }
    done
}

/// Retries rows that another row may have made room for. The chunks stay stored even if it fails.
fn retry_waiting(
    session: &mut Session<'_>,
    tables: &LaneTables,
    arrivals: &[Arrival],
    outcomes: &mut [Outcome],
) {
    let has_rows = |outcome: &Outcome| matches!(outcome, Outcome::Stored { rows, .. } if *rows > 0);
    if !outcomes.iter().any(has_rows) {
        return;
    }
    let at = Timestamp::now();
    match session.past_rollbacks(|session| now(waiting::retry(session, tables, true, at))) {
        Ok(retried) => retried.count_out(arrivals, outcomes),
        Err(error) => tracing::debug!(lane = %tables.lane, %error, "retrying waiting rows failed"),
    }
}

fn store_all(session: &Session<'_>, tables: &LaneTables, arrivals: &[Arrival]) -> Result<Vec<Outcome>> {
    let lane = &tables.lane;
    now(session.begin(Begin::Rows))?;
    let before = lane_record(session, lane)?;
    let incoming = Incoming::all(arrivals);
    let entries = now(ledger::entries(session, lane, &Incoming::needed(&incoming)))?;
    let mut record = before.clone();
    let plan = loop {
        let plan = plan_batch(&record.snapshot(tables), &entries, &incoming);
        let Some(change) = plan.change else {
            break plan;
        };
        steps::apply(session.connection, tables, record.shape.as_ref(), &change)?;
        record.shape = Some(change.shape);
    };
    if let Some((chunk_number, changes)) = plan.asks {
        record.ask(chunk_number, changes, Timestamp::now());
    }
    if let Some(refused) = plan.refused {
        record.refused = refused;
    }
    let has_rows = |arrival: &Arrival| arrival.chunk.manifest.content.totals.rows > 0;
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
        steps::prepare_tables(session.connection, tables, shape)?;
    }
    let mut outcomes = Vec::with_capacity(arrivals.len());
    for (arrival, verdict) in arrivals.iter().zip(&plan.verdicts) {
        let mut quarantined = 0;
        if verdict.stores() {
            let chunk_number = ChunkNumber::of(arrival);
            let is_again = is_again(arrival);
            if is_again {
                now(quarantine::end_rows(session, lane, &[chunk_number]))?;
            }
            if is_again && record.shape.is_some() {
                // The history's versions of the chunk were altered or lost.
                now(refill::forget_history(session, &tables.layout, &[chunk_number]))?;
            }
            let net;
            (quarantined, net) = store_chunk(session, tables, record.shape.as_ref(), (arrival, is_again))?;
            let removal = removal_of(&arrival.chunk.manifest, &record.frontier, is_again);
            let removal = removal.after_rows(quarantined);
            let chunk = StoredChunk {
                number: chunk_number,
                is_again,
                net,
            };
            now(removal::apply(session, tables, &mut record, &chunk, &removal))?;
        } else if verdict.is_superseded() && !before.state.is_folded(ChunkNumber::of(arrival)) {
            let entry = LedgerRow::of(arrival, EntryState::Superseded, 0);
            now(ledger::note(session, lane, &[entry]))?;
        }
        outcomes.push(verdict.outcome(arrival.chunk.manifest.content.totals.rows, quarantined));
    }
    if record.shape != before.shape
        || record.pending_change != before.pending_change
        || record.refused != before.refused
    {
        now(lanes::save_columns(session, lane, &record))?;
    }
    if plan.state != before.state {
        // After the rows: a superseded chunk may have arrived together with the opening.
        let after = now(opening::after(session, tables, record, plan.state))?;
        now(lanes::save_state(session, lane, &after))?;
    }
    now(session.commit())?;
    Ok(outcomes)
}

/// Returns the lane's record, which is created if it is missing.
fn lane_record(session: &Session<'_>, lane: &Lane) -> Result<LaneRecord> {
    if let Some(record) = now(lanes::read(session, lane, LaneLock::Alone))? {
        return Ok(record);
    }
    now(lanes::make(session, lane))?;
    Ok(LaneRecord::default())
}

/// Stores a chunk's rows and its entry. Returns the numbers of refused and of added rows. Rows of a chunk that is stored again were
/// counted before.
fn store_chunk(
    session: &Session<'_>,
    tables: &LaneTables,
    shape: Option<&Shape>,
    (arrival, is_again): (&Arrival, bool),
) -> Result<(u64, i64)> {
    let (lane, layout) = (&tables.lane, &tables.layout);
    let rows::StoredRows { refused, net } =
        match shape.filter(|_| arrival.chunk.manifest.content.totals.rows > 0) {
            Some(shape) => {
                let to = ChunkTarget {
                    layout,
                    shape,
                    first: 0,
                    is_whole: true,
                };
                let rolled_back = &mut session.rolled_back.borrow_mut();
                rows::store(session.connection, lane, &to, arrival, rolled_back)?
            }
            None => rows::StoredRows::default(),
        };
    let quarantined = refused.len() as u64;
    for row in &refused {
        keep_row(session, lane, arrival, row)?;
    }
    let stored = LedgerRow {
        rows_net: Some(if is_again { 0 } else { net }),
        ..LedgerRow::of(arrival, EntryState::Stored, quarantined)
    };
    now(ledger::note(session, lane, &[stored]))?;
    now(quarantine::keep_rejects(session, lane, arrival))?;
    Ok((quarantined, net))
}

/// Quarantines a refused row.
fn keep_row(session: &Session<'_>, lane: &Lane, arrival: &Arrival, row: &rows::Refused) -> Result<()> {
    let kept = QuarantinedItem {
        id: row_id(arrival.chunk.digest, row.ordinal),
        chunk_number: Some(ChunkNumber::of(arrival)),
        ordinal: Some(row.ordinal),
        sequence: arrival.sequence,
        reason: &row.reason,
        bytes: &row.bytes,
        exchanged_at: arrival.exchanged_at,
        is_retryable: row.is_retryable,
    };
    now(quarantine::keep_manifest(session, lane, arrival))?;
    now(ledger::keep(session, lane, &kept))
}
