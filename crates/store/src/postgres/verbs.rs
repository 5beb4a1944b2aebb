//! The transactions.

use std::collections::BTreeMap;

use schemas::name::Lane;

use super::records::{self, Hold, Kept};
use super::rows::{Refused, Target, stage};
use super::session::{IMMEDIATE, Session};
use super::{Known, claims, failure, opening, quarantine, refill, removal, steps};
use crate::error::Result;
use crate::frontier::advance;
use crate::layout::{LaneTables, Role};
use crate::ledger::EntryState;
use crate::merge::{Place, last_passed};
use crate::port::{Answer, Arrival, LaneReport, Outcome, Unreadable};
use crate::record::{LedgerRow, message_id, row_id, text};
use crate::resync::{Removal, removal_of};
use crate::table::asked::Question;
use crate::table::groups;
use crate::table::intake::{Incoming, Verdict, intake};
use crate::table::shape::{Fit, Shape, fit};

/// Entries that the frontier takes at a time.
const STRIDE: i64 = 2_000;

/// What is to be stored.
pub(super) struct Job<'a> {
    pub(super) tables: &'a LaneTables,
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
    /// The tables, or the lane's row, have to be made or changed first.
    Widen,
    /// The tables are not what was remembered of them, but this.
    Learn(Box<Option<Shape>>),
    /// The lane's row has to be held alone.
    Alone,
    /// Another poller stored one of the chunks meanwhile.
    Lost,
}

pub(super) async fn store(session: &mut Session, job: &Job<'_>) -> Result<Step> {
    let Job { tables, arrivals, .. } = *job;
    let lane = &tables.lane;
    let sorted = {
        let mut sorted: Vec<(usize, &Arrival)> = arrivals.iter().enumerate().collect();
        sorted.sort_by_key(|(_, arrival)| Place::of(arrival));
        sorted
    };
    if let Some(shape) = &job.known.shape
        && let Err(error) = stage_all(session, tables, shape, &sorted).await
    {
        return match claims::explain(session, tables, error).await {
            Some(error) => Err(error),
            None => Ok(Step::Widen),
        };
    }
    let hold = if job.alone { Hold::Alone } else { Hold::Shared };
    session.begin(IMMEDIATE).await?;
    let Some(before) = records::lane(session, lane, hold).await? else {
        return Ok(Step::Widen);
    };
    if before.shape != job.known.shape {
        return Ok(Step::Learn(Box::new(before.shape)));
    }
    let incoming = Incoming::all(arrivals);
    let entries = records::entries(session, lane, &Incoming::needed(&incoming)).await?;
    let intake = intake(&before.given(tables), &entries, &incoming);
    if intake.change.is_some() || intake.asks.is_some() || intake.refused.is_some() {
        return Ok(Step::Widen);
    }
    if intake.state != before.state && !job.alone {
        return Ok(Step::Alone);
    }
    let is = |index: usize, of: fn(&Verdict) -> bool| intake.verdicts.get(index).is_some_and(of);
    let new: Vec<(usize, &Arrival)> = sorted
        .iter()
        .copied()
        .filter(|(index, _)| is(*index, Verdict::stores))
        .collect();
    let is_again = |arrival: &Arrival| {
        let place = Place::of(arrival);
        before.state.is_again(place, entries.get(&place))
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
        return Ok(Step::Alone);
    }
    let has_rows = |arrival: &Arrival| arrival.chunk.manifest.totals.rows > 0;
    if before.shape.is_some() && (!removals.is_empty() || new.iter().any(|(_, arrival)| has_rows(arrival))) {
        let is_held = claims::hold(session, tables, &[Role::Current, Role::History]).await?;
        if !is_held || is_form_missing(session, tables, before.shape.as_ref()).await? {
            return Ok(Step::Widen);
        }
    }
    // What a history holds of a chunk that is stored again was altered or lost.
    let again: Vec<Place> = new
        .iter()
        .filter(|(_, arrival)| is_again(arrival))
        .map(|(_, arrival)| Place::of(arrival))
        .collect();
    quarantine::end_rows(session, lane, &again).await?;
    if before.shape.is_some() {
        refill::forget_history(session, &tables.layout, &again).await?;
    }
    let (old, fresh): (Vec<_>, Vec<_>) = new
        .iter()
        .copied()
        .partition(|(_, arrival)| again.contains(&Place::of(arrival)));
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
    if let Some(first) = stored.iter_mut().find(|row| !again.contains(&row.place)) {
        first.rows_net = net;
    }
    if records::note(session, lane, &stored).await? != stored.len() as u64 {
        return Ok(Step::Lost);
    }
    quarantine::keep_rejects(session, lane, &new).await?;
    for (arrival, removal) in removals {
        // A row of this very transaction may have been refused.
        let removal = removal.after_rows(refused.len() as u64);
        let at = (Place::of(arrival), is_again(arrival));
        removal::apply(session, tables, &before, at, &removal).await?;
    }
    let mut superseded: BTreeMap<Place, LedgerRow> = BTreeMap::new();
    for (index, arrival) in &sorted {
        if is(*index, Verdict::is_superseded) && !before.state.is_folded(Place::of(arrival)) {
            superseded
                .entry(Place::of(arrival))
                .or_insert_with(|| LedgerRow::of(arrival, EntryState::Superseded, 0));
        }
    }
    records::note(session, lane, &superseded.into_values().collect::<Vec<_>>()).await?;
    if intake.state != before.state {
        let after = opening::after(session, tables, before, intake.state.clone()).await?;
        records::save_state(session, lane, &after).await?;
    }
    session.commit().await?;
    let outcomes = intake
        .verdicts
        .iter()
        .zip(arrivals)
        .enumerate()
        .map(|(index, (verdict, arrival))| verdict.outcome(arrival.chunk.manifest.totals.rows, count(index)))
        .collect();
    Ok(Step::Done { outcomes, conflict })
}

/// Whether the table has to get what its key needs first. The tables must be held.
async fn is_form_missing(session: &Session, tables: &LaneTables, shape: Option<&Shape>) -> Result<bool> {
    match shape {
        Some(shape) => steps::is_form_missing(session, tables, shape).await,
        None => Ok(false),
    }
}

/// Staging tables are made outside of the transaction, which could undo them.
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
        let place = Place::of(arrival);
        manifest.totals.rows > 0 && fit(Some(shape), &manifest.schema, place, tables, place) == Fit::Fits
    };
    let fitting: Vec<(usize, &Arrival)> = sorted
        .iter()
        .copied()
        .filter(|(_, arrival)| fits(arrival))
        .collect();
    for group in groups(shape, layout, &fitting) {
        stage(session, layout, lane, shape, &group.routes).await?;
    }
    Ok(())
}

async fn store_rows(
    session: &mut Session,
    job: &Job<'_>,
    shape: &Shape,
    new: &[(usize, &Arrival)],
) -> Result<(Vec<Refused>, bool, Option<i64>)> {
    let with_rows: Vec<(usize, &Arrival)> = new
        .iter()
        .copied()
        .filter(|(_, arrival)| arrival.chunk.manifest.totals.rows > 0)
        .collect();
    let (mut refused, mut conflict, mut net) = (Vec::new(), false, Some(0));
    for group in groups(shape, &job.tables.layout, &with_rows) {
        let Some((_, first)) = group.arrivals.first() else {
            continue;
        };
        let schema = &first.chunk.manifest.schema;
        let target = Target::new(session, job.tables, shape, schema, group.routes).await?;
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
    let kept = Kept {
        id: row_id(arrival.chunk.digest, row.ordinal),
        place: Some(Place::of(arrival)),
        ordinal: Some(row.ordinal),
        sequence: arrival.sequence,
        reason: &row.reason,
        bytes: &row.bytes,
        exchanged_at: arrival.exchanged_at,
        waits: row.waits,
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
        waits: false,
    };
    session.begin("").await?;
    records::make(session, &message.lane).await?;
    let state = records::lane(session, &message.lane, Hold::Shared)
        .await?
        .unwrap_or_default()
        .state;
    records::keep(session, &message.lane, &kept).await?;
    // In a place that was folded another chunk was stored.
    let noted = claimed.as_ref().filter(|row| !state.is_folded(row.place));
    records::note(
        session,
        &message.lane,
        noted.map(std::slice::from_ref).unwrap_or_default(),
    )
    .await?;
    session.commit().await
}

/// Advances every lane's frontier. Each lane is a transaction of its own.
pub(super) async fn reports(session: &mut Session) -> Result<Vec<LaneReport>> {
    let mut reports = Vec::new();
    for lane in records::lanes(session).await? {
        session.begin("").await?;
        reports.extend(report(session, &lane).await?);
        session.commit().await?;
    }
    Ok(reports)
}

async fn report(session: &Session, lane: &Lane) -> Result<Option<LaneReport>> {
    let Some(mut record) = records::lane(session, lane, Hold::Free).await? else {
        return Ok(None);
    };
    let mut is_held = false;
    loop {
        let entries = records::after(session, lane, record.frontier.place(), STRIDE).await?;
        let step = advance(&record.frontier, &record.state, &entries);
        let moved = step.frontier != record.frontier;
        if moved && !is_held {
            // A retry out of quarantine changes entries and counts anew what is below the frontier, and it holds the
            // lane alone. So what was read before the lane was held is not believed, and is read again.
            let Some(now) = records::lane(session, lane, Hold::Frontier).await? else {
                return Ok(None);
            };
            (record, is_held) = (now, true);
            continue;
        }
        record.frontier = step.frontier;
        if let Some(reason) = step.broken {
            // Held alone from here on: who stores meanwhile is waited for.
            let Some(now) = records::lane(session, lane, Hold::Alone).await? else {
                return Ok(None);
            };
            if now.state == record.state && now.state.stopped.is_none() {
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
    if is_held {
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

/// Every lane that waits for an operator's word.
pub(super) async fn asked(session: &Session) -> Result<Vec<(Lane, Question)>> {
    let mut waiting = Vec::new();
    for lane in records::lanes(session).await? {
        let record = records::lane(session, &lane, Hold::Free).await?;
        if let Some(question) = record.and_then(|record| record.asked) {
            waiting.push((lane, question));
        }
    }
    Ok(waiting)
}

/// Takes an operator's word.
pub(super) async fn accept(session: &Session, lane: &Lane, answer: &Answer) -> Result<Option<Question>> {
    session.begin("").await?;
    let mut record = records::lane(session, lane, Hold::Alone)
        .await?
        .unwrap_or_default();
    let accepted = record.accept();
    if let Some(question) = &accepted {
        session
            .client
            .execute(
                "INSERT INTO slacktide.changes (recipient, feed, accepted_at, epoch, number, asked, actor, reason) \
                 VALUES ($1, $2, clock_timestamp(), $3, $4, $5, $6, $7)",
                &[
                    &lane.recipient.as_str(),
                    &lane.feed.as_str(),
                    &records::small(question.place.epoch),
                    &records::int(question.place.number),
                    &text(&question.changes)?,
                    &answer.actor,
                    &answer.reason,
                ],
            )
            .await
            .map_err(|error| failure::of(&error))?;
        records::save_columns(session, lane, &record).await?;
    }
    session.commit().await?;
    Ok(accepted)
}
