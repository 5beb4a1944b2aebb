//! Retries rows that wait for another row, without an operator.

use jiff::Timestamp;
use schemas::name::Lane;

use super::super::feed_tables::FeedRows;
use super::super::sql::one;
use super::super::{Begin, LaneLock, SqlSession, lane_of, lanes, values};
use super::retry::{fitting, prepare, release, retryable, try_row};
use super::{RefusedRow, RowRetry, TryOutcome, record_reason, save_recount};
use crate::chunk_number::ChunkNumber;
use crate::error::Result;
use crate::layout::LaneTables;
use crate::quarantine::waiting::{MAX_ROWS_PER_TRY, Retried, SOON, automatic_retry, next_try};
use crate::record::LaneRecord;

/// Returns the lanes with due rows.
pub(crate) async fn due<S: SqlSession>(session: &S, now: Timestamp) -> Result<Vec<Lane>> {
    let sql = "SELECT DISTINCT recipient, feed FROM slacktide.quarantine WHERE retry_at <= $1";
    session
        .query(sql, &values![now], |row| lane_of::<S>("quarantine", row))
        .await
}

/// Retries due rows of a lane. Right after a chunk of the lane (`soon`), also retries rows with few tries.
pub(crate) async fn retry<S: FeedRows>(
    session: &mut S,
    tables: &LaneTables,
    soon: bool,
    now: Timestamp,
) -> Result<Retried> {
    let lane = &tables.lane;
    let ids = ids(session, lane, soon, now).await?;
    let mut retried = Retried::default();
    if !ids.is_empty() {
        prepare(session, tables, &ids).await?;
        let session = &*session;
        session.begin(Begin::Rows).await?;
        if let Some(record) = lanes::read(session, lane, LaneLock::Alone).await? {
            retried.released = retry_all(session, tables, &record, &ids, now).await?;
            save_recount(session, lane, &record).await?;
        }
        session.commit().await?;
    }
    let sql = "SELECT count(*) FROM slacktide.quarantine WHERE recipient = $1 AND feed = $2 AND retry_at IS NOT NULL";
    let values = values![lane.recipient.as_str(), lane.feed.as_str()];
    retried.waiting = one(session, sql, &values, |row| row.unsigned(0)).await?;
    Ok(retried)
}

async fn ids<S: SqlSession>(session: &S, lane: &Lane, soon: bool, now: Timestamp) -> Result<Vec<String>> {
    let sql = "SELECT id FROM slacktide.quarantine WHERE recipient = $1 AND feed = $2 AND ended IS NULL \
         AND retry_at IS NOT NULL AND (retry_at <= $3 OR ($4 AND tries < $5)) ORDER BY epoch, number, ordinal LIMIT $6";
    let values = values![
        lane.recipient.as_str(),
        lane.feed.as_str(),
        now,
        soon,
        SOON,
        MAX_ROWS_PER_TRY
    ];
    session.query(sql, &values, |row| row.text(0)).await
}

async fn retry_all<S: FeedRows>(
    session: &S,
    tables: &LaneTables,
    record: &LaneRecord,
    ids: &[String],
    now: Timestamp,
) -> Result<Vec<ChunkNumber>> {
    let (lane, by) = (&tables.lane, automatic_retry());
    let mut waiting = Vec::with_capacity(ids.len());
    for id in ids {
        if let Ok(row) = retryable(session, lane, id, record, &by).await? {
            waiting.push(row);
        }
    }
    let (mut released, mut refused) = (Vec::new(), Vec::new());
    // Each row may make room for another: repeat in both directions until nothing moves.
    loop {
        let before = waiting.len();
        let mut still = Vec::with_capacity(before);
        refused.clear();
        for row in waiting {
            match try_row(session, tables, record, &row).await? {
                TryOutcome::Stored(net) => {
                    release(session, lane, &row, net, &by).await?;
                    released.push(ChunkNumber::of(&row.arrival));
                }
                TryOutcome::Refused(why) => {
                    refused.push((row.entry.id.clone(), why));
                    still.push(row);
                }
                TryOutcome::Not(_) => {}
            }
        }
        waiting = still;
        if waiting.is_empty() || waiting.len() == before {
            break;
        }
        waiting.reverse();
    }
    for (row, net) in together(session, tables, record, &waiting).await? {
        release(session, lane, row, net, &by).await?;
        released.push(ChunkNumber::of(&row.arrival));
        refused.retain(|(id, _)| *id != row.entry.id);
    }
    for (id, why) in &refused {
        let row = waiting.iter().find(|row| row.entry.id == *id);
        let tries = row
            .and_then(|row| row.entry.waiting)
            .map_or(0, |waiting| waiting.tries);
        defer(session, lane, (id.as_str(), tries), why, now).await?;
    }
    Ok(released)
}

/// Records that a row was refused again, and when it is retried next.
async fn defer<S: SqlSession>(
    session: &S,
    lane: &Lane,
    (id, tries): (&str, u32),
    why: &RefusedRow,
    now: Timestamp,
) -> Result<()> {
    record_reason(session, lane, id, &why.reason).await?;
    let sql = "UPDATE slacktide.quarantine SET tries = tries + 1, retry_at = $4 \
         WHERE recipient = $1 AND feed = $2 AND id = $3 AND ended IS NULL";
    let at = why.is_retryable.then(|| next_try(tries, now));
    let values = values![lane.recipient.as_str(), lane.feed.as_str(), id, at];
    session.execute(sql, &values).await.map(|_| ())
}

/// A stored row, and the number of additional rows in its table.
type Stored<'a> = (&'a RowRetry, Option<i64>);

/// Stores rows together that hold each other's unique values, and returns the stored ones. A row that is still
/// refused waits for another row: it is left out, and the rest is retried.
async fn together<'a, S: FeedRows>(
    session: &S,
    tables: &LaneTables,
    record: &LaneRecord,
    waiting: &'a [RowRetry],
) -> Result<Vec<Stored<'a>>> {
    let mut set: Vec<&RowRetry> = waiting.iter().collect();
    let Some(first) = set
        .first()
        .filter(|_| set.len() > 1 && tables.layout.mode.keeps_current())
    else {
        return Ok(Vec::new());
    };
    let Some(shape) = fitting(tables, record, first) else {
        return Ok(Vec::new());
    };
    let Some(columns) = session.columns_to_free(tables, shape, first).await? else {
        return Ok(Vec::new());
    };
    while set.len() > 1 {
        session.begin_set().await?;
        let (stored, refused) = all_of(session, tables, record, &set, &columns).await?;
        if refused.is_empty() && session.keep_set().await? {
            return Ok(stored);
        }
        session.undo_set().await?;
        if refused.is_empty() {
            break;
        }
        set.retain(|row| !refused.contains(&row.entry.id));
    }
    Ok(Vec::new())
}

/// Frees the unique values of the older versions of all rows, then writes each row. Returns the stored rows and the
/// ids of the refused ones.
async fn all_of<'a, S: FeedRows>(
    session: &S,
    tables: &LaneTables,
    record: &LaneRecord,
    set: &[&'a RowRetry],
    columns: &[S::Freed],
) -> Result<(Vec<Stored<'a>>, Vec<String>)> {
    for row in set.iter().filter(|_| !columns.is_empty()) {
        let is_freed = match fitting(tables, record, row) {
            Some(shape) => session.free_unique_values(tables, shape, row, columns).await?,
            None => false,
        };
        if !is_freed {
            return Ok((Vec::new(), set.iter().map(|row| row.entry.id.clone()).collect()));
        }
    }
    let (mut stored, mut refused) = (Vec::new(), Vec::new());
    for row in set {
        match try_row(session, tables, record, row).await? {
            TryOutcome::Stored(net) => stored.push((*row, net)),
            _ => refused.push(row.entry.id.clone()),
        }
    }
    Ok((stored, refused))
}
