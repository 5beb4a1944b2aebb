//! Recounts the frontier after entries of the quarantine have ended.

use schemas::name::Lane;

use super::super::sql::{one, optional};
use super::super::{Row, SqlSession, chunk_number, digest, json, lanes, values};
use crate::chunk_number::ChunkNumber;
use crate::error::Result;
use crate::ledger::EntryState;
use crate::quarantine::decide::{Below, recount};
use crate::record::LaneRecord;

/// Recounts the chunks below the frontier; the lane's row must be locked exclusively.
pub(crate) async fn save_recount<S: SqlSession>(session: &S, lane: &Lane, record: &LaneRecord) -> Result<()> {
    let at = record.frontier.chunk_number();
    if at.number == 0 {
        return Ok(());
    }
    let below = below(session, lane, at).await?;
    let frontier = recount(&record.frontier, &record.state, &below);
    lanes::save_frontier_text(session, lane, &frontier).await
}

async fn below<S: SqlSession>(session: &S, lane: &Lane, at: ChunkNumber) -> Result<Below> {
    const TABLE: &str = "ledger";
    let values = values![lane.recipient.as_str(), lane.feed.as_str(), at.epoch, at.number];
    let same = "recipient = $1 AND feed = $2 AND epoch = $3 AND number";
    let head = format!("SELECT digest, state FROM slacktide.ledger WHERE {same} = $4");
    let read = |row: &dyn Row| {
        let is_stored = EntryState::of_word(&row.text(1)?) == EntryState::Stored;
        Ok((digest::<S>(TABLE, &row.text(0)?)?, is_stored))
    };
    let head = optional(session, &head, &values, read).await?;
    let stored = format!("slacktide.ledger WHERE {same} <= $4 AND state = 'stored'");
    let rows = format!("SELECT CAST(coalesce(sum(rows), 0) AS bigint) FROM {stored}");
    let rows = one(session, &rows, &values, |row| row.unsigned(0)).await?;
    let cursor = format!("SELECT cursor_after FROM {stored} ORDER BY number DESC LIMIT 1");
    let cursor = optional(session, &cursor, &values, |row| row.optional_text(0)).await?;
    let cursor = cursor
        .flatten()
        .map(|text| json::<S, _>(TABLE, &text))
        .transpose()?;
    let marked = "SELECT l.epoch, l.number, EXISTS (SELECT 1 FROM slacktide.quarantine q WHERE q.recipient = $1 \
         AND q.feed = $2 AND q.epoch = l.epoch AND q.number = l.number AND q.ended IS NULL \
         AND q.kind IS DISTINCT FROM 'reject') FROM slacktide.ledger l WHERE l.recipient = $1 AND l.feed = $2 \
         AND (l.epoch, l.number) <= ($3, $4) AND (l.state = 'quarantined' OR l.rows_quarantined > 0) ORDER BY 1, 2";
    let read = |row: &dyn Row| Ok((chunk_number(row, 0, 1)?, row.flag(2)?));
    Ok(Below {
        head,
        cursor,
        rows,
        marked: session.query(marked, &values, read).await?,
    })
}
