//! Applies the opening of an epoch to the lane's tables and its ledger.

use schemas::name::Lane;
use tokio_postgres::types::ToSql;

use super::records::{int, small};
use super::session::Session;
use super::{failure, ownership, refill};
use crate::error::Result;
use crate::layout::{LaneTables, Layout, Role};
use crate::ledger::{LaneState, SupersededRange};
use crate::record::LaneRecord;
use crate::table::{EPOCH, NUMBER, SUPERSEDED};

fn pg<T>(result: std::result::Result<T, tokio_postgres::Error>) -> Result<T> {
    result.map_err(|error| failure::of(&error))
}

/// Returns the lane with its new state. A new epoch cancels the pending change of an old epoch's chunk, marks
/// superseded versions in the history, and demotes superseded rows.
pub(super) async fn after(
    session: &Session,
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
async fn mark(session: &Session, tables: &LaneTables, layout: &Layout, state: &LaneState) -> Result<()> {
    if !ownership::lock_tables(session, &tables.with_layout(layout), &[Role::History]).await? {
        // A replaced history holds no version of a chunk yet.
        return Ok(());
    }
    // Superseded versions may count again if a later epoch continues from them.
    let mark = format!(
        "UPDATE {} SET {SUPERSEDED} = ({NUMBER} > $2) WHERE {EPOCH} = $1 AND {SUPERSEDED} <> ({NUMBER} > $2)",
        layout.sql(&layout.history)
    );
    for earlier in 1..state.epoch {
        let last = state.counts_up_to(earlier).map_or(i64::MAX, int);
        pg(session.client.execute(&mark, &[&small(earlier), &last]).await)?;
    }
    Ok(())
}

/// Demotes the rows of superseded chunks to chunk number 0.0 and awaits the chunks that were republished below them
/// ([`LaneState::superseded_since`]). Does nothing if there is no such chunk.
async fn await_republished(
    session: &Session,
    tables: &LaneTables,
    record: &mut LaneRecord,
    superseded: &[SupersededRange],
) -> Result<()> {
    let (lane, layout) = (&tables.lane, &tables.layout);
    let columns = RangeColumns::of(superseded);
    let (republished, awaited) = mark_awaited(session, lane, &record.state, &columns).await?;
    if republished == 0 {
        return Ok(());
    }
    let in_range = format!("t.{EPOCH} = s.epoch AND t.{NUMBER} > s.above AND t.{NUMBER} <= s.last");
    let RangeColumns { epochs, above, last } = &columns;
    if ownership::lock_tables(session, tables, &[Role::Current]).await? {
        let sql = format!(
            "UPDATE {} t SET {EPOCH} = 0, {NUMBER} = 0 \
             FROM unnest($1::int[], $2::bigint[], $3::bigint[]) AS s (epoch, above, last) WHERE {in_range}",
            layout.sql(&layout.table)
        );
        pg(session.client.execute(&sql, &[epochs, above, last]).await)?;
    }
    let sql = "DELETE FROM slacktide.tombstones t \
         USING unnest($3::int[], $4::bigint[], $5::bigint[]) AS s (epoch, above, last) \
         WHERE t.recipient = $1 AND t.feed = $2 AND t.epoch = s.epoch AND t.number > s.above AND t.number <= s.last";
    let (recipient, feed) = (lane.recipient.as_str(), lane.feed.as_str());
    let params: [&(dyn ToSql + Sync); 5] = [&recipient, &feed, epochs, above, last];
    pg(session.client.execute(sql, &params).await)?;
    if awaited == 0 {
        return Ok(());
    }
    refill::rewind_frontier(session, lane, record).await?;
    refill::restart_counting(session, tables).await?;
    tracing::warn!(
        %lane, chunks = awaited,
        "republished chunks must be stored again; run: slacktide feed refill"
    );
    Ok(())
}

/// The columns of a list of [`SupersededRange`], as query parameters.
struct RangeColumns {
    epochs: Vec<i32>,
    above: Vec<i64>,
    last: Vec<i64>,
}

impl RangeColumns {
    fn of(ranges: &[SupersededRange]) -> Self {
        Self {
            epochs: ranges.iter().map(|range| small(range.epoch)).collect(),
            above: ranges.iter().map(|range| int(range.above)).collect(),
            last: ranges.iter().map(|range| int(range.last)).collect(),
        }
    }
}

/// Marks each republished chunk as awaited: it counts, and the exchange stored it later than a stored chunk that is superseded.
/// Returns the number of republished chunks, those in quarantine included, and the number of marked ones.
async fn mark_awaited(
    session: &Session,
    lane: &Lane,
    state: &LaneState,
    RangeColumns { epochs, above, last }: &RangeColumns,
) -> Result<(i64, i64)> {
    let earlier: Vec<i32> = (1..state.epoch).map(small).collect();
    let counts: Vec<i64> = (1..state.epoch)
        .map(|epoch| state.counts_up_to(epoch).map_or(i64::MAX, int))
        .collect();
    let sql = "WITH first AS (SELECT min(b.exchanged_at) AS since FROM slacktide.ledger b \
          JOIN unnest($3::int[], $4::bigint[], $5::bigint[]) AS s (epoch, above, last) \
          ON b.epoch = s.epoch AND b.number > s.above AND b.number <= s.last \
          WHERE b.recipient = $1 AND b.feed = $2 AND b.state IN ('stored', 'awaited') AND b.rows > 0), \
         republished AS (SELECT l.epoch, l.number, l.state FROM slacktide.ledger l \
          JOIN unnest($6::int[], $7::bigint[]) AS c (epoch, last) ON l.epoch = c.epoch AND l.number <= c.last \
          JOIN first ON l.exchanged_at > first.since \
          WHERE l.recipient = $1 AND l.feed = $2 AND (l.state = 'quarantined' OR l.rows > 0)), \
         awaited AS (UPDATE slacktide.ledger l SET state = 'awaited' FROM republished r \
          WHERE l.recipient = $1 AND l.feed = $2 AND (l.epoch, l.number) = (r.epoch, r.number) AND r.state = 'stored' \
          RETURNING 1) \
         SELECT (SELECT count(*) FROM republished), (SELECT count(*) FROM awaited)";
    let (recipient, feed) = (lane.recipient.as_str(), lane.feed.as_str());
    let params: [&(dyn ToSql + Sync); 7] = [&recipient, &feed, epochs, above, last, &earlier, &counts];
    let row = pg(session.client.query_one(sql, &params).await)?;
    Ok((pg(row.try_get(0))?, pg(row.try_get(1))?))
}
