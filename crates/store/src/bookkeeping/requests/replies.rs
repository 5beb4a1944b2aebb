//! The statements of a transaction that stores a reply.

use super::super::sql::optional;
use super::super::{LaneLock, Row, SqlSession, digest, json, values};
use crate::error::Result;
use crate::layout::LaneTables;
use crate::record::text;
use crate::requests::answer::code_and_reason;
use crate::requests::{ANOTHER_REPLY, ANOTHER_REQUEST, ReceivedReply, ReplyOutcome};
use crate::table::shape::Shape;

/// The recorded request of a reply, as far as it decides about the reply.
#[derive(Debug)]
pub(crate) enum KnownRequest {
    /// Its reply may be stored: the request's kind.
    Open(String),
    /// Nothing is stored.
    Decided(ReplyOutcome),
}

/// Finds the request of a reply.
pub(crate) async fn find_request<S: SqlSession>(
    session: &S,
    received: &ReceivedReply,
) -> Result<KnownRequest> {
    let reply = &received.reply;
    let sql = "SELECT q.kind, q.digest, p.digest FROM slacktide.requests q LEFT JOIN slacktide.replies p \
         ON p.recipient = q.recipient AND p.id = q.id WHERE q.recipient = $1 AND q.id = $2";
    let id = reply.id.to_string();
    let read = |row: &dyn Row| Ok((row.text(0)?, row.text(1)?, row.optional_text(2)?));
    let found = optional(session, sql, &values![reply.recipient.as_str(), &id], read).await?;
    let Some((kind, request, stored)) = found else {
        return Ok(KnownRequest::Decided(ReplyOutcome::Unknown));
    };
    let contradicts = |reason: &str| {
        KnownRequest::Decided(ReplyOutcome::Contradicts {
            reason: reason.to_owned(),
        })
    };
    let stored = stored.map(|text| digest::<S>("replies", &text)).transpose()?;
    Ok(match stored {
        Some(stored) if stored == received.digest => KnownRequest::Decided(ReplyOutcome::AlreadyStored),
        Some(_) => contradicts(ANOTHER_REPLY),
        None if digest::<S>("requests", &request)? != reply.request => contradicts(ANOTHER_REQUEST),
        None => KnownRequest::Open(kind),
    })
}

/// Returns the shape of a kind's table and the number of its last reply.
pub(crate) async fn answer_table<S: SqlSession>(
    session: &S,
    target: &LaneTables,
    kind: &str,
    lock: LaneLock,
) -> Result<Option<(Shape, u64)>> {
    let sql = format!(
        "SELECT columns, number FROM slacktide.answers WHERE recipient = $1 AND kind = $2 {}",
        S::row_lock(lock)
    );
    let values = values![target.lane.recipient.as_str(), kind];
    let read = |row: &dyn Row| Ok((json::<S, Shape>("answers", &row.text(0)?)?, row.unsigned(1)?));
    optional(session, &sql, &values, read).await
}

/// Writes the shape of a kind's table.
pub(crate) async fn save_answer_table<S: SqlSession>(
    session: &S,
    target: &LaneTables,
    kind: &str,
    shape: &Shape,
) -> Result<()> {
    let sql = "INSERT INTO slacktide.answers (recipient, kind, columns, number) VALUES ($1, $2, $3, 0) \
         ON CONFLICT (recipient, kind) DO UPDATE SET columns = excluded.columns";
    let shape = text(shape)?;
    let values = values![target.lane.recipient.as_str(), kind, &shape];
    session.execute(sql, &values).await.map(|_| ())
}

/// Writes the number of a kind's last reply.
pub(crate) async fn save_answer_number<S: SqlSession>(
    session: &S,
    target: &LaneTables,
    kind: &str,
    number: u64,
) -> Result<()> {
    let sql = "UPDATE slacktide.answers SET number = $3 WHERE recipient = $1 AND kind = $2";
    let values = values![target.lane.recipient.as_str(), kind, number];
    session.execute(sql, &values).await.map(|_| ())
}

/// Writes the reply's row; `false` if there is one. `table` has its rows, if there are any.
pub(crate) async fn note<S: SqlSession>(
    session: &S,
    received: &ReceivedReply,
    table: Option<&str>,
) -> Result<bool> {
    let reply = &received.reply;
    let (code, reason) = code_and_reason(&reply.outcome);
    let (id, digest) = (reply.id.to_string(), received.digest.to_string());
    let sql = "INSERT INTO slacktide.replies (recipient, id, digest, bytes, outcome, code, reason, rows, quarantined, \
         withheld, target, exchanged_at, delivered_at, stored_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, $9, $10, \
         $11, $12, clock_timestamp()) ON CONFLICT DO NOTHING";
    let values = values![
        reply.recipient.as_str(),
        &id,
        &digest,
        received.bytes.as_slice(),
        reply.outcome.name(),
        code.as_deref(),
        reason.as_deref(),
        reply.outcome.rows(),
        reply.withheld,
        table,
        received.exchanged_at,
        received.delivered_at
    ];
    Ok(session.execute(sql, &values).await? == 1)
}

/// Keeps a refused row of a reply under its number in the answer, from 1.
pub(crate) async fn keep_refused<S: SqlSession>(
    session: &S,
    received: &ReceivedReply,
    row_number: u64,
    reason: &str,
    bytes: &[u8],
) -> Result<()> {
    let sql = "INSERT INTO slacktide.answers_refused VALUES ($1, $2, $3, $4, $5)";
    let id = received.reply.id.to_string();
    let values = values![received.reply.recipient.as_str(), &id, row_number, reason, bytes];
    session.execute(sql, &values).await.map(|_| ())
}

/// Corrects a reply's counts by its refused rows, and returns the number of stored rows.
pub(crate) async fn count_refused<S: SqlSession>(
    session: &S,
    received: &ReceivedReply,
    refused: u64,
) -> Result<u64> {
    let rows = received.reply.outcome.rows().saturating_sub(refused);
    if refused > 0 {
        let sql = "UPDATE slacktide.replies SET rows = $3, quarantined = $4 WHERE recipient = $1 AND id = $2";
        let id = received.reply.id.to_string();
        let values = values![received.reply.recipient.as_str(), &id, rows, refused];
        session.execute(sql, &values).await?;
    }
    Ok(rows)
}
