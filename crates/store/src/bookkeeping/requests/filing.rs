//! The outbox, and requests until they are at the exchange.

use jiff::Timestamp;
use schemas::digest::Digest;
use schemas::name::RecipientName;
use schemas::request::RequestId;

use super::super::sql::one;
use super::super::{Begin, Field, Row, SqlSession, values};
use super::request_id;
use crate::error::Result;
use crate::requests::answer::content_digest_of;
use crate::requests::outbox::OutboxRow;
use crate::requests::{Filing, FilingOutcome, KEY_TAKEN, Unpublished};

/// Returns unread rows of the outbox, in the order they were written.
pub(crate) async fn outbox<S: SqlSession>(session: &S, limit: u32) -> Result<Vec<OutboxRow>> {
    let sql = "SELECT number, idempotency, kind, arguments, purpose, basis, deadline, filed_by FROM slacktide.outbox \
         WHERE state IS NULL ORDER BY number LIMIT $1";
    let read = |row: &dyn Row| {
        Ok(OutboxRow {
            number: row.unsigned(0)?,
            idempotency: written(row, 1),
            kind: written(row, 2),
            arguments: written(row, 3),
            purpose: written(row, 4),
            basis: written(row, 5),
            deadline: written(row, 6),
            filed_by: written(row, 7),
        })
    };
    session.query(sql, &values![limit], read).await
}

/// Reads a text that a program wrote. SQLite's text columns may hold bytes or invalid UTF-8: such a value counts as
/// missing and must not block the rows after it.
fn written(row: &dyn Row, at: usize) -> Option<String> {
    match row.field(at) {
        Ok(Field::Text(text)) => Some(text.to_owned()),
        _ => None,
    }
}

/// Marks an invalid row of the outbox with the reason.
pub(crate) async fn refuse<S: SqlSession>(session: &S, number: u64, reason: &str) -> Result<()> {
    let sql =
        "UPDATE slacktide.outbox SET state = 'refused', reason = $2 WHERE number = $1 AND state IS NULL";
    session.execute(sql, &values![number, reason]).await.map(|_| ())
}

/// Records a request and marks its row in the outbox, in its own transaction.
pub(crate) async fn file<S: SqlSession>(session: &S, filing: &Filing) -> Result<FilingOutcome> {
    session.begin(Begin::Bookkeeping).await?;
    let filed = keep(session, filing).await?;
    if let Some(number) = filing.outbox {
        match &filed {
            FilingOutcome::Kept => take(session, number, &filing.request.id).await?,
            FilingOutcome::Known(id) => take(session, number, id).await?,
            FilingOutcome::Contradicts(_) => refuse(session, number, KEY_TAKEN).await?,
        }
    }
    session.commit().await?;
    Ok(filed)
}

async fn take<S: SqlSession>(session: &S, number: u64, id: &RequestId) -> Result<()> {
    let sql = "UPDATE slacktide.outbox SET state = 'taken', request = $2 WHERE number = $1 AND state IS NULL";
    let id = id.to_string();
    session.execute(sql, &values![number, &id]).await.map(|_| ())
}

async fn keep<S: SqlSession>(session: &S, filing: &Filing) -> Result<FilingOutcome> {
    let request = &filing.request;
    let (recipient, id) = (request.recipient.as_str(), request.id.to_string());
    let (content_digest, digest) = (content_digest_of(request).to_string(), filing.digest.to_string());
    let sql = "INSERT INTO slacktide.requests (recipient, id, kind, idempotency, content_digest, digest, bytes, filed_by, \
         filed_at, deadline, recorded_at, exchanged_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, clock_timestamp(), $11) \
         ON CONFLICT DO NOTHING";
    let new = values![
        recipient,
        &id,
        &request.kind,
        request.idempotency.as_deref(),
        &content_digest,
        &digest,
        filing.bytes.as_slice(),
        &request.filed_by,
        request.filed_at,
        request.deadline,
        filing.exchanged_at
    ];
    if session.execute(sql, &new).await? == 1 {
        return Ok(FilingOutcome::Kept);
    }
    let sql = "SELECT id, content_digest FROM slacktide.requests WHERE recipient = $1 AND (id = $2 OR idempotency = $3) \
         ORDER BY id = $2 DESC LIMIT 1";
    let key = values![recipient, &id, request.idempotency.as_deref()];
    let known = |row: &dyn Row| Ok((request_id::<S>(row, 0)?, row.text(1)?));
    let (known, known_digest) = one(session, sql, &key, known).await?;
    if known_digest != content_digest {
        return Ok(FilingOutcome::Contradicts(known));
    }
    // The request at the exchange is authoritative, not the one that was signed here.
    if filing.exchanged_at.is_some() && known == request.id {
        let sql = "UPDATE slacktide.requests SET digest = $3, bytes = $4, reason = NULL, exchanged_at = $5 \
             WHERE recipient = $1 AND id = $2";
        let found = values![
            recipient,
            &id,
            &digest,
            filing.bytes.as_slice(),
            filing.exchanged_at
        ];
        session.execute(sql, &found).await?;
    }
    Ok(FilingOutcome::Known(known))
}

/// Returns recorded requests that are not at the exchange yet, the oldest first.
pub(crate) async fn unpublished<S: SqlSession>(
    session: &S,
    recipient: &RecipientName,
    limit: u32,
) -> Result<Vec<Unpublished>> {
    let sql = "SELECT id, bytes FROM slacktide.requests WHERE recipient = $1 AND exchanged_at IS NULL AND reason IS NULL \
         ORDER BY recorded_at, id LIMIT $2";
    let read = |row: &dyn Row| {
        Ok(Unpublished {
            id: request_id::<S>(row, 0)?,
            bytes: row.bytes(1)?,
        })
    };
    session
        .query(sql, &values![recipient.as_str(), limit], read)
        .await
}

/// Records that the exchange has stored a request.
pub(crate) async fn mark_published<S: SqlSession>(
    session: &S,
    recipient: &RecipientName,
    id: &RequestId,
    at: Timestamp,
) -> Result<()> {
    let sql = "UPDATE slacktide.requests SET exchanged_at = $3, reason = NULL \
         WHERE recipient = $1 AND id = $2 AND exchanged_at IS NULL";
    let id = id.to_string();
    session
        .execute(sql, &values![recipient.as_str(), &id, at])
        .await
        .map(|_| ())
}

/// Records that the exchange refuses a request, and why.
pub(crate) async fn mark_not_filed<S: SqlSession>(
    session: &S,
    recipient: &RecipientName,
    id: &RequestId,
    reason: &str,
) -> Result<()> {
    let sql =
        "UPDATE slacktide.requests SET reason = $3 WHERE recipient = $1 AND id = $2 AND exchanged_at IS NULL";
    let id = id.to_string();
    session
        .execute(sql, &values![recipient.as_str(), &id, reason])
        .await
        .map(|_| ())
}

/// Records that the confirmation of a reply is at the exchange.
pub(crate) async fn mark_confirmed<S: SqlSession>(
    session: &S,
    recipient: &RecipientName,
    id: &RequestId,
    reply: &Digest,
    at: Timestamp,
) -> Result<()> {
    let sql = "UPDATE slacktide.replies SET confirmed_at = $4 \
         WHERE recipient = $1 AND id = $2 AND digest = $3 AND confirmed_at IS NULL";
    let (id, reply) = (id.to_string(), reply.to_string());
    session
        .execute(sql, &values![recipient.as_str(), &id, &reply, at])
        .await
        .map(|_| ())
}
