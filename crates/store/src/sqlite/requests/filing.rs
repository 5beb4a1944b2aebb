//! The outbox, and requests until they are at the exchange.

use jiff::Timestamp;
use rusqlite::{Connection, Transaction, params};
use schemas::digest::Digest;
use schemas::name::RecipientName;
use schemas::request::RequestId;

use super::super::records::int;
use super::super::tables::{begin, commit};
use super::{sql, unsigned, utc};
use crate::error::Result;
use crate::record::broken;
use crate::requests::answer::content_digest_of;
use crate::requests::outbox::OutboxRow;
use crate::requests::{Filing, FilingOutcome, KEY_TAKEN, Unpublished};

pub(super) fn outbox(connection: &mut Connection, limit: u32) -> Result<Vec<OutboxRow>> {
    let read = || {
        connection
            .prepare_cached(
                "SELECT number, idempotency, kind, arguments, purpose, basis, deadline, filed_by FROM slacktide_outbox \
                 WHERE state IS NULL ORDER BY number LIMIT ?1",
            )?
            .query_map([limit], |row| {
                Ok(OutboxRow {
                    number: unsigned(row.get(0)?),
                    idempotency: written(row, 1)?,
                    kind: written(row, 2)?,
                    arguments: written(row, 3)?,
                    purpose: written(row, 4)?,
                    basis: written(row, 5)?,
                    deadline: written(row, 6)?,
                    filed_by: written(row, 7)?,
                })
            })?
            .collect::<rusqlite::Result<Vec<_>>>()
    };
    sql(read())
}

/// Reads a text that a program wrote. A text column may hold bytes or invalid UTF-8: such a value counts as missing
/// and must not block the rows after it.
fn written(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<Option<String>> {
    Ok(row
        .get_ref(at)?
        .as_str_or_null()
        .ok()
        .flatten()
        .map(str::to_owned))
}

fn mark_refused(connection: &Connection, number: u64, reason: &str) -> Result<()> {
    let statement =
        "UPDATE slacktide_outbox SET state = 'refused', reason = ?2 WHERE number = ?1 AND state IS NULL";
    sql(connection.execute(statement, params![int(number), reason])).map(|_| ())
}

pub(super) fn refuse(connection: &mut Connection, number: u64, reason: &str) -> Result<()> {
    mark_refused(connection, number, reason)
}

pub(super) fn file(connection: &mut Connection, filing: &Filing) -> Result<FilingOutcome> {
    let tx = begin(connection)?;
    let filed = keep(&tx, filing)?;
    if let Some(number) = filing.outbox {
        match &filed {
            FilingOutcome::Kept => take(&tx, number, &filing.request.id)?,
            FilingOutcome::Known(id) => take(&tx, number, id)?,
            FilingOutcome::Contradicts(_) => mark_refused(&tx, number, KEY_TAKEN)?,
        }
    }
    commit(tx)?;
    Ok(filed)
}

fn take(tx: &Transaction<'_>, number: u64, id: &RequestId) -> Result<()> {
    let statement =
        "UPDATE slacktide_outbox SET state = 'taken', request = ?2 WHERE number = ?1 AND state IS NULL";
    sql(tx.execute(statement, params![int(number), id.to_string()])).map(|_| ())
}

fn keep(tx: &Transaction<'_>, filing: &Filing) -> Result<FilingOutcome> {
    let request = &filing.request;
    let (recipient, id) = (request.recipient.as_str(), request.id.to_string());
    let (content_digest, digest) = (content_digest_of(request).to_string(), filing.digest.to_string());
    let exchanged_at = filing.exchanged_at.map(utc);
    let kept = sql(tx.execute(
        "INSERT INTO slacktide_requests (recipient, id, kind, idempotency, content_digest, digest, bytes, filed_by, filed_at, \
         deadline, recorded_at, exchanged_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) \
         ON CONFLICT DO NOTHING",
        params![
            recipient,
            id,
            request.kind,
            request.idempotency,
            content_digest,
            digest,
            filing.bytes,
            request.filed_by,
            utc(request.filed_at),
            request.deadline.map(utc),
            utc(Timestamp::now()),
            exchanged_at,
        ],
    ))?;
    if kept == 1 {
        return Ok(FilingOutcome::Kept);
    }
    let (known, known_digest): (String, String) = sql(tx.query_row(
        "SELECT id, content_digest FROM slacktide_requests WHERE recipient = ?1 AND (id = ?2 OR idempotency = ?3) \
         ORDER BY id = ?2 DESC LIMIT 1",
        params![recipient, id, request.idempotency],
        |row| Ok((row.get(0)?, row.get(1)?)),
    ))?;
    let known: RequestId = known.parse().map_err(|_| broken("slacktide_requests"))?;
    if known_digest != content_digest {
        return Ok(FilingOutcome::Contradicts(known));
    }
    // The request at the exchange is authoritative, not the one that was signed here.
    if exchanged_at.is_some() && known == request.id {
        sql(tx.execute(
            "UPDATE slacktide_requests SET digest = ?3, bytes = ?4, reason = NULL, exchanged_at = ?5 \
             WHERE recipient = ?1 AND id = ?2",
            params![recipient, id, digest, filing.bytes, exchanged_at],
        ))?;
    }
    Ok(FilingOutcome::Known(known))
}

pub(super) fn unpublished(
    connection: &mut Connection,
    recipient: &RecipientName,
    limit: u32,
) -> Result<Vec<Unpublished>> {
    let read = || {
        connection
            .prepare_cached(
                "SELECT id, bytes FROM slacktide_requests WHERE recipient = ?1 AND exchanged_at IS NULL \
                 AND reason IS NULL ORDER BY recorded_at, id LIMIT ?2",
            )?
            .query_map(params![recipient.as_str(), limit], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?
            .collect::<rusqlite::Result<Vec<(String, Vec<u8>)>>>()
    };
    let one = |(id, bytes): (String, Vec<u8>)| {
        Ok(Unpublished {
            id: id.parse().map_err(|_| broken("slacktide_requests"))?,
            bytes,
        })
    };
    sql(read())?.into_iter().map(one).collect()
}

pub(super) fn mark_published(
    connection: &mut Connection,
    recipient: &RecipientName,
    id: &RequestId,
    at: Timestamp,
) -> Result<()> {
    let statement = "UPDATE slacktide_requests SET exchanged_at = ?3, reason = NULL \
         WHERE recipient = ?1 AND id = ?2 AND exchanged_at IS NULL";
    sql(connection.execute(statement, params![recipient.as_str(), id.to_string(), utc(at)])).map(|_| ())
}

pub(super) fn mark_not_filed(
    connection: &mut Connection,
    recipient: &RecipientName,
    id: &RequestId,
    reason: &str,
) -> Result<()> {
    let statement =
        "UPDATE slacktide_requests SET reason = ?3 WHERE recipient = ?1 AND id = ?2 AND exchanged_at IS NULL";
    sql(connection.execute(statement, params![recipient.as_str(), id.to_string(), reason])).map(|_| ())
}

pub(super) fn mark_confirmed(
    connection: &mut Connection,
    recipient: &RecipientName,
    id: &RequestId,
    reply: &Digest,
    at: Timestamp,
) -> Result<()> {
    let statement = "UPDATE slacktide_replies SET confirmed_at = ?4 \
         WHERE recipient = ?1 AND id = ?2 AND digest = ?3 AND confirmed_at IS NULL";
    let params = params![recipient.as_str(), id.to_string(), reply.to_string(), utc(at)];
    sql(connection.execute(statement, params)).map(|_| ())
}
