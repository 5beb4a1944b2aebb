//! Queries of requests and replies.

use schemas::digest::Digest;
use schemas::name::RecipientName;
use schemas::request::RequestId;
use tokio_postgres::Row;

use super::super::session::Session;
use super::{pg, time, unsigned, utc};
use crate::error::Result;
use crate::record::broken;
use crate::requests::{
    REQUEST_STATE, ReplySummary, RequestFilter, RequestState, RequestSummary, UnconfirmedReply,
    WaitingRequests,
};

pub(super) async fn unconfirmed_replies(
    session: &Session,
    recipient: &RecipientName,
    limit: u32,
) -> Result<Vec<UnconfirmedReply>> {
    let sql = format!(
        "SELECT id, digest, rows, quarantined, {}, {} FROM slacktide.replies \
         WHERE recipient = $1 AND confirmed_at IS NULL ORDER BY stored_at, id LIMIT $2",
        utc("delivered_at"),
        utc("stored_at")
    );
    let rows = pg(session
        .client
        .query(&sql, &[&recipient.as_str(), &i64::from(limit)])
        .await)?;
    let read = |row: &Row| {
        let texts = |at: usize| pg(row.try_get::<_, String>(at));
        Ok(UnconfirmedReply {
            id: texts(0)?.parse().map_err(|_| broken("slacktide.replies"))?,
            reply: Digest::from_hex(&texts(1)?).map_err(|_| broken("slacktide.replies"))?,
            rows: unsigned(pg(row.try_get(2))?),
            quarantined: unsigned(pg(row.try_get(3))?),
            delivered_at: time(&texts(4)?)?,
            stored_at: time(&texts(5)?)?,
        })
    };
    rows.iter().map(read).collect()
}

pub(super) async fn list(
    session: &Session,
    recipient: &RecipientName,
    wanted: &RequestFilter,
) -> Result<Vec<RequestSummary>> {
    let times = ["filed_at", "deadline", "exchanged_at"].map(|column| utc(&format!("q.{column}")));
    let replied = ["delivered_at", "stored_at", "confirmed_at"].map(|column| utc(&format!("p.{column}")));
    let sql = format!(
        "SELECT q.id, q.kind, q.idempotency, q.filed_by, {}, {REQUEST_STATE}, coalesce(q.reason, p.reason), \
         p.outcome, p.code, p.digest, p.rows, p.quarantined, p.withheld, p.target, {} \
         FROM slacktide.requests q LEFT JOIN slacktide.replies p USING (recipient, id) \
         WHERE recipient = $1 AND ($2::text IS NULL OR q.kind = $2) AND ($3::text IS NULL OR {REQUEST_STATE} = $3) \
         AND ($4::text IS NULL OR p.outcome = $4) AND starts_with(q.id, $5) \
         AND ($6::text IS NULL OR q.filed_at >= $6::text::timestamptz) \
         ORDER BY q.filed_at DESC, q.id LIMIT $7",
        times.join(", "),
        replied.join(", ")
    );
    let rows = pg(session
        .client
        .query(
            &sql,
            &[
                &recipient.as_str(),
                &wanted.kind,
                &wanted.state.map(RequestState::word),
                &wanted.outcome,
                &wanted.prefix,
                &wanted.since.map(|at| at.to_string()),
                &wanted.limit.map(i64::from),
            ],
        )
        .await)?;
    rows.iter().map(read).collect()
}

pub(super) async fn count_waiting(session: &Session, recipient: &RecipientName) -> Result<WaitingRequests> {
    let sql = format!(
        "SELECT {REQUEST_STATE}, count(*), {} FROM slacktide.requests q LEFT JOIN slacktide.replies p USING (recipient, id) \
         WHERE recipient = $1 AND {REQUEST_STATE} IN ('kept', 'filed') GROUP BY 1",
        utc("min(q.filed_at)")
    );
    let mut waiting = WaitingRequests::default();
    for row in pg(session.client.query(&sql, &[&recipient.as_str()]).await)? {
        let count = unsigned(pg(row.try_get(1))?);
        let oldest: Option<String> = pg(row.try_get(2))?;
        if pg(row.try_get::<_, String>(0))? == RequestState::Kept.word() {
            waiting.kept = count;
        } else {
            waiting.filed = count;
        }
        let oldest = oldest.as_deref().map(time).transpose()?;
        waiting.oldest = waiting.oldest.into_iter().chain(oldest).min();
    }
    Ok(waiting)
}

pub(super) async fn unanswered(
    session: &Session,
    recipient: &RecipientName,
    ids: &[RequestId],
) -> Result<Vec<RequestId>> {
    let texts: Vec<String> = ids.iter().map(RequestId::to_string).collect();
    let rows = pg(session
        .client
        .query(
            "SELECT i FROM unnest($2::text[]) AS i WHERE NOT EXISTS (SELECT FROM slacktide.replies p \
             WHERE p.recipient = $1 AND p.id = i) ORDER BY i",
            &[&recipient.as_str(), &texts],
        )
        .await)?;
    let id = |row: &Row| {
        let text: String = pg(row.try_get(0))?;
        text.parse().map_err(|_| broken("slacktide.replies"))
    };
    rows.iter().map(id).collect()
}

fn read(row: &Row) -> Result<RequestSummary> {
    let broken = || broken("slacktide.requests or slacktide.replies");
    let text = |at: usize| pg(row.try_get::<_, Option<String>>(at));
    let word = |at: usize| text(at)?.ok_or_else(broken);
    let at = |at: usize| text(at)?.as_deref().map(time).transpose();
    let number = |at: usize| pg(row.try_get::<_, Option<i64>>(at)).map(|found| unsigned(found.unwrap_or(0)));
    let reply = match text(9)? {
        None => None,
        Some(outcome) => Some(ReplySummary {
            outcome,
            code: text(10)?,
            digest: Digest::from_hex(&word(11)?).map_err(|_| broken())?,
            rows: number(12)?,
            quarantined: number(13)?,
            withheld: number(14)?,
            table: text(15)?,
            delivered_at: at(16)?.ok_or_else(broken)?,
            stored_at: at(17)?.ok_or_else(broken)?,
            confirmed_at: at(18)?,
        }),
    };
    Ok(RequestSummary {
        id: word(0)?.parse().map_err(|_| broken())?,
        kind: word(1)?,
        idempotency: text(2)?,
        filed_by: word(3)?,
        filed_at: at(4)?.ok_or_else(broken)?,
        deadline: at(5)?,
        exchanged_at: at(6)?,
        state: RequestState::of_word(&word(7)?).ok_or_else(broken)?,
        reason: text(8)?,
        reply,
    })
}
