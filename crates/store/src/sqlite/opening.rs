//! Applies the opening of an epoch to the lane's tables and its ledger.

use jiff::Timestamp;
use rusqlite::{Transaction, params};
use schemas::name::Lane;

use super::records::int;
use super::{failure, ownership, quarantine, refill};
use crate::error::Result;
use crate::layout::{LaneTables, Layout, Role};
use crate::ledger::{LaneState, SupersededRange};
use crate::merge::ChunkNumber;
use crate::quarantine::decide::counts;
use crate::record::{LaneRecord, broken};
use crate::table::{EPOCH, NUMBER, SUPERSEDED, quoted};

fn sql<T>(result: rusqlite::Result<T>) -> Result<T> {
    result.map_err(|error| failure::of(&error))
}

/// Applies a new epoch: cancels the pending change of an old epoch's chunk, marks superseded versions in the history,
/// and demotes superseded rows.
pub(super) fn take(
    tx: &Transaction<'_>,
    tables: &LaneTables,
    before: &LaneState,
    record: &mut LaneRecord,
) -> Result<()> {
    let epoch = record.state.epoch;
    record.pending_change = record
        .pending_change
        .take()
        .filter(|change| change.chunk_number.epoch >= epoch);
    let made = record.shape.as_ref().and_then(|shape| shape.layout.clone());
    let Some(layout) = made else { return Ok(()) };
    if layout.mode.keeps_history() {
        mark(tx, tables, &layout, &record.state)?;
    }
    let superseded = record.state.superseded_since(before);
    if layout.mode.keeps_current() && !superseded.is_empty() {
        await_republished(tx, &tables.with_layout(&layout), record, &superseded)?;
    }
    Ok(())
}

/// Marks superseded versions in the history.
fn mark(tx: &Transaction<'_>, tables: &LaneTables, layout: &Layout, state: &LaneState) -> Result<()> {
    if !ownership::check_tables(tx, &tables.with_layout(layout), &[Role::History])? {
        // A replaced history holds no version of a chunk yet.
        return Ok(());
    }
    // Superseded versions may count again if a later epoch continues from them.
    let mark = format!(
        "UPDATE {} SET {SUPERSEDED} = ({NUMBER} > ?2) WHERE {EPOCH} = ?1 AND {SUPERSEDED} <> ({NUMBER} > ?2)",
        quoted(&layout.history)
    );
    for earlier in 1..state.epoch {
        let last = state.counts_up_to(earlier).map_or(i64::MAX, int);
        sql(tx.execute(&mark, params![earlier, last]))?;
    }
    Ok(())
}

/// Demotes the rows of superseded chunks to chunk number 0.0 and awaits the chunks that were republished below them
/// ([`LaneState::superseded_since`]). Does nothing if there is no such chunk.
fn await_republished(
    tx: &Transaction<'_>,
    tables: &LaneTables,
    record: &mut LaneRecord,
    superseded: &[SupersededRange],
) -> Result<()> {
    let lane = &tables.lane;
    let republished = republished(tx, lane, &record.state, superseded)?;
    if republished.is_empty() {
        return Ok(());
    }
    let (recipient, feed) = (lane.recipient.as_str(), lane.feed.as_str());
    let mut awaited = 0;
    for chunk_number in &republished {
        awaited += sql(tx.execute(
            "UPDATE slacktide_ledger SET state = 'awaited' WHERE recipient = ?1 AND feed = ?2 AND epoch = ?3 AND number = ?4 \
             AND state = 'stored'",
            params![recipient, feed, chunk_number.epoch, int(chunk_number.number)],
        ))?;
    }
    let is_held = ownership::check_tables(tx, tables, &[Role::Current])?;
    let in_range = format!("{EPOCH} = ?1 AND {NUMBER} > ?2 AND {NUMBER} <= ?3");
    let demote = format!(
        "UPDATE {} SET {EPOCH} = 0, {NUMBER} = 0 WHERE {in_range}",
        quoted(&tables.layout.table)
    );
    for SupersededRange { epoch, above, last } in superseded {
        let (above, last) = (int(*above), int(*last));
        if is_held {
            sql(tx.execute(&demote, params![epoch, above, last]))?;
        }
        sql(tx.execute(
            "DELETE FROM slacktide_tombstones WHERE recipient = ?1 AND feed = ?2 AND epoch = ?3 AND number > ?4 AND number <= ?5",
            params![recipient, feed, epoch, above, last],
        ))?;
    }
    if awaited == 0 {
        return Ok(());
    }
    refill::rewind_frontier(tx, lane, record)?;
    record.frontier = quarantine::recounted(tx, lane, record)?;
    refill::restart_counting(tx, tables)?;
    tracing::warn!(
        %lane, chunks = awaited,
        "republished chunks must be stored again; run: slacktide feed refill"
    );
    Ok(())
}

/// Returns the republished chunks, quarantined ones included: each counts, and the exchange stored it later than a
/// stored chunk that is superseded.
fn republished(
    tx: &Transaction<'_>,
    lane: &Lane,
    state: &LaneState,
    superseded: &[SupersededRange],
) -> Result<Vec<ChunkNumber>> {
    let read = || {
        tx.prepare_cached(
            "SELECT epoch, number, exchanged_at, state = 'quarantined' FROM slacktide_ledger \
             WHERE recipient = ?1 AND feed = ?2 AND epoch < ?3 AND state <> 'superseded' AND (state = 'quarantined' OR rows > 0)",
        )?
        .query_map(
            params![lane.recipient.as_str(), lane.feed.as_str(), state.epoch],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )?
        .collect::<rusqlite::Result<Vec<_>>>()
    };
    let entry = |(epoch, number, at, is_quarantined): (u32, i64, String, bool)| {
        let number = u64::try_from(number).unwrap_or(0);
        let at: Timestamp = at.parse().map_err(|_| broken("slacktide_ledger"))?;
        Ok((ChunkNumber { epoch, number }, at, is_quarantined))
    };
    let entries = sql(read())?
        .into_iter()
        .map(entry)
        .collect::<Result<Vec<(ChunkNumber, Timestamp, bool)>>>()?;
    let is_superseded =
        |chunk_number: ChunkNumber| superseded.iter().any(|range| range.contains(chunk_number));
    let first = entries
        .iter()
        .filter(|(chunk_number, _, is_quarantined)| !is_quarantined && is_superseded(*chunk_number))
        .map(|(_, at, _)| *at)
        .min();
    let is_later = |at: Timestamp| first.is_some_and(|first| at > first);
    let republished = entries
        .iter()
        .filter(|(chunk_number, at, _)| counts(state, *chunk_number) && is_later(*at));
    Ok(republished.map(|(chunk_number, ..)| *chunk_number).collect())
}
