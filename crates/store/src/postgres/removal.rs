//! Applies the begin and the end of a resynchronisation to a lane's table.

use super::records;
use super::session::Session;
use super::{failure, refill};
use crate::error::Result;
use crate::layout::LaneTables;
use crate::merge::ChunkNumber;
use crate::record::LaneRecord;
use crate::resync::Removal;
use crate::table::EPOCH;

/// Begins or ends a resynchronisation. Its end removes the rows of earlier epochs, or records that they had to stay.
/// All rows are sent again after its beginning, so changes that others
/// made before it no longer count; later changes, up to its end, do.
pub(super) async fn apply(
    session: &Session,
    tables: &LaneTables,
    record: &LaneRecord,
    (chunk_number, is_again): (ChunkNumber, bool),
    removal: &Removal,
) -> Result<()> {
    let made = record.shape.as_ref().and_then(|shape| shape.layout.as_ref());
    let layout = made.filter(|layout| layout.mode.keeps_current());
    let unfinished_removal = match (removal, layout) {
        (Removal::None, _) => return Ok(()),
        (Removal::Removes, None) => None,
        (Removal::Removes, Some(layout)) => {
            match remove_older(session, &layout.sql(&layout.table), chunk_number).await? {
                Some(rows) => {
                    tracing::info!(lane = %tables.lane, rows, "resynchronisation complete, rows gone at the source removed");
                    if !is_again {
                        refill::forget_rows(session, &tables.with_layout(layout), rows).await?;
                    }
                    None
                }
                None => Some(chunk_number),
            }
        }
        (Removal::Begins, layout) => {
            if let Some(layout) = layout {
                refill::take_rows(session, &tables.with_layout(layout)).await?;
            }
            Some(chunk_number)
        }
        (Removal::Waits | Removal::Kept, _) => Some(chunk_number),
    };
    records::save_unfinished_removal(session, &tables.lane, record, unfinished_removal).await
}

/// Removes the rows of earlier epochs and returns their number; `None` if a trigger, a policy or a reference keeps
/// one of them, so that all stay.
async fn remove_older(session: &Session, table: &str, chunk_number: ChunkNumber) -> Result<Option<u64>> {
    let fail = |error: tokio_postgres::Error| failure::of(&error);
    let epoch = records::small(chunk_number.epoch);
    session.run("SAVEPOINT resync").await?;
    let delete = format!("DELETE FROM {table} WHERE {EPOCH} < $1");
    let gone = match session.client.execute(&delete, &[&epoch]).await {
        Ok(rows) => {
            let left = format!("SELECT EXISTS (SELECT FROM {table} WHERE {EPOCH} < $1)");
            let left = session.client.query_one(&left, &[&epoch]).await.map_err(fail)?;
            (!left.try_get::<_, bool>(0).map_err(fail)?).then_some(rows)
        }
        Err(error) if failure::of_row(&error, &[]).is_some() => None,
        Err(error) => return Err(failure::of(&error)),
    };
    let back = if gone.is_some() {
        ""
    } else {
        "ROLLBACK TO SAVEPOINT resync; "
    };
    session.run(&format!("{back}RELEASE SAVEPOINT resync")).await?;
    Ok(gone)
}
