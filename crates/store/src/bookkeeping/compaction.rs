//! Folds the oldest ledger entries in batches.
//!
//! Due entries are first searched without a lock; usually there are none. Then the lane is locked exclusively:
//! storing, counting rows and releasing quarantined entries happen before or after.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemas::name::Lane;

use super::ledger::{FRONTIER_COLUMNS, frontier_entry};
use super::sql::optional;
use super::{Begin, LaneLock, Row, SqlSession, chunk_number, lanes, values};
use crate::chunk_number::ChunkNumber;
use crate::compaction::{Compaction, DatedEntry, LedgerRetention};
use crate::error::Result;
use crate::folding::{bound, fold};
use crate::record::LaneRecord;

/// The maximum number of entries of a lane folded in one transaction.
const BATCH_ENTRIES: u32 = 2_000;

/// Folds the due entries of each lane with a receipt, one transaction each. Returns the number of folded entries.
pub(crate) async fn compact<S: SqlSession>(
    session: &S,
    retention: &LedgerRetention,
    covered: &BTreeMap<Lane, ChunkNumber>,
) -> Result<u64> {
    let mut folded = 0;
    for (lane, covered) in covered {
        let Some(record) = lanes::read(session, lane, LaneLock::Free).await? else {
            continue;
        };
        if due(session, lane, &record, retention, *covered).await?.is_none() {
            continue;
        }
        session.begin(Begin::Bookkeeping).await?;
        folded += compact_lane(session, lane, retention, *covered).await?;
        session.commit().await?;
    }
    Ok(folded)
}

async fn compact_lane<S: SqlSession>(
    session: &S,
    lane: &Lane,
    retention: &LedgerRetention,
    covered: ChunkNumber,
) -> Result<u64> {
    let Some(mut record) = lanes::read(session, lane, LaneLock::Alone).await? else {
        return Ok(0);
    };
    let Some(compaction) = due(session, lane, &record, retention, covered).await? else {
        return Ok(0);
    };
    let last = compaction.base.chunk_number();
    let values = values![
        lane.recipient.as_str(),
        lane.feed.as_str(),
        last.epoch,
        last.number
    ];
    // The tables' row counts include the rows of folded entries.
    let counted = "UPDATE slacktide.tables SET base_rows = base_rows + CAST(coalesce((SELECT sum(rows_net) FROM slacktide.ledger \
         WHERE recipient = $1 AND feed = $2 AND (epoch, number) <= ($3, $4)), 0) AS bigint) \
         WHERE recipient = $1 AND owner = 'feed ' || CAST($2 AS text)";
    session.execute(counted, &values).await?;
    let gone =
        "DELETE FROM slacktide.ledger WHERE recipient = $1 AND feed = $2 AND (epoch, number) <= ($3, $4)";
    let gone = session.execute(gone, &values).await?;
    record.state.compaction = Some(compaction);
    lanes::set_compaction(session, lane, &record).await?;
    // A base that moves without deleting entries counts as progress.
    Ok(gone.max(1))
}

/// Returns the summary after folding the due entries; `None` if none is due.
async fn due<S: SqlSession>(
    session: &S,
    lane: &Lane,
    record: &LaneRecord,
    retention: &LedgerRetention,
    covered: ChunkNumber,
) -> Result<Option<Compaction>> {
    let newest = newest(session, lane, retention).await?;
    let base = record.state.base().chunk_number();
    let Some(last) = bound(&record.frontier, newest, covered).filter(|last| *last > base) else {
        return Ok(None);
    };
    let entries = aged(session, lane, base, retention).await?;
    Ok(fold(&record.state, &record.frontier, &entries, last))
}

/// Returns the newest entry outside the kept number of entries.
async fn newest<S: SqlSession>(
    session: &S,
    lane: &Lane,
    retention: &LedgerRetention,
) -> Result<Option<ChunkNumber>> {
    let sql = "SELECT epoch, number FROM slacktide.ledger WHERE recipient = $1 AND feed = $2 \
         ORDER BY epoch DESC, number DESC LIMIT 1 OFFSET $3";
    let values = values![lane.recipient.as_str(), lane.feed.as_str(), retention.entries];
    optional(session, sql, &values, |row| chunk_number(row, 0, 1)).await
}

/// Returns the entries after the base, with their age by the database's clock.
async fn aged<S: SqlSession>(
    session: &S,
    lane: &Lane,
    base: ChunkNumber,
    retention: &LedgerRetention,
) -> Result<Vec<DatedEntry>> {
    let sql = format!(
        "SELECT {FRONTIER_COLUMNS}, stored_at, exchanged_at, clock_timestamp() FROM slacktide.ledger \
         WHERE recipient = $1 AND feed = $2 AND (epoch, number) > ($3, $4) ORDER BY epoch, number LIMIT $5"
    );
    let values = values![
        lane.recipient.as_str(),
        lane.feed.as_str(),
        base.epoch,
        base.number,
        BATCH_ENTRIES
    ];
    let age = retention.age;
    let read = move |row: &dyn Row| {
        let oldest = row.time(10)?.checked_sub(age).unwrap_or(Timestamp::MIN);
        Ok(DatedEntry {
            frontier_entry: frontier_entry::<S>(row)?,
            is_old: row.time(8)? < oldest,
            exchanged_at: row.time(9)?,
        })
    };
    session.query(&sql, &values, read).await
}
