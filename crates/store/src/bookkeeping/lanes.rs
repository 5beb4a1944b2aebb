//! Reads and writes the lanes' rows.

use schemas::name::Lane;

use super::sql::optional;
use super::{LaneLock, Row, SqlSession, json, lane_of, values};
use crate::compaction::Compaction;
use crate::error::Result;
use crate::frontier::Frontier;
use crate::ledger::LaneState;
use crate::record::{LaneRecord, text};
use crate::table::batch_plan::Refused;
use crate::table::schema_change::PendingChange;
use crate::table::shape::Shape;

/// The number of entries read at a time.
pub(crate) const BATCH_ENTRIES: u32 = 2_000;

/// Returns every lane.
pub(crate) async fn list<S: SqlSession>(session: &S) -> Result<Vec<Lane>> {
    let sql = "SELECT recipient, feed FROM slacktide.lanes ORDER BY 1, 2";
    session.query(sql, &[], |row| lane_of::<S>("lanes", row)).await
}

/// Creates the lane's row if it is missing.
pub(crate) async fn make<S: SqlSession>(session: &S, lane: &Lane) -> Result<()> {
    let fresh = LaneRecord::default();
    let text = fresh.texts()?;
    let sql = "INSERT INTO slacktide.lanes (recipient, feed, epoch, openings, stopped, frontier, frontier_epoch, frontier_number, \
         columns) VALUES ($1, $2, $3, $4, NULL, $5, 1, 0, NULL) ON CONFLICT DO NOTHING";
    let values = values![
        lane.recipient.as_str(),
        lane.feed.as_str(),
        fresh.state.epoch,
        &text.openings,
        &text.frontier
    ];
    session.execute(sql, &values).await.map(|_| ())
}

/// Returns the lane's record. The shared lock does not conflict with the frontier's update.
pub(crate) async fn read<S: SqlSession>(
    session: &S,
    lane: &Lane,
    lock: LaneLock,
) -> Result<Option<LaneRecord>> {
    let sql = format!(
        "SELECT epoch, openings, stopped, frontier, columns, pending_change, refused, compaction FROM slacktide.lanes \
         WHERE recipient = $1 AND feed = $2 {}",
        S::row_lock(lock)
    );
    let values = values![lane.recipient.as_str(), lane.feed.as_str()];
    optional(session, &sql, &values, record::<S>).await
}

fn record<S: SqlSession>(row: &dyn Row) -> Result<LaneRecord> {
    const TABLE: &str = "lanes";
    let (openings, frontier) = (row.text(1)?, row.text(3)?);
    let (columns, pending_change) = (row.optional_text(4)?, row.optional_text(5)?);
    let (refused, compaction) = (row.optional_text(6)?, row.optional_text(7)?);
    Ok(LaneRecord {
        state: LaneState {
            epoch: u32::try_from(row.unsigned(0)?).unwrap_or(0),
            openings: json::<S, _>(TABLE, &openings)?,
            stopped: row.optional_text(2)?,
            compaction: compaction
                .map(|text| json::<S, Compaction>(TABLE, &text))
                .transpose()?,
        },
        frontier: json::<S, Frontier>(TABLE, &frontier)?,
        shape: columns.map(|text| json::<S, Shape>(TABLE, &text)).transpose()?,
        pending_change: pending_change
            .map(|text| json::<S, PendingChange>(TABLE, &text))
            .transpose()?,
        refused: refused.map(|text| json::<S, Refused>(TABLE, &text)).transpose()?,
    })
}

/// Writes the lane's epoch, stop and pending change; the row must be locked exclusively.
pub(crate) async fn save_state<S: SqlSession>(session: &S, lane: &Lane, record: &LaneRecord) -> Result<()> {
    let text = record.texts()?;
    let sql = "UPDATE slacktide.lanes SET epoch = $3, openings = $4, stopped = $5, pending_change = $6 \
         WHERE recipient = $1 AND feed = $2";
    let values = values![
        lane.recipient.as_str(),
        lane.feed.as_str(),
        record.state.epoch,
        &text.openings,
        record.state.stopped.as_deref(),
        text.pending_change.as_deref()
    ];
    session.execute(sql, &values).await.map(|_| ())
}

/// Writes the tables' shape and the lane's pending change; the row must be locked exclusively.
pub(crate) async fn save_columns<S: SqlSession>(session: &S, lane: &Lane, record: &LaneRecord) -> Result<()> {
    let text = record.texts()?;
    let sql = "UPDATE slacktide.lanes SET columns = $3, pending_change = $4, refused = $5 WHERE recipient = $1 AND feed = $2";
    let values = values![
        lane.recipient.as_str(),
        lane.feed.as_str(),
        text.columns.as_deref(),
        text.pending_change.as_deref(),
        text.refused.as_deref()
    ];
    session.execute(sql, &values).await.map(|_| ())
}

/// Writes the frontier, unless another poller has written a later one.
pub(super) async fn save_frontier<S: SqlSession>(
    session: &S,
    lane: &Lane,
    record: &LaneRecord,
) -> Result<()> {
    let text = record.texts()?;
    let sql = "UPDATE slacktide.lanes SET frontier = $3, frontier_epoch = $4, frontier_number = $5 \
         WHERE recipient = $1 AND feed = $2 AND (frontier_epoch, frontier_number) < ($4, $5)";
    let values = values![
        lane.recipient.as_str(),
        lane.feed.as_str(),
        &text.frontier,
        record.frontier.epoch,
        record.frontier.number
    ];
    session.execute(sql, &values).await.map(|_| ())
}

/// Writes the frontier, also backwards; the row must be locked exclusively.
pub(crate) async fn set_frontier<S: SqlSession>(session: &S, lane: &Lane, frontier: &Frontier) -> Result<()> {
    let sql = "UPDATE slacktide.lanes SET frontier = $3, frontier_epoch = $4, frontier_number = $5 \
         WHERE recipient = $1 AND feed = $2";
    let text = text(frontier)?;
    let values = values![
        lane.recipient.as_str(),
        lane.feed.as_str(),
        &text,
        frontier.epoch,
        frontier.number
    ];
    session.execute(sql, &values).await.map(|_| ())
}

/// Writes the content of a frontier that does not move; the row must be locked exclusively.
pub(crate) async fn save_frontier_text<S: SqlSession>(
    session: &S,
    lane: &Lane,
    frontier: &Frontier,
) -> Result<()> {
    let sql = "UPDATE slacktide.lanes SET frontier = $3 WHERE recipient = $1 AND feed = $2";
    let text = text(frontier)?;
    let values = values![lane.recipient.as_str(), lane.feed.as_str(), &text];
    session.execute(sql, &values).await.map(|_| ())
}

/// Writes the summary of folded entries; the row must be locked exclusively.
pub(crate) async fn set_compaction<S: SqlSession>(
    session: &S,
    lane: &Lane,
    record: &LaneRecord,
) -> Result<()> {
    let text = record.texts()?;
    let sql = "UPDATE slacktide.lanes SET compaction = $3 WHERE recipient = $1 AND feed = $2";
    let values = values![
        lane.recipient.as_str(),
        lane.feed.as_str(),
        text.compaction.as_deref()
    ];
    session.execute(sql, &values).await.map(|_| ())
}
