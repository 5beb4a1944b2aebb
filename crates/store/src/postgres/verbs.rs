//! The transactions.

use std::collections::BTreeMap;

use schemas::name::Lane;

use super::records::{self, Hold, Kept};
use super::rows::{Refused, Target, stage};
use super::session::Session;
use super::{Known, failure, quarantine};
use crate::error::Result;
use crate::frontier::advance;
use crate::ledger::{ChunkLinks, EntryState, Judgement, needed, plan};
use crate::merge::{Place, last_passed};
use crate::port::{Arrival, LaneReport, Outcome, Unreadable};
use crate::record::{LaneRecord, LedgerRow, message_id, outcome, row_id};
use crate::table::{groups, widen};

/// Entries that the frontier takes at a time.
const STRIDE: i64 = 2_000;

/// What is to be stored.
pub(super) struct Job<'a> {
    pub(super) schema: &'a str,
    pub(super) lane: &'a Lane,
    pub(super) arrivals: &'a [Arrival],
    pub(super) known: &'a Known,
    /// Whether the lane's row is to be held alone.
    pub(super) alone: bool,
}

/// How a try to store ended. All but `Done` leave the transaction to be undone.
pub(super) enum Step {
    /// Committed.
    Done {
        outcomes: Vec<Outcome>,
        /// Whether a COPY into the target met a row that was there.
        conflict: bool,
    },
    /// The target, or the lane's row, has to be made or widened first.
    Widen,
    /// The lane's row has to be held alone.
    Alone,
    /// Another poller stored one of the chunks meanwhile.
    Lost,
}

pub(super) async fn store(session: &mut Session, job: &Job<'_>) -> Result<Step> {
    let Job { lane, arrivals, .. } = *job;
    let sorted = {
        let mut sorted: Vec<(usize, &Arrival)> = arrivals.iter().enumerate().collect();
        sorted.sort_by_key(|(_, arrival)| Place::of(arrival));
        sorted
    };
    for arrival in arrivals {
        let change = widen(lane, job.known.columns.as_ref(), &arrival.chunk.manifest.schema)?;
        if job.known.columns.as_ref() != Some(&change.known) {
            return Ok(Step::Widen);
        }
    }
    for arrival in arrivals
        .iter()
        .filter(|arrival| arrival.chunk.manifest.totals.rows > 0)
    {
        stage(session, job.schema, lane, &arrival.chunk.manifest.schema).await?;
    }
    let hold = if job.alone { Hold::Alone } else { Hold::Shared };
    session
        .run("BEGIN ISOLATION LEVEL READ COMMITTED; SET CONSTRAINTS ALL IMMEDIATE")
        .await?;
    let Some(before) = records::lane(session, lane, hold).await? else {
        return Ok(Step::Widen);
    };
    let links: Vec<ChunkLinks> = arrivals
        .iter()
        .map(|arrival| ChunkLinks::of(&arrival.chunk.manifest, arrival.chunk.digest))
        .collect();
    let plan = plan(
        &before.state,
        &records::entries(session, lane, &needed(&links)).await?,
        &links,
    );
    if plan.lane != before.state && !job.alone {
        return Ok(Step::Alone);
    }
    let stores = |index: &usize| {
        matches!(
            plan.judgements.get(*index),
            Some(Judgement::Store | Judgement::OpenEpoch { .. })
        )
    };
    let new: Vec<(usize, &Arrival)> = sorted
        .iter()
        .copied()
        .filter(|(index, _)| stores(index))
        .collect();
    let (refused, conflict) = store_rows(session, job, &new).await?;
    let mut counts: BTreeMap<usize, u64> = BTreeMap::new();
    for row in &refused {
        *counts.entry(row.arrival).or_default() += 1;
        keep_row(session, lane, arrivals, row).await?;
    }
    let count = |index: usize| counts.get(&index).copied().unwrap_or(0);
    let stored: Vec<LedgerRow> = new
        .iter()
        .map(|(index, arrival)| LedgerRow::of(arrival, EntryState::Stored, count(*index)))
        .collect();
    if records::note(session, lane, &stored).await? != stored.len() as u64 {
        return Ok(Step::Lost);
    }
    quarantine::keep_rejects(session, lane, &new).await?;
    let mut superseded: BTreeMap<Place, LedgerRow> = BTreeMap::new();
    for (index, arrival) in &sorted {
        if matches!(plan.judgements.get(*index), Some(Judgement::Superseded)) {
            superseded
                .entry(Place::of(arrival))
                .or_insert_with(|| LedgerRow::of(arrival, EntryState::Superseded, 0));
        }
    }
    records::note(session, lane, &superseded.into_values().collect::<Vec<_>>()).await?;
    if plan.lane != before.state {
        records::save_state(
            session,
            lane,
            &LaneRecord {
                state: plan.lane,
                ..before
            },
        )
        .await?;
    }
    session.run("COMMIT").await?;
    let outcomes = plan
        .judgements
        .iter()
        .zip(arrivals)
        .enumerate()
        .map(|(index, (judgement, arrival))| {
            outcome(judgement, arrival.chunk.manifest.totals.rows, count(index))
        })
        .collect();
    Ok(Step::Done { outcomes, conflict })
}

async fn store_rows(
    session: &mut Session,
    job: &Job<'_>,
    new: &[(usize, &Arrival)],
) -> Result<(Vec<Refused>, bool)> {
    let (mut refused, mut conflict) = (Vec::new(), false);
    for group in groups(new) {
        let Some((_, first)) = group.first() else { continue };
        if group
            .iter()
            .all(|(_, arrival)| arrival.chunk.manifest.totals.rows == 0)
        {
            continue;
        }
        let schema = &first.chunk.manifest.schema;
        let target = Target::new(session, job.schema, job.lane, schema)?;
        // A row that goes in directly passes by the tombstones.
        let direct = job.known.staged == 0 && schema.tombstone.is_none();
        let (more, met) = target.store(session, &group, direct).await?;
        refused.extend(more);
        conflict |= met;
    }
    Ok((refused, conflict))
}

async fn keep_row(session: &Session, lane: &Lane, arrivals: &[Arrival], row: &Refused) -> Result<()> {
    let Some(arrival) = arrivals.get(row.arrival) else {
        return Ok(());
    };
    let kept = Kept {
        id: row_id(arrival.chunk.digest, row.ordinal),
        place: Some(Place::of(arrival)),
        ordinal: Some(row.ordinal),
        sequence: arrival.sequence,
        reason: &row.reason,
        bytes: &row.bytes,
        exchanged_at: arrival.exchanged_at,
    };
    quarantine::keep_manifest(session, lane, arrival).await?;
    records::keep(session, lane, &kept).await
}

/// Keeps a message, and its place.
pub(super) async fn keep_message(session: &mut Session, message: &Unreadable) -> Result<()> {
    let claimed = LedgerRow::claimed(message);
    let kept = Kept {
        id: message_id(message),
        place: claimed.as_ref().map(|row| row.place),
        ordinal: None,
        sequence: message.sequence,
        reason: &message.reason,
        bytes: &message.bytes,
        exchanged_at: message.exchanged_at,
    };
    session.run("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
    records::make(session, &message.lane).await?;
    records::keep(session, &message.lane, &kept).await?;
    records::note(session, &message.lane, claimed.as_slice()).await?;
    session.run("COMMIT").await
}

/// Advances every lane's frontier. Each lane is a transaction of its own.
pub(super) async fn reports(session: &mut Session) -> Result<Vec<LaneReport>> {
    let mut reports = Vec::new();
    for lane in records::lanes(session).await? {
        session.run("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
        reports.extend(report(session, &lane).await?);
        session.run("COMMIT").await?;
    }
    Ok(reports)
}

async fn report(session: &Session, lane: &Lane) -> Result<Option<LaneReport>> {
    let Some(before) = records::lane(session, lane, Hold::Free).await? else {
        return Ok(None);
    };
    let mut record = before.clone();
    loop {
        let entries = records::after(session, lane, record.frontier.place(), STRIDE).await?;
        let step = advance(&record.frontier, &record.state, &entries);
        let moved = step.frontier != record.frontier;
        record.frontier = step.frontier;
        if let Some(reason) = step.broken {
            // Held alone from here on: who stores meanwhile is waited for.
            let Some(now) = records::lane(session, lane, Hold::Alone).await? else {
                return Ok(None);
            };
            if now.state == before.state && now.state.stopped.is_none() {
                record.state.stopped = Some(reason);
                records::save_state(session, lane, &record).await?;
            } else {
                record.state = now.state;
            }
            break;
        }
        if !moved {
            break;
        }
    }
    // A retry out of quarantine counts anew what stands below the frontier: what was advanced
    // from an older one must not be written over that.
    let now = match record.frontier != before.frontier {
        true => records::lane(session, lane, Hold::Frontier).await?,
        false => None,
    };
    if let Some(now) = now.filter(|now| now.frontier != before.frontier) {
        record.frontier = now.frontier;
    } else if record.frontier != before.frontier {
        records::save_frontier(session, lane, &record).await?;
        let last = last_passed(&record.frontier);
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 4] = [
            &lane.recipient.as_str(),
            &lane.feed.as_str(),
            &records::small(last.epoch),
            &records::int(last.number),
        ];
        session
            .client
            .execute(
                "DELETE FROM slacktide.tombstones WHERE recipient = $1 AND feed = $2 AND (epoch, number) <= ($3, $4)",
                &params,
            )
            .await
            .map_err(|error| failure::of(&error))?;
    }
    let pending = records::pending(session, lane, record.frontier.place()).await?;
    Ok(Some(record.report(lane, pending)))
}
