//! Folds the oldest ledger entries in batches.
//!
//! Due entries are first searched without a lock; usually there are none. Then the lane is locked exclusively:
//! storing, counting rows and releasing quarantined entries happen before or after.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemas::name::Lane;
use tokio_postgres::types::ToSql;

use super::records::{self, LaneLock, int, small};
use super::session::Session;
use super::{PostgresStore, failure, tables};
use crate::compaction::{Compaction, DatedEntry, LedgerRetention, bound, fold};
use crate::error::Result;
use crate::merge::ChunkNumber;
use crate::record::{LaneRecord, broken};

/// The column of folded entries, added by an upgrade.
const TABLES_SQL: &str = "ALTER TABLE slacktide.lanes ADD COLUMN IF NOT EXISTS compaction text;";

const TABLES_EXIST_SQL: &str = "SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute WHERE attrelid = to_regclass('slacktide.lanes') \
     AND attname = 'compaction')";

/// The maximum number of entries of a lane folded in one transaction.
const BATCH_ENTRIES: i64 = 2_000;

fn pg<T>(result: std::result::Result<T, tokio_postgres::Error>) -> Result<T> {
    result.map_err(|error| failure::of(&error))
}

pub(super) async fn prepare(session: &Session) -> Result<()> {
    let row = pg(session.client.query_one(TABLES_EXIST_SQL, &[]).await)?;
    if pg(row.try_get::<_, bool>(0))? {
        return Ok(());
    }
    let lock = tables::LOCK;
    session
        .run(&format!(
            "BEGIN; SELECT pg_advisory_xact_lock({lock}); {TABLES_SQL} COMMIT"
        ))
        .await
}

async fn compact(
    session: &Session,
    retention: &LedgerRetention,
    covered: &BTreeMap<Lane, ChunkNumber>,
) -> Result<u64> {
    let mut folded = 0;
    for lane in records::lanes(session).await? {
        let Some(covered) = covered.get(&lane) else {
            continue;
        };
        let Some(record) = records::lane(session, &lane, LaneLock::Free).await? else {
            continue;
        };
        if due(session, &lane, &record, retention, *covered).await?.is_none() {
            continue;
        }
        session.begin("").await?;
        folded += compact_lane(session, &lane, retention, *covered).await?;
        session.commit().await?;
    }
    Ok(folded)
}

async fn compact_lane(
    session: &Session,
    lane: &Lane,
    retention: &LedgerRetention,
    covered: ChunkNumber,
) -> Result<u64> {
    let Some(mut record) = records::lane(session, lane, LaneLock::Alone).await? else {
        return Ok(0);
    };
    let Some(compaction) = due(session, lane, &record, retention, covered).await? else {
        return Ok(0);
    };
    let chunk_number = compaction.base.chunk_number();
    let params: [&(dyn ToSql + Sync); 4] = [
        &lane.recipient.as_str(),
        &lane.feed.as_str(),
        &small(chunk_number.epoch),
        &int(chunk_number.number),
    ];
    // The tables' row counts include the rows of folded entries.
    let sql = "WITH gone AS (DELETE FROM slacktide.ledger WHERE recipient = $1 AND feed = $2 AND (epoch, number) <= ($3, $4) \
         RETURNING rows_net), \
         counted AS (UPDATE slacktide.tables SET base_rows = base_rows + (SELECT coalesce(sum(rows_net), 0) FROM gone)::bigint \
         WHERE recipient = $1 AND owner = 'feed ' || $2) \
         SELECT count(*) FROM gone";
    let gone = pg(session.client.query_one(sql, &params).await)?;
    let gone: i64 = pg(gone.try_get(0))?;
    record.state.compaction = Some(compaction);
    records::set_compaction(session, lane, &record).await?;
    // A base that moves without deleting entries counts as progress.
    Ok(u64::try_from(gone).unwrap_or(0).max(1))
}

/// Returns the summary after folding the due entries; `None` if none is due.
async fn due(
    session: &Session,
    lane: &Lane,
    record: &LaneRecord,
    retention: &LedgerRetention,
    covered: ChunkNumber,
) -> Result<Option<Compaction>> {
    let newest = newest(session, lane, retention).await?;
    let Some(last) = bound(&record.frontier, newest, covered) else {
        return Ok(None);
    };
    let base = record.state.base().chunk_number();
    if last <= base {
        return Ok(None);
    }
    let entries = aged(session, lane, base, retention).await?;
    Ok(fold(&record.state, &record.frontier, &entries, last))
}

/// Returns the newest entry outside the kept number of entries.
async fn newest(session: &Session, lane: &Lane, retention: &LedgerRetention) -> Result<Option<ChunkNumber>> {
    let sql = "SELECT epoch, number FROM slacktide.ledger WHERE recipient = $1 AND feed = $2 \
         ORDER BY epoch DESC, number DESC OFFSET $3 LIMIT 1";
    let params: [&(dyn ToSql + Sync); 3] = [
        &lane.recipient.as_str(),
        &lane.feed.as_str(),
        &int(retention.entries),
    ];
    let found = pg(session.client.query_opt(sql, &params).await)?;
    found.as_ref().map(records::chunk_number).transpose()
}

async fn aged(
    session: &Session,
    lane: &Lane,
    base: ChunkNumber,
    retention: &LedgerRetention,
) -> Result<Vec<DatedEntry>> {
    let sql = "SELECT epoch, number, digest, previous, state, rows, rows_quarantined, cursor_after, \
         stored_at < clock_timestamp() - make_interval(secs => $5), \
         to_char(exchanged_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM slacktide.ledger \
         WHERE recipient = $1 AND feed = $2 AND (epoch, number) > ($3, $4) ORDER BY epoch, number LIMIT $6";
    let params: [&(dyn ToSql + Sync); 6] = [
        &lane.recipient.as_str(),
        &lane.feed.as_str(),
        &small(base.epoch),
        &int(base.number),
        &retention.age.as_secs_f64(),
        &BATCH_ENTRIES,
    ];
    let rows = pg(session.client.query(sql, &params).await)?;
    let aged = |row: &tokio_postgres::Row| {
        let exchanged_at: String = pg(row.try_get(9))?;
        let exchanged_at: Timestamp = exchanged_at.parse().map_err(|_| broken("slacktide.ledger"))?;
        Ok(DatedEntry {
            frontier_entry: records::frontier_entry(row)?,
            is_old: pg(row.try_get(8))?,
            exchanged_at,
        })
    };
    rows.iter().map(aged).collect()
}

impl PostgresStore {
    pub(super) async fn compacted(
        &self,
        retention: &LedgerRetention,
        covered: &BTreeMap<Lane, ChunkNumber>,
    ) -> Result<u64> {
        let session = self.pool.take().await?;
        let done = compact(&session, retention, covered).await;
        if done.is_err() {
            session.rollback().await;
        }
        self.pool.release(session, &done).await;
        done
    }
}
