//! What the opening of an epoch does to the lane's tables and to its ledger.

use schemas::name::Lane;
use tokio_postgres::types::ToSql;

use super::records::{int, small};
use super::session::Session;
use super::{claims, failure, refill};
use crate::error::Result;
use crate::layout::{LaneTables, Layout, Role};
use crate::ledger::{LaneState, LeftBehind};
use crate::record::LaneRecord;
use crate::table::{EPOCH, NUMBER, SUPERSEDED};

fn pg<T>(result: std::result::Result<T, tokio_postgres::Error>) -> Result<T> {
    result.map_err(|error| failure::of(&error))
}

/// The lane once its state has changed. A new epoch lifts what an old one's chunks asked. Versions that it leaves behind stay
/// in a history, marked, and stand before no version that counts.
pub(super) async fn after(
    session: &Session,
    tables: &LaneTables,
    before: LaneRecord,
    state: LaneState,
) -> Result<LaneRecord> {
    let opens = state.openings != before.state.openings;
    let left = state.left_behind_since(&before.state);
    let mut after = LaneRecord { state, ..before };
    after.asked = after.asked.filter(|asked| asked.place.epoch >= after.state.epoch);
    let made = after.shape.as_ref().and_then(|shape| shape.layout.clone());
    let Some(layout) = made.filter(|_| opens) else {
        return Ok(after);
    };
    if layout.mode.keeps_history() {
        mark(session, tables, &layout, &after.state).await?;
    }
    if layout.mode.keeps_current() && !left.is_empty() {
        await_published_anew(session, &tables.with_layout(&layout), &mut after, &left).await?;
    }
    Ok(after)
}

/// Marks the versions that count no more.
async fn mark(session: &Session, tables: &LaneTables, layout: &Layout, state: &LaneState) -> Result<()> {
    if !claims::hold(session, &tables.with_layout(layout), &[Role::History]).await? {
        // What replaced the lane's own history holds no version of a chunk yet.
        return Ok(());
    }
    // What an epoch left behind may count again: another one goes on from it.
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

/// Awaits chunks again that were published anew below some that are left behind now, whose versions rank below all others from
/// here on ([`LaneState::left_behind_since`]).
async fn await_published_anew(
    session: &Session,
    tables: &LaneTables,
    record: &mut LaneRecord,
    left: &[LeftBehind],
) -> Result<()> {
    let (lane, layout) = (&tables.lane, &tables.layout);
    let stretches = Stretches::of(left);
    let (younger, awaited) = await_younger(session, lane, &record.state, &stretches).await?;
    if younger == 0 {
        return Ok(());
    }
    let among = format!("t.{EPOCH} = s.epoch AND t.{NUMBER} > s.above AND t.{NUMBER} <= s.last");
    let Stretches { epochs, above, last } = &stretches;
    if claims::hold(session, tables, &[Role::Current]).await? {
        let sql = format!(
            "UPDATE {} t SET {EPOCH} = 0, {NUMBER} = 0 \
             FROM unnest($1::int[], $2::bigint[], $3::bigint[]) AS s (epoch, above, last) WHERE {among}",
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
    refill::go_back(session, lane, record).await?;
    refill::count_anew(session, tables).await?;
    tracing::warn!(
        %lane, chunks = awaited,
        "chunks were published anew below others that are left behind now: they are awaited again; `slacktide feed refill`"
    );
    Ok(())
}

/// [`LeftBehind`], column by column.
struct Stretches {
    epochs: Vec<i32>,
    above: Vec<i64>,
    last: Vec<i64>,
}

impl Stretches {
    fn of(left: &[LeftBehind]) -> Self {
        Self {
            epochs: left.iter().map(|left| small(left.epoch)).collect(),
            above: left.iter().map(|left| int(left.above)).collect(),
            last: left.iter().map(|left| int(left.last)).collect(),
        }
    }
}

/// Awaits every chunk that still counts and that the exchange stored later than one that was stored and is left behind.
/// Returns how many there are, those in quarantine included, and how many are awaited.
async fn await_younger(
    session: &Session,
    lane: &Lane,
    state: &LaneState,
    Stretches { epochs, above, last }: &Stretches,
) -> Result<(i64, i64)> {
    let earlier: Vec<i32> = (1..state.epoch).map(small).collect();
    let counts: Vec<i64> = (1..state.epoch)
        .map(|epoch| state.counts_up_to(epoch).map_or(i64::MAX, int))
        .collect();
    let sql = "WITH first AS (SELECT min(b.exchanged_at) AS since FROM slacktide.ledger b \
          JOIN unnest($3::int[], $4::bigint[], $5::bigint[]) AS s (epoch, above, last) \
          ON b.epoch = s.epoch AND b.number > s.above AND b.number <= s.last \
          WHERE b.recipient = $1 AND b.feed = $2 AND b.state IN ('stored', 'awaited') AND b.rows > 0), \
         younger AS (SELECT l.epoch, l.number, l.state FROM slacktide.ledger l \
          JOIN unnest($6::int[], $7::bigint[]) AS c (epoch, last) ON l.epoch = c.epoch AND l.number <= c.last \
          JOIN first ON l.exchanged_at > first.since \
          WHERE l.recipient = $1 AND l.feed = $2 AND (l.state = 'quarantined' OR l.rows > 0)), \
         awaited AS (UPDATE slacktide.ledger l SET state = 'awaited' FROM younger y \
          WHERE l.recipient = $1 AND l.feed = $2 AND (l.epoch, l.number) = (y.epoch, y.number) AND y.state = 'stored' \
          RETURNING 1) \
         SELECT (SELECT count(*) FROM younger), (SELECT count(*) FROM awaited)";
    let (recipient, feed) = (lane.recipient.as_str(), lane.feed.as_str());
    let params: [&(dyn ToSql + Sync); 7] = [&recipient, &feed, epochs, above, last, &earlier, &counts];
    let row = pg(session.client.query_one(sql, &params).await)?;
    Ok((pg(row.try_get(0))?, pg(row.try_get(1))?))
}
