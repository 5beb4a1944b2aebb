//! The outbox, and requests on their way to the exchange.

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
use crate::requests::answer::asked_for;
use crate::requests::outbox::OutboxRow;
use crate::requests::{Filed, Filing, KEY_TAKEN, Unpublished};

pub(super) fn outbox(connection: &mut Connection, most: u32) -> Result<Vec<OutboxRow>> {
    let read = || {
        connection
            .prepare_cached(
                "SELECT number, idempotency, kind, arguments, purpose, basis, deadline, filed_by FROM slacktide_outbox \
                 WHERE state IS NULL ORDER BY number LIMIT ?1",
            )?
            .query_map([most], |row| {
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

/// What a program wrote. A column of texts may hold bytes all the same, and texts that are no
/// UTF-8: such a value is none, and must not keep the rows behind it from being read.
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

pub(super) fn file(connection: &mut Connection, filing: &Filing) -> Result<Filed> {
    let tx = begin(connection)?;
    let filed = keep(&tx, filing)?;
    if let Some(number) = filing.outbox {
        match &filed {
            Filed::Kept => take(&tx, number, &filing.request.id)?,
            Filed::Known(id) => take(&tx, number, id)?,
            Filed::Contradicts(_) => mark_refused(&tx, number, KEY_TAKEN)?,
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

fn keep(tx: &Transaction<'_>, filing: &Filing) -> Result<Filed> {
    let request = &filing.request;
    let (recipient, id) = (request.recipient.as_str(), request.id.to_string());
    let (wish, digest) = (asked_for(request).to_string(), filing.digest.to_string());
    let exchanged_at = filing.exchanged_at.map(utc);
    let kept = sql(tx.execute(
        "INSERT INTO slacktide_requests (recipient, id, kind, idempotency, wish, digest, bytes, filed_by, filed_at, \
         deadline, kept_at, exchanged_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) \
         ON CONFLICT DO NOTHING",
        params![
            recipient,
            id,
            request.kind,
            request.idempotency,
            wish,
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
        return Ok(Filed::Kept);
    }
    let (known, known_wish): (String, String) = sql(tx.query_row(
        "SELECT id, wish FROM slacktide_requests WHERE recipient = ?1 AND (id = ?2 OR idempotency = ?3) \
         ORDER BY id = ?2 DESC LIMIT 1",
        params![recipient, id, request.idempotency],
        |row| Ok((row.get(0)?, row.get(1)?)),
    ))?;
    let known: RequestId = known.parse().map_err(|_| broken("slacktide_requests"))?;
    if known_wish != wish {
        return Ok(Filed::Contradicts(known));
    }
    // What stands at the exchange is the request, whatever was signed here.
    if exchanged_at.is_some() && known == request.id {
        sql(tx.execute(
            "UPDATE slacktide_requests SET digest = ?3, bytes = ?4, reason = NULL, exchanged_at = ?5 \
             WHERE recipient = ?1 AND id = ?2",
            params![recipient, id, digest, filing.bytes, exchanged_at],
        ))?;
    }
    Ok(Filed::Known(known))
}

pub(super) fn unpublished(
    connection: &mut Connection,
    recipient: &RecipientName,
    most: u32,
) -> Result<Vec<Unpublished>> {
    let read = || {
        connection
            .prepare_cached(
                "SELECT id, bytes FROM slacktide_requests WHERE recipient = ?1 AND exchanged_at IS NULL \
                 AND reason IS NULL ORDER BY kept_at, id LIMIT ?2",
            )?
            .query_map(params![recipient.as_str(), most], |row| {
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

pub(super) fn published(
    connection: &mut Connection,
    recipient: &RecipientName,
    id: &RequestId,
    at: Timestamp,
) -> Result<()> {
    let statement = "UPDATE slacktide_requests SET exchanged_at = ?3, reason = NULL \
         WHERE recipient = ?1 AND id = ?2 AND exchanged_at IS NULL";
    sql(connection.execute(statement, params![recipient.as_str(), id.to_string(), utc(at)])).map(|_| ())
}

pub(super) fn not_filed(
    connection: &mut Connection,
    recipient: &RecipientName,
    id: &RequestId,
    reason: &str,
) -> Result<()> {
    let statement =
        "UPDATE slacktide_requests SET reason = ?3 WHERE recipient = ?1 AND id = ?2 AND exchanged_at IS NULL";
    sql(connection.execute(statement, params![recipient.as_str(), id.to_string(), reason])).map(|_| ())
}

pub(super) fn confirmed(
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
