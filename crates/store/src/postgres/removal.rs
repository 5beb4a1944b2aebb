//! What the begin and the end of a resynchronisation do to a lane's table.

use super::records;
use super::session::Session;
use super::{failure, refill};
use crate::error::Result;
use crate::layout::LaneTables;
use crate::merge::Place;
use crate::record::LaneRecord;
use crate::resync::Removal;
use crate::table::EPOCH;

/// Begins or ends a resynchronisation. Its end removes the rows of earlier epochs, or notes that they had to stay. All rows come
/// again behind its beginning, so what others did to the table before counts no more; what they do until its end does.
pub(super) async fn apply(
    session: &Session,
    tables: &LaneTables,
    record: &LaneRecord,
    (place, is_again): (Place, bool),
    removal: &Removal,
) -> Result<()> {
    let made = record.shape.as_ref().and_then(|shape| shape.layout.as_ref());
    let layout = made.filter(|layout| layout.mode.keeps_current());
    let unremoved = match (removal, layout) {
        (Removal::None, _) => return Ok(()),
        (Removal::Removes, None) => None,
        (Removal::Removes, Some(layout)) => {
            match remove_older(session, &layout.sql(&layout.table), place).await? {
                Some(rows) => {
                    tracing::info!(lane = %tables.lane, rows, "resynchronisation complete, rows gone at the source removed");
                    if !is_again {
                        refill::forget_rows(session, &tables.with_layout(layout), rows).await?;
                    }
                    None
                }
                None => Some(place),
            }
        }
        (Removal::Begins, layout) => {
            if let Some(layout) = layout {
                refill::take_rows(session, &tables.with_layout(layout)).await?;
            }
            Some(place)
        }
        (Removal::Waits | Removal::Kept, _) => Some(place),
    };
    records::save_unremoved(session, &tables.lane, record, unremoved).await
}

/// Removes the rows of earlier epochs, and returns how many; `None` where the table did not let all of them go, so that
/// all of them stay: a trigger, a policy or a row that refers to one.
async fn remove_older(session: &Session, table: &str, place: Place) -> Result<Option<u64>> {
    let fail = |error: tokio_postgres::Error| failure::of(&error);
    let epoch = records::small(place.epoch);
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
