//! Applies the begin and the end of a resynchronisation to a lane's table.

use super::feed_tables::FeedTables;
use super::{lanes, row_counts};
use crate::chunk_number::ChunkNumber;
use crate::error::Result;
use crate::layout::LaneTables;
use crate::record::LaneRecord;
use crate::resync::Removal;

/// Begins or ends a resynchronisation, in a transaction that locks the lane exclusively. Its end removes the rows of
/// earlier epochs, or records that they had to stay. All rows are sent again after its beginning, so changes that others
/// made before it no longer count; later changes, up to its end, do.
pub(crate) async fn apply<S: FeedTables>(
    session: &S,
    tables: &LaneTables,
    record: &mut LaneRecord,
    (chunk_number, is_again): (ChunkNumber, bool),
    removal: &Removal,
) -> Result<()> {
    let made = record.shape.as_ref().and_then(|shape| shape.layout.as_ref());
    let layout = made.filter(|layout| layout.mode.keeps_current());
    let unfinished_removal = match (removal, layout) {
        (Removal::None, _) => return Ok(()),
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
