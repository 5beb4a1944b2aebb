//! Queries of requests and replies.

use jiff::Timestamp;
use schemas::name::RecipientName;
use schemas::request::RequestId;
use serde::Serialize;

use super::super::{Row, SqlSession, digest, unreadable, values};
use super::request_id;
use crate::error::Result;
use crate::record::text;
use crate::requests::{
    REQUEST_STATE, ReplySummary, RequestFilter, RequestState, RequestSummary, UnconfirmedReply,
    WaitingRequests,
};

/// Returns replies without a confirmation, the oldest first.
pub(crate) async fn unconfirmed_replies<S: SqlSession>(
    session: &S,
    recipient: &RecipientName,
    limit: u32,
) -> Result<Vec<UnconfirmedReply>> {
    let sql = "SELECT id, digest, rows, quarantined, delivered_at, stored_at FROM slacktide.replies \
         WHERE recipient = $1 AND confirmed_at IS NULL ORDER BY stored_at, id LIMIT $2";
    let read = |row: &dyn Row| {
        Ok(UnconfirmedReply {
            id: request_id::<S>(row, 0)?,
            reply: digest::<S>("replies", &row.text(1)?)?,
            rows: row.unsigned(2)?,
            quarantined: row.unsigned(3)?,
            delivered_at: row.time(4)?,
            stored_at: row.time(5)?,
        })
    };
    session
        .query(sql, &values![recipient.as_str(), limit], read)
        .await
}

/// Returns the selected requests, the latest first.
pub(crate) async fn list<S: SqlSession>(
    session: &S,
    recipient: &RecipientName,
    wanted: &RequestFilter,
) -> Result<Vec<RequestSummary>> {
    let sql = format!(
        "SELECT q.id, q.kind, q.idempotency, q.filed_by, q.filed_at, q.deadline, q.exchanged_at, {REQUEST_STATE}, \
         coalesce(q.reason, p.reason), p.outcome, p.code, p.digest, p.rows, p.quarantined, p.withheld, p.target, \
         p.delivered_at, p.stored_at, p.confirmed_at \
         FROM slacktide.requests q LEFT JOIN slacktide.replies p ON p.recipient = q.recipient AND p.id = q.id \
         WHERE q.recipient = $1 AND (CAST($2 AS text) IS NULL OR q.kind = $2) \
         AND (CAST($3 AS text) IS NULL OR {REQUEST_STATE} = $3) AND (CAST($4 AS text) IS NULL OR p.outcome = $4) \
         AND substr(q.id, 1, length(CAST($5 AS text))) = $5 AND q.filed_at >= $6 \
         ORDER BY q.filed_at DESC, q.id LIMIT $7"
    );
    let values = values![
        recipient.as_str(),
        wanted.kind.as_deref(),
        wanted.state.map(RequestState::word),
        wanted.outcome.as_deref(),
        &wanted.prefix,
        wanted.since.unwrap_or(Timestamp::UNIX_EPOCH),
        wanted.limit.map_or(i64::MAX, i64::from)
    ];
    session.query(&sql, &values, summary::<S>).await
}

/// Counts requests without an outcome.
pub(crate) async fn count_waiting<S: SqlSession>(
    session: &S,
    recipient: &RecipientName,
) -> Result<WaitingRequests> {
    let sql = format!(
        "SELECT {REQUEST_STATE}, count(*), min(q.filed_at) FROM slacktide.requests q \
         LEFT JOIN slacktide.replies p ON p.recipient = q.recipient AND p.id = q.id \
         WHERE q.recipient = $1 AND {REQUEST_STATE} IN ('kept', 'filed') GROUP BY 1"
    );
    let read = |row: &dyn Row| Ok((row.text(0)?, row.unsigned(1)?, row.optional_time(2)?));
    let mut waiting = WaitingRequests::default();
    for (state, count, oldest) in session.query(&sql, &values![recipient.as_str()], read).await? {
        if state == RequestState::Kept.word() {
            waiting.kept = count;
        } else {
            waiting.filed = count;
        }
        waiting.oldest = waiting.oldest.into_iter().chain(oldest).min();
    }
    Ok(waiting)
}

/// Returns those of the given requests whose replies are not stored, in order.
pub(crate) async fn unanswered<S: SqlSession>(
    session: &S,
    recipient: &RecipientName,
    ids: &[RequestId],
) -> Result<Vec<RequestId>> {
    #[derive(Serialize)]
    struct Asked<'a> {
        id: &'a RequestId,
    }
    let sql = format!(
        "SELECT u.id FROM {} WHERE NOT EXISTS (SELECT 1 FROM slacktide.replies p WHERE p.recipient = $1 AND p.id = u.id) \
         ORDER BY 1",
        S::records("$2", &[("id", "text")])
    );
    let asked = text(&ids.iter().map(|id| Asked { id }).collect::<Vec<_>>())?;
    let values = values![recipient.as_str(), &asked];
    session.query(&sql, &values, |row| request_id::<S>(row, 0)).await
}

fn summary<S: SqlSession>(row: &dyn Row) -> Result<RequestSummary> {
    let number =
        |at: usize| -> Result<u64> { Ok(u64::try_from(row.optional_int(at)?.unwrap_or(0)).unwrap_or(0)) };
    let reply = match row.optional_text(9)? {
        None => None,
        Some(outcome) => Some(ReplySummary {
            outcome,
            code: row.optional_text(10)?,
            digest: digest::<S>("replies", &row.text(11)?)?,
            rows: number(12)?,
            quarantined: number(13)?,
            withheld: number(14)?,
            table: row.optional_text(15)?,
            delivered_at: row.time(16)?,
            stored_at: row.time(17)?,
            confirmed_at: row.optional_time(18)?,
        }),
    };
    Ok(RequestSummary {
        id: request_id::<S>(row, 0)?,
        kind: row.text(1)?,
        idempotency: row.optional_text(2)?,
        filed_by: row.text(3)?,
        filed_at: row.time(4)?,
        deadline: row.optional_time(5)?,
        exchanged_at: row.optional_time(6)?,
        state: RequestState::of_word(&row.text(7)?).ok_or_else(|| unreadable::<S>("requests"))?,
        reason: row.optional_text(8)?,
        reply,
    })
}
