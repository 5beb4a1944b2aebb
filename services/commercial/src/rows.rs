//! Counts the rows of the store's tables and compares them with the stored rows.

use std::sync::Arc;
use std::time::Duration;

use store::refill::Difference;
use store::{RowCount, Store};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::evidence::{ROWS_DIFFER, refill};
use crate::status::StatusRegistry;

/// The minimum interval between counts.
const COUNT_EVERY: Duration = Duration::from_secs(10);

/// The time limit of a count.
const MAX_COUNT_TIME: Duration = Duration::from_secs(30);

/// Counting may use one in this many seconds.
const TIME_SHARE: u32 = 50;

/// Counts until `stop`, while the store is the one that signed its receipts, and shows each table that differs from the
/// stored rows. The poller reports errors of the store.
pub async fn keep_counting(
    store: Arc<dyn Store>,
    own_store: watch::Receiver<bool>,
    registry: StatusRegistry,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        let begun = Instant::now();
        if *own_store.borrow() {
            match store.count_rows(MAX_COUNT_TIME).await {
                Ok(counts) => counts.iter().for_each(|count| show(&registry, count)),
                Err(error) => tracing::debug!(%error, "rows are counted later"),
            }
        }
        let rest = COUNT_EVERY.max(begun.elapsed() * TIME_SHARE);
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(rest) => {}
        }
    }
}

fn show(registry: &StatusRegistry, count: &RowCount) {
    let lane = &count.lane;
    let found = count.difference().map(|difference| describe(count, difference));
    let mut is_news = false;
    registry.lane(lane, |status| match &found {
        Some((what, remedy)) => is_news = status.unverified.set(ROWS_DIFFER, what.clone(), remedy.clone()),
        None => {
            status.unverified.clear(ROWS_DIFFER);
        }
    });
    if let (true, Some((what, remedy))) = (is_news, found) {
        tracing::error!(%lane, what, remedy, "table rows differ from the stored rows");
    }
}

/// Returns the finding and the remedy.
fn describe(count: &RowCount, difference: Difference) -> (String, String) {
    let table = &count.table;
    let accept = format!(
        "slacktide store accept --feed {} --actor NAME --reason TEXT --config FILE",
        count.lane.feed
    );
    let refill = refill(&count.lane, "start");
    match difference {
        Difference::Gone => (
            format!("table {table} is missing, or another one has its name"),
            format!("put it back from where it is, or create and fill it again: {refill}"),
        ),
        Difference::Fewer { missing } => (
            format!("table {table} has {missing} rows fewer than stored: others deleted them"),
            format!("store them again: {refill}; or, where they were deleted on purpose: {accept}"),
        ),
        Difference::More { surplus } => (
            format!("table {table} has {surplus} rows more than stored: others added them"),
            format!("remove them; or, where they are to stay: {accept}"),
        ),
    }
}
