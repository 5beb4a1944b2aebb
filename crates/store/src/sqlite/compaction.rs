//! Folding the oldest ledger entries, some at a time.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use schemas::name::Lane;

use super::failure;
use super::records::{self, NOTED, RawNoted, int};
use super::tables::{begin, commit};
use crate::compaction::{Aged, Keep, bound, fold};
use crate::error::Result;
use crate::merge::Place;
use crate::record::broken;

/// Entries of a lane that one transaction folds, at most.
const STRIDE: u32 = 2_000;

fn sql<T>(result: rusqlite::Result<T>) -> Result<T> {
    result.map_err(|error| failure::of(&error))
}

/// Makes what the bookkeeping has had since entries are folded.
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

/// Folds what is due of each lane that a receipt covers, a transaction each; says how many entries.
pub(super) fn compact(
    connection: &mut Connection,
    keep: &Keep,
    covered: &BTreeMap<Lane, Place>,
) -> Result<u64> {
    let mut folded = 0;
    for (lane, covered) in covered {
        let tx = begin(connection)?;
        let gone = compact_lane(&tx, lane, keep, *covered)?;
        if gone > 0 {
            commit(tx)?;
        }
        folded += gone;
    }
    Ok(folded)
}

fn compact_lane(tx: &Transaction<'_>, lane: &Lane, keep: &Keep, covered: Place) -> Result<u64> {
    let mut record = records::lane(tx, lane)?;
    let newest = newest(tx, lane, keep)?;
    let base = record.state.base().place();
    let Some(last) = bound(&record.frontier, newest, covered).filter(|last| *last > base) else {
        return Ok(0);
    };
    let entries = aged(tx, lane, base, keep.age)?;
    let Some(compaction) = fold(&record.state, &record.frontier, &entries, last) else {
        return Ok(0);
    };
    let place = compaction.base.place();
    let gone = params![
        lane.recipient.as_str(),
        lane.feed.as_str(),
        place.epoch,
        int(place.number)
    ];
    // The tables are counted from what their chunks added, with entries or without.
    sql(tx.execute(
        "UPDATE slacktide_tables SET base = base + coalesce((SELECT sum(rows_net) FROM slacktide_ledger \
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
    // A base that moved over nothing moved as well.
    Ok(u64::try_from(rows).unwrap_or(0).max(1))
}

/// The newest entry that is not kept for the number of entries.
fn newest(tx: &Transaction<'_>, lane: &Lane, keep: &Keep) -> Result<Option<Place>> {
    let found = tx.query_row(
        "SELECT epoch, number FROM slacktide_ledger WHERE recipient = ?1 AND feed = ?2 \
         ORDER BY epoch DESC, number DESC LIMIT 1 OFFSET ?3",
        params![lane.recipient.as_str(), lane.feed.as_str(), int(keep.entries)],
        |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)),
    );
    let place = |(epoch, number)| Place {
        epoch,
        number: u64::try_from(number).unwrap_or(0),
    };
    Ok(sql(found.optional())?.map(place))
}

fn aged(tx: &Transaction<'_>, lane: &Lane, base: Place, age: Duration) -> Result<Vec<Aged>> {
    let oldest = Timestamp::now().checked_sub(age).unwrap_or(Timestamp::MIN);
    let read = || {
        tx.prepare_cached(&format!(
            "SELECT {NOTED}, stored_at, exchanged_at FROM slacktide_ledger \
             WHERE recipient = ?1 AND feed = ?2 AND (epoch, number) > (?3, ?4) ORDER BY epoch, number LIMIT {STRIDE}"
        ))?
        .query_map(
            params![
                lane.recipient.as_str(),
                lane.feed.as_str(),
                base.epoch,
                int(base.number)
            ],
            |row| Ok((records::raw_noted(row)?, row.get(8)?, row.get(9)?)),
        )?
        .collect::<rusqlite::Result<Vec<(RawNoted, String, String)>>>()
    };
    let time = |text: &str| -> Result<Timestamp> { text.parse().map_err(|_| broken("slacktide_ledger")) };
    sql(read())?
        .iter()
        .map(|(raw, stored_at, exchanged_at)| {
            Ok(Aged {
                noted: records::noted(raw)?,
                is_old: time(stored_at)? < oldest,
                exchanged_at: time(exchanged_at)?,
            })
        })
        .collect()
}
