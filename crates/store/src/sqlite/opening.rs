//! What the opening of an epoch does to the lane's tables and to its ledger.

use jiff::Timestamp;
use rusqlite::{Transaction, params};
use schemas::name::Lane;

use super::records::int;
use super::{claims, failure, quarantine, refill};
use crate::error::Result;
use crate::layout::{LaneTables, Layout, Role};
use crate::ledger::{LaneState, LeftBehind};
use crate::merge::Place;
use crate::quarantine::decide::counts;
use crate::record::{LaneRecord, broken};
use crate::table::{EPOCH, NUMBER, SUPERSEDED, quoted};

fn sql<T>(result: rusqlite::Result<T>) -> Result<T> {
    result.map_err(|error| failure::of(&error))
}

/// A new epoch lifts what an old one's chunks asked. Versions that it leaves behind stay in a history, marked, and stand before no
/// version that counts.
pub(super) fn take(
    tx: &Transaction<'_>,
    tables: &LaneTables,
    before: &LaneState,
    record: &mut LaneRecord,
) -> Result<()> {
    let epoch = record.state.epoch;
    record.asked = record.asked.take().filter(|asked| asked.place.epoch >= epoch);
    let made = record.shape.as_ref().and_then(|shape| shape.layout.clone());
    let Some(layout) = made else { return Ok(()) };
    if layout.mode.keeps_history() {
        mark(tx, tables, &layout, &record.state)?;
    }
    let left = record.state.left_behind_since(before);
    if layout.mode.keeps_current() && !left.is_empty() {
        await_published_anew(tx, &tables.with_layout(&layout), record, &left)?;
    }
    Ok(())
}

/// Marks the versions that count no more.
fn mark(tx: &Transaction<'_>, tables: &LaneTables, layout: &Layout, state: &LaneState) -> Result<()> {
    if !claims::hold(tx, &tables.with_layout(layout), &[Role::History])? {
        // What replaced the lane's own history holds no version of a chunk yet.
        return Ok(());
    }
    // What an epoch left behind may count again: another one goes on from it.
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

/// Awaits chunks again that were published anew below some that are left behind now, whose versions rank below all others from
/// here on ([`LaneState::left_behind_since`]).
fn await_published_anew(
    tx: &Transaction<'_>,
    tables: &LaneTables,
    record: &mut LaneRecord,
    left: &[LeftBehind],
) -> Result<()> {
    let lane = &tables.lane;
    let younger = younger(tx, lane, &record.state, left)?;
    if younger.is_empty() {
        return Ok(());
    }
    let (recipient, feed) = (lane.recipient.as_str(), lane.feed.as_str());
    let mut awaited = 0;
    for place in &younger {
        awaited += sql(tx.execute(
            "UPDATE slacktide_ledger SET state = 'awaited' WHERE recipient = ?1 AND feed = ?2 AND epoch = ?3 AND number = ?4 \
             AND state = 'stored'",
            params![recipient, feed, place.epoch, int(place.number)],
        ))?;
    }
    let is_held = claims::hold(tx, tables, &[Role::Current])?;
    let among = format!("{EPOCH} = ?1 AND {NUMBER} > ?2 AND {NUMBER} <= ?3");
    let rank = format!(
        "UPDATE {} SET {EPOCH} = 0, {NUMBER} = 0 WHERE {among}",
        quoted(&tables.layout.table)
    );
    for LeftBehind { epoch, above, last } in left {
        let (above, last) = (int(*above), int(*last));
        if is_held {
            sql(tx.execute(&rank, params![epoch, above, last]))?;
        }
        sql(tx.execute(
            "DELETE FROM slacktide_tombstones WHERE recipient = ?1 AND feed = ?2 AND epoch = ?3 AND number > ?4 AND number <= ?5",
            params![recipient, feed, epoch, above, last],
        ))?;
    }
    if awaited == 0 {
        return Ok(());
    }
    refill::go_back(tx, lane, record)?;
    record.frontier = quarantine::recounted(tx, lane, record)?;
    refill::count_anew(tx, tables)?;
    tracing::warn!(
        %lane, chunks = awaited,
        "chunks were published anew below others that are left behind now: they are awaited again; `slacktide feed refill`"
    );
    Ok(())
}

/// Every chunk that still counts and that the exchange stored later than one that was stored and is left behind; those in
/// quarantine, too.
fn younger(tx: &Transaction<'_>, lane: &Lane, state: &LaneState, left: &[LeftBehind]) -> Result<Vec<Place>> {
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
        Ok((Place { epoch, number }, at, is_quarantined))
    };
    let entries = sql(read())?
        .into_iter()
        .map(entry)
        .collect::<Result<Vec<(Place, Timestamp, bool)>>>()?;
    let is_left = |place: Place| left.iter().any(|left| left.contains(place));
    let stored_and_left = entries
        .iter()
        .filter(|(place, _, is_quarantined)| !is_quarantined && is_left(*place));
    let since = stored_and_left.map(|(_, at, _)| *at).min();
    let is_younger = |at: Timestamp| since.is_some_and(|since| at > since);
    let younger = entries
        .iter()
        .filter(|(place, at, _)| counts(state, *place) && is_younger(*at));
    Ok(younger.map(|(place, ..)| *place).collect())
}
