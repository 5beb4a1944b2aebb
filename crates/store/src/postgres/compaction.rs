//! Folding the oldest ledger entries, some at a time.
//!
//! What is due is looked up without a lock first, and most of the time nothing is. Then the lane is held alone: who stores,
//! counts rows or releases something out of quarantine does so before or after.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemas::name::Lane;
use tokio_postgres::types::ToSql;

use super::records::{self, Hold, int, small};
use super::session::Session;
use super::{PostgresStore, failure, tables};
use crate::compaction::{Aged, Compaction, Keep, bound, fold};
use crate::error::Result;
use crate::merge::Place;
use crate::record::{LaneRecord, broken};

/// What the bookkeeping has had since entries are folded.
const OWN: &str = "ALTER TABLE slacktide.lanes ADD COLUMN IF NOT EXISTS compaction text;";

const THERE: &str = "SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute WHERE attrelid = to_regclass('slacktide.lanes') \
     AND attname = 'compaction')";

/// Entries of a lane that one transaction folds, at most.
const STRIDE: i64 = 2_000;

fn pg<T>(result: std::result::Result<T, tokio_postgres::Error>) -> Result<T> {
    result.map_err(|error| failure::of(&error))
}

pub(super) async fn prepare(session: &Session) -> Result<()> {
    let row = pg(session.client.query_one(THERE, &[]).await)?;
    if pg(row.try_get::<_, bool>(0))? {
        return Ok(());
    }
    let lock = tables::LOCK;
    session
        .run(&format!(
            "BEGIN; SELECT pg_advisory_xact_lock({lock}); {OWN} COMMIT"
        ))
        .await
}

async fn compact(session: &Session, keep: &Keep, covered: &BTreeMap<Lane, Place>) -> Result<u64> {
    let mut folded = 0;
    for lane in records::lanes(session).await? {
        let Some(covered) = covered.get(&lane) else {
            continue;
        };
        let Some(record) = records::lane(session, &lane, Hold::Free).await? else {
            continue;
        };
        if due(session, &lane, &record, keep, *covered).await?.is_none() {
            continue;
        }
        session.begin("").await?;
        folded += compact_lane(session, &lane, keep, *covered).await?;
        session.commit().await?;
    }
    Ok(folded)
}

async fn compact_lane(session: &Session, lane: &Lane, keep: &Keep, covered: Place) -> Result<u64> {
    let Some(mut record) = records::lane(session, lane, Hold::Alone).await? else {
        return Ok(0);
    };
    let Some(compaction) = due(session, lane, &record, keep, covered).await? else {
        return Ok(0);
    };
    let place = compaction.base.place();
    let params: [&(dyn ToSql + Sync); 4] = [
        &lane.recipient.as_str(),
        &lane.feed.as_str(),
        &small(place.epoch),
        &int(place.number),
    ];
    // The tables are counted from what their chunks added, with entries or without.
    let sql = "WITH gone AS (DELETE FROM slacktide.ledger WHERE recipient = $1 AND feed = $2 AND (epoch, number) <= ($3, $4) \
         RETURNING rows_net), \
         counted AS (UPDATE slacktide.tables SET base = base + (SELECT coalesce(sum(rows_net), 0) FROM gone)::bigint \
         WHERE recipient = $1 AND owner = 'feed ' || $2) \
         SELECT count(*) FROM gone";
    let gone = pg(session.client.query_one(sql, &params).await)?;
    let gone: i64 = pg(gone.try_get(0))?;
    record.state.compaction = Some(compaction);
    records::set_compaction(session, lane, &record).await?;
    // A base that moved over nothing moved as well.
    Ok(u64::try_from(gone).unwrap_or(0).max(1))
}

/// What stands for the entries once those that are due are folded; `None` where none is due.
async fn due(
    session: &Session,
    lane: &Lane,
    record: &LaneRecord,
    keep: &Keep,
    covered: Place,
) -> Result<Option<Compaction>> {
    let newest = newest(session, lane, keep).await?;
    let Some(last) = bound(&record.frontier, newest, covered) else {
        return Ok(None);
    };
    let base = record.state.base().place();
    if last <= base {
        return Ok(None);
    }
    let entries = aged(session, lane, base, keep).await?;
    Ok(fold(&record.state, &record.frontier, &entries, last))
}

/// The newest entry that is not kept for the number of entries.
async fn newest(session: &Session, lane: &Lane, keep: &Keep) -> Result<Option<Place>> {
    let sql = "SELECT epoch, number FROM slacktide.ledger WHERE recipient = $1 AND feed = $2 \
         ORDER BY epoch DESC, number DESC OFFSET $3 LIMIT 1";
    let params: [&(dyn ToSql + Sync); 3] =
        [&lane.recipient.as_str(), &lane.feed.as_str(), &int(keep.entries)];
    let found = pg(session.client.query_opt(sql, &params).await)?;
    found.as_ref().map(records::place).transpose()
}

async fn aged(session: &Session, lane: &Lane, base: Place, keep: &Keep) -> Result<Vec<Aged>> {
    let sql = "SELECT epoch, number, digest, previous, state, rows, rows_quarantined, cursor_after, \
         stored_at < clock_timestamp() - make_interval(secs => $5), \
         to_char(exchanged_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM slacktide.ledger \
         WHERE recipient = $1 AND feed = $2 AND (epoch, number) > ($3, $4) ORDER BY epoch, number LIMIT $6";
    let params: [&(dyn ToSql + Sync); 6] = [
        &lane.recipient.as_str(),
        &lane.feed.as_str(),
        &small(base.epoch),
        &int(base.number),
        &keep.age.as_secs_f64(),
        &STRIDE,
    ];
    let rows = pg(session.client.query(sql, &params).await)?;
    let aged = |row: &tokio_postgres::Row| {
        let exchanged_at: String = pg(row.try_get(9))?;
        let exchanged_at: Timestamp = exchanged_at.parse().map_err(|_| broken("slacktide.ledger"))?;
        Ok(Aged {
            noted: records::noted(row)?,
            is_old: pg(row.try_get(8))?,
            exchanged_at,
        })
    };
    rows.iter().map(aged).collect()
}

impl PostgresStore {
    pub(super) async fn compacted(&self, keep: &Keep, covered: &BTreeMap<Lane, Place>) -> Result<u64> {
        let session = self.pool.take().await?;
        let done = compact(&session, keep, covered).await;
        if done.is_err() {
            session.rollback().await;
        }
        self.pool.give_back(session, &done).await;
        done
    }
}
