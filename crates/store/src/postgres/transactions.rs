//! The store's transactions.

use std::collections::BTreeMap;

use schemas::name::Lane;

use super::rows::{Refused, Target, stage};
use super::session::{IMMEDIATE, Session};
use super::{LaneCache, ownership, steps};
use crate::arrival::Arrival;
use crate::bookkeeping::ledger::{self, QuarantinedItem};
use crate::bookkeeping::removal::StoredChunk;
use crate::bookkeeping::{LaneLock, lanes, opening, quarantine, refill, removal};
use crate::chunk_number::ChunkNumber;
use crate::error::Result;
use crate::layout::{LaneTables, Role};
use crate::ledger::EntryState;
use crate::port::Outcome;
use crate::record::{LedgerRow, row_id};
use crate::resync::{Removal, removal_of};
use crate::table::batch_plan::{Incoming, Verdict, plan_batch};
use crate::table::groups;
use crate::table::shape::{Fit, Shape, fit};

/// The chunks to store.
pub(super) struct StoreJob<'a> {
    pub(super) tables: &'a LaneTables,
    pub(super) arrivals: &'a [Arrival],
    pub(super) known: &'a LaneCache,
    /// Whether the lane's row is locked exclusively.
    pub(super) alone: bool,
}

/// The result of one try. Every result except `Done` needs a rollback.
pub(super) enum StoreStep {
    /// Committed.
    Done {
        outcomes: Vec<Outcome>,
        /// Whether a COPY into the target met an existing row.
        conflict: bool,
    },
    /// The tables or the lane's row must be created or changed first.
    Widen,
    /// The tables have another shape than the cached one.
    Learn(Box<Option<Shape>>),
    /// The lane's row must be locked exclusively.
    Alone,
    /// Another poller stored one of the chunks meanwhile.
    Lost,
}

pub(super) async fn store(session: &mut Session, job: &StoreJob<'_>) -> Result<StoreStep> {
    let StoreJob { tables, arrivals, .. } = *job;
    let lane = &tables.lane;
    let sorted = {
        let mut sorted: Vec<(usize, &Arrival)> = arrivals.iter().enumerate().collect();
        sorted.sort_by_key(|(_, arrival)| ChunkNumber::of(arrival));
        sorted
    };
    if let Some(shape) = &job.known.shape
        && let Err(error) = stage_all(session, tables, shape, &sorted).await
    {
        return match ownership::explain(session, tables, error).await {
            Some(error) => Err(error),
            None => Ok(StoreStep::Widen),
        };
    }
    let lock = if job.alone {
        LaneLock::Alone
    } else {
        LaneLock::Shared
    };
    session.begin(IMMEDIATE).await?;
    let Some(mut before) = lanes::read(session, lane, lock).await? else {
        return Ok(StoreStep::Widen);
    };
    if before.shape != job.known.shape {
        return Ok(StoreStep::Learn(Box::new(before.shape)));
    }
    let incoming = Incoming::all(arrivals);
    let entries = ledger::entries(session, lane, &Incoming::needed(&incoming)).await?;
    let plan = plan_batch(&before.snapshot(tables), &entries, &incoming);
    if plan.change.is_some() || plan.asks.is_some() || plan.refused.is_some() {
        return Ok(StoreStep::Widen);
    }
    if plan.state != before.state && !job.alone {
        return Ok(StoreStep::Alone);
    }
    let verdict_is = |index: usize, check: fn(&Verdict) -> bool| plan.verdicts.get(index).is_some_and(check);
    let new: Vec<(usize, &Arrival)> = sorted
        .iter()
        .copied()
        .filter(|(index, _)| verdict_is(*index, Verdict::stores))
        .collect();
    let is_again = |arrival: &Arrival| {
        let chunk_number = ChunkNumber::of(arrival);
        before.state.is_again(chunk_number, entries.get(&chunk_number))
    };
    let removals: Vec<(&Arrival, Removal)> = new
        .iter()
        .map(|(_, arrival)| {
            let removal = removal_of(&arrival.chunk.manifest, &before.frontier, is_again(arrival));
            (*arrival, removal)
        })
        .filter(|(_, removal)| *removal != Removal::None)
        .collect();
    if !removals.is_empty() && !job.alone {
        return Ok(StoreStep::Alone);
    }
    let has_rows = |arrival: &Arrival| arrival.chunk.manifest.content.totals.rows > 0;
    if before.shape.is_some() && (!removals.is_empty() || new.iter().any(|(_, arrival)| has_rows(arrival))) {
        let is_held = ownership::lock_tables(session, tables, &[Role::Current, Role::History]).await?;
        if !is_held || is_form_missing(session, tables, before.shape.as_ref()).await? {
            return Ok(StoreStep::Widen);
        }
    }
    // The history's versions of a chunk that is stored again were altered or lost.
    let again: Vec<ChunkNumber> = new
        .iter()
        .filter(|(_, arrival)| is_again(arrival))
        .map(|(_, arrival)| ChunkNumber::of(arrival))
        .collect();
    quarantine::end_rows(session, lane, &again).await?;
    if before.shape.is_some() {
        refill::forget_history(session, &tables.layout, &again).await?;
    }
    let (old, fresh): (Vec<_>, Vec<_>) = new
        .iter()
        .copied()
        .partition(|(_, arrival)| again.contains(&ChunkNumber::of(arrival)));
    let (mut refused, mut conflict, mut net) = (Vec::new(), false, Some(0));
    if let Some(shape) = &before.shape {
        // Rows of chunks that are stored again were counted before.
        let (of_old, met, _) = store_rows(session, job, shape, &old).await?;
        let (of_fresh, met_too, counted) = store_rows(session, job, shape, &fresh).await?;
        refused.extend(of_old.into_iter().chain(of_fresh));
        (conflict, net) = (met || met_too, counted);
    }
    let mut counts: BTreeMap<usize, u64> = BTreeMap::new();
    for row in &refused {
        *counts.entry(row.arrival).or_default() += 1;
        keep_row(session, lane, arrivals, row).await?;
    }
    let count = |index: usize| counts.get(&index).copied().unwrap_or(0);
    let mut stored: Vec<LedgerRow> = new
        .iter()
        .map(|(index, arrival)| LedgerRow::of(arrival, EntryState::Stored, count(*index)))
        .collect();
    // The rows of a transaction are counted with its first chunk.
    if let Some(first) = stored.iter_mut().find(|row| !again.contains(&row.chunk_number)) {
        first.rows_net = net;
    }
    if ledger::note(session, lane, &stored).await? != stored.len() as u64 {
        return Ok(StoreStep::Lost);
    }
    for (_, arrival) in &new {
        quarantine::keep_rejects(session, lane, arrival).await?;
    }
    for (arrival, removal) in removals {
        // A row of this transaction may have been refused.
        let removal = removal.after_rows(refused.len() as u64);
        let chunk = StoredChunk {
            number: ChunkNumber::of(arrival),
            is_again: again.contains(&ChunkNumber::of(arrival)),
            net: net.unwrap_or(0),
        };
        removal::apply(session, tables, &mut before, &chunk, &removal).await?;
    }
    let mut superseded: BTreeMap<ChunkNumber, LedgerRow> = BTreeMap::new();
    for (index, arrival) in &sorted {
        if verdict_is(*index, Verdict::is_superseded) && !before.state.is_folded(ChunkNumber::of(arrival)) {
            superseded
                .entry(ChunkNumber::of(arrival))
                .or_insert_with(|| LedgerRow::of(arrival, EntryState::Superseded, 0));
        }
    }
    ledger::note(session, lane, &superseded.into_values().collect::<Vec<_>>()).await?;
    if plan.state != before.state {
        let after = opening::after(session, tables, before, plan.state.clone()).await?;
        lanes::save_state(session, lane, &after).await?;
    }
    session.commit().await?;
    let outcomes = plan
        .verdicts
        .iter()
        .zip(arrivals)
        .enumerate()
        .map(|(index, (verdict, arrival))| {
            verdict.outcome(arrival.chunk.manifest.content.totals.rows, count(index))
        })
        .collect();
    Ok(StoreStep::Done { outcomes, conflict })
}

/// Returns whether the table lacks something that its key needs. The tables must be locked.
async fn is_form_missing(session: &Session, tables: &LaneTables, shape: Option<&Shape>) -> Result<bool> {
    match shape {
        Some(shape) => steps::is_form_missing(session, tables, shape).await,
        None => Ok(false),
    }
}

/// Creates staging tables outside of the transaction, whose rollback would drop them.
async fn stage_all(
    session: &mut Session,
    tables: &LaneTables,
    shape: &Shape,
    sorted: &[(usize, &Arrival)],
) -> Result<()> {
    let (lane, layout) = (&tables.lane, &tables.layout);
    if !layout.mode.keeps_current() {
        return Ok(());
    }
    let fits = |arrival: &Arrival| {
        let manifest = &arrival.chunk.manifest;
        let chunk_number = ChunkNumber::of(arrival);
        manifest.content.totals.rows > 0
            && fit(
                Some(shape),
                &manifest.content.schema,
                chunk_number,
                tables,
                chunk_number,
            ) == Fit::Fits
    };
    let fitting: Vec<(usize, &Arrival)> = sorted
        .iter()
        .copied()
        .filter(|(_, arrival)| fits(arrival))
        .collect();
    for group in groups(shape, layout, &fitting) {
        stage(session, layout, lane, shape, &group.mapping).await?;
    }
    Ok(())
}

async fn store_rows(
    session: &mut Session,
    job: &StoreJob<'_>,
    shape: &Shape,
    new: &[(usize, &Arrival)],
) -> Result<(Vec<Refused>, bool, Option<i64>)> {
    let with_rows: Vec<(usize, &Arrival)> = new
        .iter()
        .copied()
        .filter(|(_, arrival)| arrival.chunk.manifest.content.totals.rows > 0)
        .collect();
    let (mut refused, mut conflict, mut net) = (Vec::new(), false, Some(0));
    for group in groups(shape, &job.tables.layout, &with_rows) {
        let Some((_, first)) = group.arrivals.first() else {
            continue;
        };
        let schema = &first.chunk.manifest.content.schema;
        let target = Target::new(session, job.tables, shape, schema, group.mapping).await?;
        let (more, met) = target
            .store(session, &group.arrivals, job.known.staged == 0)
            .await?;
        refused.extend(more);
        conflict |= met;
        net = net.zip(target.net()).map(|(all, more)| all + more);
    }
    Ok((refused, conflict, net))
}

async fn keep_row(session: &Session, lane: &Lane, arrivals: &[Arrival], row: &Refused) -> Result<()> {
    let Some(arrival) = arrivals.get(row.arrival) else {
        return Ok(());
    };
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
    quarantine::keep_manifest(session, lane, arrival).await?;
    ledger::keep(session, lane, &kept).await
}
