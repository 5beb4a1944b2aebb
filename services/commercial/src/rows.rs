//! Counts the rows of the store's tables and compares them with what was stored.

use std::sync::Arc;
use std::time::Duration;

use store::refill::Difference;
use store::{RowCount, Store};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::evidence::{ROWS_DIFFER, refill};
use crate::status::Board;

/// How often rows are counted, at most.
const EVERY: Duration = Duration::from_secs(10);

/// A count that takes longer is given up.
const MOST: Duration = Duration::from_secs(30);

/// Counting may take this part of the time: one in so many.
const SHARE: u32 = 50;

/// Counts until `stop`, and shows each table that differs from what was stored. What fails is the poller's to tell.
pub async fn watch(store: Arc<dyn Store>, board: Board, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let begun = Instant::now();
        if board.may_fetch() {
            match store.count_rows(MOST).await {
                Ok(counts) => counts.iter().for_each(|count| show(&board, count)),
                Err(error) => tracing::debug!(%error, "rows are counted later"),
            }
        }
        let rest = EVERY.max(begun.elapsed() * SHARE);
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(rest) => {}
        }
    }
}

fn show(board: &Board, count: &RowCount) {
    let lane = &count.lane;
    let found = count.difference().map(|difference| words(count, difference));
    let mut is_news = false;
    board.lane(lane, |status| match &found {
        Some((what, remedy)) => is_news = status.unverified.set(ROWS_DIFFER, what.clone(), remedy.clone()),
        None => {
            status.unverified.clear(ROWS_DIFFER);
        }
    });
    if let (true, Some((what, remedy))) = (is_news, found) {
        tracing::error!(%lane, what, remedy, "a table does not have the rows that were stored");
    }
}

/// What is found, and what to do.
fn words(count: &RowCount, difference: Difference) -> (String, String) {
    let table = &count.table;
    let accept = format!(
        "slacktide store accept --feed {} --actor NAME --reason TEXT --config FILE",
        count.lane.feed
    );
    let refill = refill(&count.lane, "start");
    match difference {
        Difference::Gone => (
            format!("table {table} is gone, or another one has its name"),
            format!("put it back from where it is, or have it made and filled again: {refill}"),
        ),
        Difference::Fewer { missing } => (
            format!("table {table} has {missing} rows fewer than were stored: others deleted them"),
            format!("store them again: {refill}; or, where they were deleted on purpose: {accept}"),
        ),
        Difference::More { surplus } => (
            format!("table {table} has {surplus} rows more than were stored: others added them"),
            format!("remove them; or, where they are to stay: {accept}"),
        ),
    }
}
