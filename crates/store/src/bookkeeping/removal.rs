//! Applies the begin and the end of a resynchronisation, and repairs of rows, to a lane's table.

use schemas::manifest::Repair;
use schemas::name::Lane;

use super::feed_tables::FeedTables;
use super::{Begin, LaneLock, SqlSession, lanes, row_counts};
use crate::chunk_number::ChunkNumber;
use crate::error::Result;
use crate::layout::LaneTables;
use crate::record::LaneRecord;
use crate::repair::RowSearch;
use crate::resync::Removal;
use crate::stored_rows::TableRead;

/// A chunk that was stored.
pub(crate) struct StoredChunk {
    /// Its number.
    pub(crate) number: ChunkNumber,
    /// Whether it was stored again.
    pub(crate) is_again: bool,
    /// The number of rows that its transaction added.
    pub(crate) net: i64,
}

/// Begins or ends a resynchronisation, in a transaction that locks the lane exclusively. Its end removes the rows of
/// earlier epochs, or records that they had to stay. All rows are sent again after its beginning, so changes that others
/// made before it no longer count; later changes, up to its end, do.
pub(crate) async fn apply<S: FeedTables>(
    session: &S,
    tables: &LaneTables,
    record: &mut LaneRecord,
    chunk: &StoredChunk,
    removal: &Removal,
) -> Result<()> {
    let (chunk_number, is_again) = (chunk.number, chunk.is_again);
    let made = record.shape.as_ref().and_then(|shape| shape.layout.as_ref());
    let layout = made.filter(|layout| layout.mode.keeps_current());
    let unfinished_removal = match (removal, layout) {
        (Removal::None, _) => return Ok(()),
        (Removal::Repairs(repair), layout) => {
            if let (Some(shape), Some(layout)) = (&record.shape, layout) {
                let rows = TableRead::of(shape, layout).only_key();
                return remove_repaired(session, &tables.with_layout(layout), chunk, (&rows, repair)).await;
            }
            return Ok(());
        }
        (Removal::AwaitsComparison, _) => {
            // The agent's first chunk of the epoch states the position before which every row is compared.
            record.frontier.uncompared = Some(ChunkNumber {
                number: chunk_number.number + 1,
                ..chunk_number
            });
            return lanes::save_frontier_text(session, &tables.lane, &record.frontier).await;
        }
        (Removal::Removes, None) => None,
        (Removal::Removes, Some(layout)) => {
            let table = layout.sql(&layout.table);
            match session.remove_older(&table, chunk_number.epoch).await? {
                Some(rows) => {
                    tracing::info!(lane = %tables.lane, rows, "resynchronisation complete, rows gone at the source removed");
                    if !is_again {
                        row_counts::subtract(session, &tables.with_layout(layout), rows).await?;
                    }
                    None
                }
                None => Some(chunk_number),
            }
        }
        (Removal::Begins, layout) => {
            // Every row is sent again, so nothing has to be compared.
            record.frontier.uncompared = None;
            if let Some(layout) = layout {
                row_counts::take(session, &tables.with_layout(layout)).await?;
            }
            Some(chunk_number)
        }
        (Removal::Waits | Removal::Kept, _) => Some(chunk_number),
    };
    record.frontier.unfinished_removal = unfinished_removal;
    lanes::save_frontier_text(session, &tables.lane, &record.frontier).await
}

/// Records that a comparison which began after chunk `as_of` found the lane's table equal to the source, in its own transaction.
/// Nothing is settled while something of the lane is in quarantine: its release may add rows that are gone at the source.
pub(crate) async fn settle<S: SqlSession>(session: &S, lane: &Lane, as_of: ChunkNumber) -> Result<()> {
    session.begin(Begin::Bookkeeping).await?;
    if let Some(record) = lanes::read(session, lane, LaneLock::Alone).await? {
        let frontier = record.frontier;
        let settled = frontier.clone().settle(as_of);
        if settled != frontier {
            lanes::save_frontier_text(session, lane, &settled).await?;
            tracing::info!(%lane, "core and store are equal, the resynchronisation is complete");
        }
    }
    session.commit().await
}

/// Removes the other rows of the keys that a chunk repairs.
async fn remove_repaired<S: FeedTables>(
    session: &S,
    tables: &LaneTables,
    chunk: &StoredChunk,
    (rows, repair): (&TableRead, &Repair),
) -> Result<()> {
    let search = RowSearch::new(&rows.schema, repair, chunk.number)?;
    let removed = session.remove_found(rows, search).await?;
    if removed.is_none() {
        tracing::warn!(lane = %tables.lane, "rows gone at the source are kept, because their table does not permit to delete them");
    }
    let removed = removed.unwrap_or(0);
    tracing::info!(
        lane = %tables.lane, request = %repair.request, keys = repair.keys.len(), removed, "rows repaired"
    );
    if chunk.is_again {
        // Its rows were counted before.
        return Ok(());
    }
    row_counts::repaired(session, tables, chunk.net, removed).await
}
