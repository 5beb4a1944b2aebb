//! The outbox, and requests until they are at the exchange.

use jiff::Timestamp;
use schemas::digest::Digest;
use schemas::name::RecipientName;
use schemas::request::RequestId;

use super::super::records::int;
use super::super::session::Session;
use super::{pg, unsigned};
use crate::error::Result;
use crate::record::broken;
use crate::requests::answer::content_digest_of;
use crate::requests::outbox::OutboxRow;
use crate::requests::{Filing, FilingOutcome, KEY_TAKEN, Unpublished};

pub(super) async fn outbox(session: &Session, limit: u32) -> Result<Vec<OutboxRow>> {
    let rows = pg(session
        .client
        .query(
            "SELECT number, idempotency, kind, arguments, purpose, basis, deadline, filed_by FROM slacktide.outbox \
             WHERE state IS NULL ORDER BY number LIMIT $1",
            &[&i64::from(limit)],
        )
        .await)?;
    let read = |row: &tokio_postgres::Row| {
        Ok(OutboxRow {
            number: unsigned(pg(row.try_get(0))?),
            idempotency: pg(row.try_get(1))?,
            kind: pg(row.try_get(2))?,
            arguments: pg(row.try_get(3))?,
            purpose: pg(row.try_get(4))?,
            basis: pg(row.try_get(5))?,
            deadline: pg(row.try_get(6))?,
            filed_by: pg(row.try_get(7))?,
        })
    };
    rows.iter().map(read).collect()
}

pub(super) async fn refuse(session: &Session, number: u64, reason: &str) -> Result<()> {
    let sql =
        "UPDATE slacktide.outbox SET state = 'refused', reason = $2 WHERE number = $1 AND state IS NULL";
    pg(session.client.execute(sql, &[&int(number), &reason]).await).map(|_| ())
}

pub(super) async fn file(session: &Session, filing: &Filing) -> Result<FilingOutcome> {
    session.begin("").await?;
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

async fn take(session: &Session, number: u64, id: &RequestId) -> Result<()> {
    let sql = "UPDATE slacktide.outbox SET state = 'taken', request = $2 WHERE number = $1 AND state IS NULL";
    pg(session
        .client
        .execute(sql, &[&int(number), &id.to_string()])
        .await)
    .map(|_| ())
}

async fn keep(session: &Session, filing: &Filing) -> Result<FilingOutcome> {
    let request = &filing.request;
    let (recipient, id) = (request.recipient.as_str(), request.id.to_string());
    let (content_digest, digest) = (content_digest_of(request).to_string(), filing.digest.to_string());
    let exchanged_at = filing.exchanged_at.map(|at| at.to_string());
    let kept = pg(session
        .client
        .execute(
            "INSERT INTO slacktide.requests (recipient, id, kind, idempotency, content_digest, digest, bytes, filed_by, filed_at, \
             deadline, recorded_at, exchanged_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::text::timestamptz, \
             $10::text::timestamptz, clock_timestamp(), $11::text::timestamptz) ON CONFLICT DO NOTHING",
            &[
                &recipient,
                &id,
                &request.kind,
                &request.idempotency,
                &content_digest,
                &digest,
                &filing.bytes,
                &request.filed_by,
                &request.filed_at.to_string(),
                &request.deadline.map(|at| at.to_string()),
                &exchanged_at,
            ],
        )
        .await)?;
    if kept == 1 {
        return Ok(FilingOutcome::Kept);
    }
    let row = pg(session
        .client
        .query_one(
            "SELECT id, content_digest FROM slacktide.requests WHERE recipient = $1 AND (id = $2 OR idempotency = $3) \
             ORDER BY id = $2 DESC LIMIT 1",
            &[&recipient, &id, &request.idempotency],
        )
        .await)?;
    let (known, known_digest): (String, String) = (pg(row.try_get(0))?, pg(row.try_get(1))?);
    let known: RequestId = known.parse().map_err(|_| broken("slacktide.requests"))?;
    if known_digest != content_digest {
        return Ok(FilingOutcome::Contradicts(known));
    }
    // The request at the exchange is authoritative, not the one that was signed here.
    if exchanged_at.is_some() && known == request.id {
        pg(session
            .client
            .execute(
                "UPDATE slacktide.requests SET digest = $3, bytes = $4, reason = NULL, \
                 exchanged_at = $5::text::timestamptz WHERE recipient = $1 AND id = $2",
                &[&recipient, &id, &digest, &filing.bytes, &exchanged_at],
            )
            .await)?;
    }
    Ok(FilingOutcome::Known(known))
}

pub(super) async fn unpublished(
    session: &Session,
    recipient: &RecipientName,
    limit: u32,
) -> Result<Vec<Unpublished>> {
    let rows = pg(session
        .client
        .query(
            "SELECT id, bytes FROM slacktide.requests WHERE recipient = $1 AND exchanged_at IS NULL AND reason IS NULL \
             ORDER BY recorded_at, id LIMIT $2",
            &[&recipient.as_str(), &i64::from(limit)],
        )
        .await)?;
    let read = |row: &tokio_postgres::Row| {
        let id: String = pg(row.try_get(0))?;
        Ok(Unpublished {
            id: id.parse().map_err(|_| broken("slacktide.requests"))?,
            bytes: pg(row.try_get(1))?,
        })
    };
    rows.iter().map(read).collect()
}

pub(super) async fn mark_published(
    session: &Session,
    recipient: &RecipientName,
    id: &RequestId,
    at: Timestamp,
) -> Result<()> {
    let sql = "UPDATE slacktide.requests SET exchanged_at = $3::text::timestamptz, reason = NULL \
         WHERE recipient = $1 AND id = $2 AND exchanged_at IS NULL";
    pg(session
        .client
        .execute(sql, &[&recipient.as_str(), &id.to_string(), &at.to_string()])
        .await)
    .map(|_| ())
}

pub(super) async fn mark_not_filed(
    session: &Session,
    recipient: &RecipientName,
    id: &RequestId,
    reason: &str,
) -> Result<()> {
    let sql =
        "UPDATE slacktide.requests SET reason = $3 WHERE recipient = $1 AND id = $2 AND exchanged_at IS NULL";
    pg(session
        .client
        .execute(sql, &[&recipient.as_str(), &id.to_string(), &reason])
        .await)
    .map(|_| ())
}

pub(super) async fn mark_confirmed(
    session: &Session,
    recipient: &RecipientName,
    id: &RequestId,
    reply: &Digest,
    at: Timestamp,
) -> Result<()> {
    let sql = "UPDATE slacktide.replies SET confirmed_at = $4::text::timestamptz \
         WHERE recipient = $1 AND id = $2 AND digest = $3 AND confirmed_at IS NULL";
    let (id, reply, at) = (id.to_string(), reply.to_string(), at.to_string());
    pg(session
        .client
        .execute(sql, &[&recipient.as_str(), &id, &reply, &at])
        .await)
    .map(|_| ())
}
