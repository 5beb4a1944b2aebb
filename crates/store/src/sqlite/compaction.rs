//! Folds the oldest ledger entries in batches.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use schemas::name::Lane;

use super::failure;
use super::records::{self, FRONTIER_COLUMNS, RawFrontierEntry, int};
use super::tables::{begin, commit};
use crate::compaction::{DatedEntry, LedgerRetention, bound, fold};
use crate::error::Result;
use crate::merge::ChunkNumber;
use crate::record::broken;

/// The maximum number of entries of a lane folded in one transaction.
const BATCH_ENTRIES: u32 = 2_000;

fn sql<T>(result: rusqlite::Result<T>) -> Result<T> {
    result.map_err(|error| failure::of(&error))
}

/// Adds the column of folded entries.
pub(super) fn prepare(tx: &Transaction<'_>) -> Result<()> {
    let is_there: bool = sql(tx.query_row(
        "SELECT EXISTS (SELECT 1 FROM pragma_table_info('slacktide_lanes') WHERE name = 'compaction')",
        [],
        |row| row.get(0),
    ))?;
    if is_there {
        return Ok(());
    }
    sql(tx.execute_batch("ALTER TABLE slacktide_lanes ADD COLUMN compaction TEXT"))
}

/// Folds the due entries of each lane with a receipt, one transaction each. Returns the number of folded entries.
pub(super) fn compact(
    connection: &mut Connection,
    retention: &LedgerRetention,
    covered: &BTreeMap<Lane, ChunkNumber>,
) -> Result<u64> {
    let mut folded = 0;
    for (lane, covered) in covered {
        let tx = begin(connection)?;
        let gone = compact_lane(&tx, lane, retention, *covered)?;
        if gone > 0 {
            commit(tx)?;
        }
        folded += gone;
    }
    Ok(folded)
}

fn compact_lane(
    tx: &Transaction<'_>,
    lane: &Lane,
    retention: &LedgerRetention,
    covered: ChunkNumber,
) -> Result<u64> {
    let mut record = records::lane(tx, lane)?;
    let newest = newest(tx, lane, retention)?;
    let base = record.state.base().chunk_number();
    let Some(last) = bound(&record.frontier, newest, covered).filter(|last| *last > base) else {
        return Ok(0);
    };
    let entries = aged(tx, lane, base, retention.age)?;
    let Some(compaction) = fold(&record.state, &record.frontier, &entries, last) else {
        return Ok(0);
    };
    let chunk_number = compaction.base.chunk_number();
    let gone = params![
        lane.recipient.as_str(),
        lane.feed.as_str(),
        chunk_number.epoch,
        int(chunk_number.number)
    ];
    // The tables' row counts include the rows of folded entries.
    sql(tx.execute(
        "UPDATE slacktide_tables SET base_rows = base_rows + coalesce((SELECT sum(rows_net) FROM slacktide_ledger \
         WHERE recipient = ?1 AND feed = ?2 AND (epoch, number) <= (?3, ?4)), 0) \
         WHERE recipient = ?1 AND owner = 'feed ' || ?2",
        gone,
    ))?;
    let rows = sql(tx.execute(
        "DELETE FROM slacktide_ledger WHERE recipient = ?1 AND feed = ?2 AND (epoch, number) <= (?3, ?4)",
        gone,
    ))?;
    record.state.compaction = Some(compaction);
    records::save(tx, lane, &record)?;
    // A base that moves without deleting entries counts as progress.
    Ok(u64::try_from(rows).unwrap_or(0).max(1))
}

/// Returns the newest entry outside the kept number of entries.
fn newest(tx: &Transaction<'_>, lane: &Lane, retention: &LedgerRetention) -> Result<Option<ChunkNumber>> {
    let found = tx.query_row(
        "SELECT epoch, number FROM slacktide_ledger WHERE recipient = ?1 AND feed = ?2 \
         ORDER BY epoch DESC, number DESC LIMIT 1 OFFSET ?3",
        params![
            lane.recipient.as_str(),
            lane.feed.as_str(),
            int(retention.entries)
        ],
        |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)),
    );
    let chunk_number = |(epoch, number)| ChunkNumber {
        epoch,
        number: u64::try_from(number).unwrap_or(0),
    };
    Ok(sql(found.optional())?.map(chunk_number))
}

fn aged(tx: &Transaction<'_>, lane: &Lane, base: ChunkNumber, age: Duration) -> Result<Vec<DatedEntry>> {
    let oldest = Timestamp::now().checked_sub(age).unwrap_or(Timestamp::MIN);
    let read = || {
        tx.prepare_cached(&format!(
            "SELECT {FRONTIER_COLUMNS}, stored_at, exchanged_at FROM slacktide_ledger \
             WHERE recipient = ?1 AND feed = ?2 AND (epoch, number) > (?3, ?4) ORDER BY epoch, number LIMIT {BATCH_ENTRIES}"
        ))?
        .query_map(
            params![
                lane.recipient.as_str(),
                lane.feed.as_str(),
                base.epoch,
                int(base.number)
            ],
            |row| Ok((records::raw_frontier_entry(row)?, row.get(8)?, row.get(9)?)),
        )?
        .collect::<rusqlite::Result<Vec<(RawFrontierEntry, String, String)>>>()
    };
    let time = |text: &str| -> Result<Timestamp> { text.parse().map_err(|_| broken("slacktide_ledger")) };
    sql(read())?
        .iter()
        .map(|(raw, stored_at, exchanged_at)| {
            Ok(DatedEntry {
                frontier_entry: records::frontier_entry(raw)?,
                is_old: time(stored_at)? < oldest,
                exchanged_at: time(exchanged_at)?,
            })
        })
        .collect()
}
