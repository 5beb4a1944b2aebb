//! Applies the opening of an epoch to the lane's tables and its ledger.

use jiff::Timestamp;
use schemas::name::Lane;
use serde::Serialize;

use super::feed_tables::FeedTables;
use super::sql::one;
use super::{SqlSession, refill, row_counts, values};
use crate::error::Result;
use crate::layout::{LaneTables, Layout, Role};
use crate::ledger::{LaneState, SupersededRange};
use crate::record::{LaneRecord, text};
use crate::table::{EPOCH, NUMBER, SUPERSEDED};

/// Returns the lane with its new state. A new epoch cancels the pending change of an old epoch's chunk, marks
/// superseded versions in the history, and demotes superseded rows. The caller writes the new state.
pub(crate) async fn after<S: FeedTables>(
    session: &S,
    tables: &LaneTables,
    before: LaneRecord,
    state: LaneState,
) -> Result<LaneRecord> {
    let opens = state.openings != before.state.openings;
    let superseded = state.superseded_since(&before.state);
    let mut after = LaneRecord { state, ..before };
    after.pending_change = after
        .pending_change
        .filter(|change| change.chunk_number.epoch >= after.state.epoch);
    let made = after.shape.as_ref().and_then(|shape| shape.layout.clone());
    let Some(layout) = made.filter(|_| opens) else {
        return Ok(after);
    };
    if layout.mode.keeps_history() {
        mark(session, tables, &layout, &after.state).await?;
    }
    if layout.mode.keeps_current() && !superseded.is_empty() {
        await_republished(session, &tables.with_layout(&layout), &mut after, &superseded).await?;
    }
    Ok(after)
}

/// Marks superseded versions in the history.
async fn mark<S: FeedTables>(
    session: &S,
    tables: &LaneTables,
    layout: &Layout,
    state: &LaneState,
) -> Result<()> {
    if !session
        .hold_tables(&tables.with_layout(layout), &[Role::History])
        .await?
    {
        // A replaced history holds no version of a chunk yet.
        return Ok(());
    }
    // Superseded versions may count again if a later epoch continues from them.
    let sql = format!(
        "UPDATE {} SET {SUPERSEDED} = ({NUMBER} > $2) WHERE {EPOCH} = $1 AND {SUPERSEDED} <> ({NUMBER} > $2)",
        layout.sql(&layout.history)
    );
    for earlier in 1..state.epoch {
        let last = last_counted(state, earlier);
        session.execute(&sql, &values![earlier, last]).await?;
    }
    Ok(())
}

fn last_counted(state: &LaneState, epoch: u32) -> i64 {
    state.counts_up_to(epoch).map_or(i64::MAX, clamped)
}

fn clamped(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Demotes the rows of superseded chunks to chunk number 0.0 and awaits the chunks that were republished below them
/// ([`LaneState::superseded_since`]). Does nothing if there is no such chunk.
async fn await_republished<S: FeedTables>(
    session: &S,
    tables: &LaneTables,
    record: &mut LaneRecord,
    superseded: &[SupersededRange],
) -> Result<()> {
    let (lane, layout) = (&tables.lane, &tables.layout);
    let Some(since) = first_superseded(session, lane, superseded).await? else {
        return Ok(());
    };
    let counted = counted_ranges(&record.state);
    if count_republished(session, lane, &counted, since).await? == 0 {
        return Ok(());
    }
    let awaited = mark_awaited(session, lane, &counted, since).await?;
    let is_held = session.hold_tables(tables, &[Role::Current]).await?;
    let demote = format!(
        "UPDATE {} SET {EPOCH} = 0, {NUMBER} = 0 WHERE {EPOCH} = $1 AND {NUMBER} > $2 AND {NUMBER} <= $3",
        layout.sql(&layout.table)
    );
    let forget = "DELETE FROM slacktide.tombstones WHERE recipient = $1 AND feed = $2 AND epoch = $3 AND number > $4 AND number <= $5";
    for SupersededRange { epoch, above, last } in superseded {
        if is_held {
            session.execute(&demote, &values![*epoch, *above, *last]).await?;
        }
        let values = values![lane.recipient.as_str(), lane.feed.as_str(), *epoch, *above, *last];
        session.execute(forget, &values).await?;
    }
    if awaited == 0 {
        return Ok(());
    }
    refill::rewind_frontier(session, lane, record).await?;
    row_counts::restart(session, tables).await?;
    tracing::warn!(
        %lane, chunks = awaited,
        "republished chunks must be stored again; run: slacktide feed refill"
    );
    Ok(())
}

/// A range of an epoch's numbers as a part of a statement's parameter.
#[derive(Serialize)]
struct RangeRecord {
    epoch: u32,
    above: i64,
    last: i64,
}

/// The columns of [`RangeRecord`].
const RANGE_COLUMNS: &[(&str, &str)] = &[("epoch", "integer"), ("above", "bigint"), ("last", "bigint")];

/// Returns the numbers that count of each earlier epoch, as the parameter of [`SqlSession::records`].
fn counted_ranges(state: &LaneState) -> Vec<RangeRecord> {
    (1..state.epoch)
        .map(|epoch| RangeRecord {
            epoch,
            above: 0,
            last: last_counted(state, epoch),
        })
        .collect()
}

/// Returns when the exchange stored the first stored chunk that is superseded; `None` if there is none.
async fn first_superseded<S: SqlSession>(
    session: &S,
    lane: &Lane,
    superseded: &[SupersededRange],
) -> Result<Option<Timestamp>> {
    let sql = format!(
        "SELECT min(l.exchanged_at) FROM slacktide.ledger l JOIN {} ON l.epoch = u.epoch AND l.number > u.above \
         AND l.number <= u.last \
         WHERE l.recipient = $1 AND l.feed = $2 AND l.state IN ('stored', 'awaited') AND l.rows > 0",
        S::records("$3", RANGE_COLUMNS)
    );
    let range = |range: &SupersededRange| RangeRecord {
        epoch: range.epoch,
        above: clamped(range.above),
        last: clamped(range.last),
    };
    let superseded = text(&superseded.iter().map(range).collect::<Vec<_>>())?;
    let values = values![lane.recipient.as_str(), lane.feed.as_str(), &superseded];
    one(session, &sql, &values, |row| row.optional_time(0)).await
}

/// Returns the number of republished chunks, those in quarantine included: each counts, and the exchange stored it
/// later than a stored chunk that is superseded.
async fn count_republished<S: SqlSession>(
    session: &S,
    lane: &Lane,
    counted: &[RangeRecord],
    since: Timestamp,
) -> Result<u64> {
    let sql = format!(
        "SELECT count(*) FROM slacktide.ledger l JOIN {} ON l.epoch = u.epoch AND l.number <= u.last \
         WHERE l.recipient = $1 AND l.feed = $2 AND l.exchanged_at > $4 AND l.state <> 'superseded' \
         AND (l.state = 'quarantined' OR l.rows > 0)",
        S::records("$3", RANGE_COLUMNS)
    );
    let counted = text(&counted)?;
    let values = values![lane.recipient.as_str(), lane.feed.as_str(), &counted, since];
    one(session, &sql, &values, |row| row.unsigned(0)).await
}

/// Marks each stored republished chunk as awaited. Returns their number.
async fn mark_awaited<S: SqlSession>(
    session: &S,
    lane: &Lane,
    counted: &[RangeRecord],
    since: Timestamp,
) -> Result<u64> {
    let sql = format!(
        "UPDATE slacktide.ledger AS l SET state = 'awaited' WHERE l.recipient = $1 AND l.feed = $2 AND l.exchanged_at > $4 \
         AND l.state = 'stored' AND l.rows > 0 \
         AND EXISTS (SELECT 1 FROM {} WHERE u.epoch = l.epoch AND l.number <= u.last)",
        S::records("$3", RANGE_COLUMNS)
    );
    let counted = text(&counted)?;
    let values = values![lane.recipient.as_str(), lane.feed.as_str(), &counted, since];
    session.execute(&sql, &values).await
}
