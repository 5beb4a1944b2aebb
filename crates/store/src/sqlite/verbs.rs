//! The verbs, each one transaction.

use jiff::Timestamp;
use rusqlite::{Connection, Transaction, params};
use schemas::name::Lane;

use super::records::{self, int};
use super::tables::{begin, change, commit};
use super::{failure, quarantine, rows};
use crate::error::Result;
use crate::frontier::{Frontier, advance};
use crate::ledger::{ChunkLinks, EntryState, Judgement, needed, plan};
use crate::merge::last_passed;
use crate::port::{Arrival, LaneReport, Outcome, Unreadable};
use crate::record::{LedgerRow, message_id, outcome, row_id};
use crate::table::widen;

/// Entries that the frontier takes at a time.
const STRIDE: u32 = 2_000;

pub(super) fn store(connection: &mut Connection, lane: &Lane, arrivals: &[Arrival]) -> Result<Vec<Outcome>> {
    let tx = begin(connection)?;
    let before = records::lane(&tx, lane)?;
    let links: Vec<ChunkLinks> = arrivals
        .iter()
        .map(|arrival| ChunkLinks::of(&arrival.chunk.manifest, arrival.chunk.digest))
        .collect();
    let plan = plan(
        &before.state,
        &records::entries(&tx, lane, &needed(&links))?,
        &links,
    );
    let mut record = before.clone();
    record.state = plan.lane;
    let mut outcomes = Vec::with_capacity(arrivals.len());
    for (arrival, judgement) in arrivals.iter().zip(&plan.judgements) {
        let mut quarantined = 0;
        match judgement {
            Judgement::Store | Judgement::OpenEpoch { .. } => {
                let widened = widen(lane, record.columns.as_ref(), &arrival.chunk.manifest.schema)?;
                if record.columns.as_ref() != Some(&widened.known) {
                    change(&tx, lane, record.columns.is_none(), &widened)?;
                    record.columns = Some(widened.known);
                }
                let refused = rows::store(&tx, lane, arrival)?;
                quarantined = refused.len() as u64;
                for row in &refused {
                    keep_row(&tx, lane, arrival, row)?;
                }
                records::note(
                    &tx,
                    lane,
                    &LedgerRow::of(arrival, EntryState::Stored, quarantined),
                )?;
                quarantine::keep_rejects(&tx, lane, arrival)?;
            }
            Judgement::Superseded => {
                records::note(&tx, lane, &LedgerRow::of(arrival, EntryState::Superseded, 0))?;
            }
            _ => {}
        }
        outcomes.push(outcome(
            judgement,
            arrival.chunk.manifest.totals.rows,
            quarantined,
        ));
    }
    records::save(&tx, lane, &record)?;
    commit(tx)?;
    Ok(outcomes)
}

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
) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO slacktide_quarantine (recipient, feed, id, epoch, number, ordinal, sequence, reason, bytes, \
         exchanged_at, quarantined_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT DO NOTHING",
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
            Timestamp::now().to_string(),
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
    )?;
    if let Some(row) = claimed {
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
