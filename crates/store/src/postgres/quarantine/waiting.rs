//! Retries rows that wait for another row, without an operator.

use jiff::Timestamp;
use schemas::name::{FeedName, Lane, RecipientName};

use super::super::failure;
use super::super::records::{self, LaneLock};
use super::super::rows::{FreedColumns, columns_to_free};
use super::super::session::{IMMEDIATE, Session};
use super::transactions::{
    RowRetry, TryOutcome, record_reason, release, save_recount, stage_for, target, tried, try_row,
};
use crate::error::Result;
use crate::layout::LaneTables;
use crate::merge::ChunkNumber;
use crate::quarantine::waiting::{MAX_ROWS_PER_TRY, Retried, SOON, automatic_retry, next_try};
use crate::record::{LaneRecord, broken};

fn pg<T>(result: std::result::Result<T, tokio_postgres::Error>) -> Result<T> {
    result.map_err(|error| failure::of(&error))
}

/// Returns the lanes with due rows.
pub(super) async fn due(session: &Session, now: Timestamp) -> Result<Vec<Lane>> {
    let rows = pg(session
        .client
        .query(
            "SELECT DISTINCT recipient, feed FROM slacktide.quarantine WHERE retry_at <= $1::text::timestamptz",
            &[&now.to_string()],
        )
        .await)?;
    let lane = |row: &tokio_postgres::Row| {
        let (recipient, feed): (String, String) = (pg(row.try_get(0))?, pg(row.try_get(1))?);
        let names = RecipientName::new(recipient).ok().zip(FeedName::new(feed).ok());
        let lane = names.map(|(recipient, feed)| Lane { recipient, feed });
        lane.ok_or_else(|| broken("slacktide.quarantine"))
    };
    rows.iter().map(lane).collect()
}

/// Retries due rows of a lane. Right after a chunk of the lane (`soon`), also retries rows with few tries.
pub(in crate::postgres) async fn retry(
    session: &mut Session,
    tables: &LaneTables,
    soon: bool,
    now: Timestamp,
) -> Result<Retried> {
    let lane = &tables.lane;
    let ids = ids(session, lane, soon, now).await?;
    let mut retried = Retried::default();
    if !ids.is_empty() {
        stage_for(session, tables, &ids).await?;
        session.begin(IMMEDIATE).await?;
        if let Some(record) = records::lane(session, lane, LaneLock::Alone).await? {
            retried.released = retry_all(session, tables, &record, &ids, now).await?;
            save_recount(session, lane, &record).await?;
        }
        session.commit().await?;
    }
    let row = pg(session
        .client
        .query_one(
            "SELECT count(*) FROM slacktide.quarantine WHERE recipient = $1 AND feed = $2 AND retry_at IS NOT NULL",
            &[&lane.recipient.as_str(), &lane.feed.as_str()],
        )
        .await)?;
    retried.waiting = u64::try_from(pg(row.try_get::<_, i64>(0))?).unwrap_or(0);
    Ok(retried)
}

async fn ids(session: &Session, lane: &Lane, soon: bool, now: Timestamp) -> Result<Vec<String>> {
    let rows = pg(session
        .client
        .query(
            "SELECT id FROM slacktide.quarantine WHERE recipient = $1 AND feed = $2 AND ended IS NULL \
             AND retry_at IS NOT NULL AND (retry_at <= $3::text::timestamptz OR ($4 AND tries < $5)) \
             ORDER BY epoch, number, ordinal LIMIT $6",
            &[
                &lane.recipient.as_str(),
                &lane.feed.as_str(),
                &now.to_string(),
                &soon,
                &i32::try_from(SOON).unwrap_or(i32::MAX),
                &i64::from(MAX_ROWS_PER_TRY),
            ],
        )
        .await)?;
    rows.iter().map(|row| pg(row.try_get(0))).collect()
}

async fn retry_all(
    session: &Session,
    tables: &LaneTables,
    record: &LaneRecord,
    ids: &[String],
    now: Timestamp,
) -> Result<Vec<ChunkNumber>> {
    let (lane, by) = (&tables.lane, automatic_retry());
    let mut waiting = Vec::with_capacity(ids.len());
    for id in ids {
        if let Ok(row) = tried(session, lane, id, record, &by).await? {
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
        record_reason(session, lane, id, &why.reason).await?;
        let tries = waiting.iter().find(|row| row.entry.id == *id);
        let tries = tries
            .and_then(|row| row.entry.waiting)
            .map_or(0, |waiting| waiting.tries);
        let at = why.is_retryable.then(|| next_try(tries, now).to_string());
        pg(session
            .client
            .execute(
                "UPDATE slacktide.quarantine SET tries = tries + 1, retry_at = $4::text::timestamptz \
                 WHERE recipient = $1 AND feed = $2 AND id = $3 AND ended IS NULL",
                &[&lane.recipient.as_str(), &lane.feed.as_str(), id, &at],
            )
            .await)?;
    }
    Ok(released)
}

/// A stored row, and the number of additional rows in its table.
type Stored<'a> = (&'a RowRetry, Option<i64>);

/// Stores rows together that hold each other's unique values, and returns the stored ones. A row that is still
/// refused waits for another row: it is left out, and the rest is retried.
async fn together<'a>(
    session: &Session,
    tables: &LaneTables,
    record: &LaneRecord,
    waiting: &'a [RowRetry],
) -> Result<Vec<Stored<'a>>> {
    let mut set: Vec<&RowRetry> = waiting.iter().collect();
    if set.len() < 2 || !tables.layout.mode.keeps_current() {
        return Ok(Vec::new());
    }
    let Some(first) = set.first() else {
        return Ok(Vec::new());
    };
    let columns_to_free = match target(session, tables, record, first).await? {
        Ok(target) => columns_to_free(session, tables, target.key()).await?,
        Err(_) => None,
    };
    let columns_to_free = columns_to_free.unwrap_or_default();
    while set.len() > 1 {
        session
            .run("SAVEPOINT together; SET CONSTRAINTS ALL DEFERRED")
            .await?;
        let (stored, refused) = all_of(session, tables, record, &set, &columns_to_free).await?;
        if refused.is_empty() && session.run(IMMEDIATE).await.is_ok() {
            session.run("RELEASE SAVEPOINT together").await?;
            return Ok(stored);
        }
        session
            .run(&format!(
                "ROLLBACK TO SAVEPOINT together; RELEASE SAVEPOINT together; {IMMEDIATE}"
            ))
            .await?;
        if refused.is_empty() {
            break;
        }
        set.retain(|row| !refused.contains(&row.entry.id));
    }
    Ok(Vec::new())
}

/// Frees the unique values of the older versions of all rows, then writes each row. Returns the stored rows and the
/// ids of the refused ones.
async fn all_of<'a>(
    session: &Session,
    tables: &LaneTables,
    record: &LaneRecord,
    set: &[&'a RowRetry],
    columns_to_free: &[FreedColumns],
) -> Result<(Vec<Stored<'a>>, Vec<String>)> {
    let none = || {
        let ids = set.iter().map(|row| row.entry.id.clone());
        Ok((Vec::new(), ids.collect()))
    };
    if !columns_to_free.is_empty() {
        for row in set {
            let Ok(target) = target(session, tables, record, row).await? else {
                return none();
            };
            if !target
                .free_unique_values(session, &row.arrival, columns_to_free)
                .await?
            {
                return none();
            }
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
