//! Stores a reply with its rows and its table in one transaction.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use schemas::digest::Digest;

use super::super::records::int;
use super::super::rows::{self, ChunkTarget, RolledBackRows};
use super::super::steps;
use super::super::tables::{begin, commit};
use super::{sql, unsigned, utc};
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{Database, Options};
use crate::merge::ChunkNumber;
use crate::record::{broken, text};
use crate::requests::answer::{arrival, change, code_and_reason, columns, target, whole};
use crate::requests::{ANOTHER_REPLY, ANOTHER_REQUEST, ReceivedReply, ReplyOutcome};
use crate::table::shape::Shape;

pub(super) fn store(
    connection: &mut Connection,
    options: &Options,
    received: &ReceivedReply,
) -> Result<ReplyOutcome> {
    if let Err(reason) = whole(received) {
        return Ok(ReplyOutcome::Contradicts { reason });
    }
    // One for each part.
    let mut undone: Vec<RolledBackRows> = received.parts.iter().map(|_| RolledBackRows::default()).collect();
    loop {
        let done = once(connection, options, received, &mut undone);
        let is_undone = undone.iter_mut().any(RolledBackRows::take);
        if done.is_ok() || !is_undone {
            return done;
        }
    }
}

fn once(
    connection: &mut Connection,
    options: &Options,
    received: &ReceivedReply,
    undone: &mut [RolledBackRows],
) -> Result<ReplyOutcome> {
    let tx = begin(connection)?;
    let kind = match known(&tx, received)? {
        Ok(kind) => kind,
        Err(outcome) => return Ok(outcome),
    };
    let (refused, table) = match store_rows(&tx, options, &kind, received, undone)? {
        Ok(done) => done,
        Err(reason) => return Ok(ReplyOutcome::Contradicts { reason }),
    };
    let rows = received.reply.outcome.rows().saturating_sub(refused);
    note(&tx, received, rows, refused, table.as_deref())?;
    commit(tx)?;
    Ok(ReplyOutcome::Stored {
        rows,
        quarantined: refused,
    })
}

/// Returns the request's kind if its reply may be stored.
fn known(
    tx: &Transaction<'_>,
    received: &ReceivedReply,
) -> Result<std::result::Result<String, ReplyOutcome>> {
    let reply = &received.reply;
    let found: Option<(String, String, Option<String>)> = sql(tx
        .query_row(
            "SELECT q.kind, q.digest, p.digest FROM slacktide_requests q LEFT JOIN slacktide_replies p \
             ON p.recipient = q.recipient AND p.id = q.id WHERE q.recipient = ?1 AND q.id = ?2",
            params![reply.recipient.as_str(), reply.id.to_string()],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .optional())?;
    let Some((kind, request, stored)) = found else {
        return Ok(Err(ReplyOutcome::Unknown));
    };
    let digest = |text: &str| Digest::from_hex(text).map_err(|_| broken("slacktide_requests"));
    let contradicts = |reason: &str| {
        Err(ReplyOutcome::Contradicts {
            reason: reason.to_owned(),
        })
    };
    Ok(match stored.as_deref().map(digest).transpose()? {
        Some(stored) if stored == received.digest => Err(ReplyOutcome::AlreadyStored),
        Some(_) => contradicts(ANOTHER_REPLY),
        None if digest(&request)? != reply.request => contradicts(ANOTHER_REQUEST),
        None => Ok(kind),
    })
}

/// Stores the parts' rows. Returns the number of refused rows and the table of the others, or why they can never be
/// stored.
fn store_rows(
    tx: &Transaction<'_>,
    options: &Options,
    kind: &str,
    received: &ReceivedReply,
    undone: &mut [RolledBackRows],
) -> Result<std::result::Result<(u64, Option<String>), String>> {
    let Some(first) = received.parts.first() else {
        return Ok(Ok((0, None)));
    };
    let recipient = &received.reply.recipient;
    let target = match target(options, Database::Sqlite, recipient, kind) {
        Ok(target) => target,
        Err(reason) => return Ok(Err(reason)),
    };
    let found: Option<(String, i64)> = sql(tx
        .query_row(
            "SELECT columns, number FROM slacktide_answers WHERE recipient = ?1 AND kind = ?2",
            params![recipient.as_str(), kind],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional())?;
    let known: Option<Shape> = found
        .as_ref()
        .map(|(columns, _)| serde_json::from_str(columns).map_err(|_| broken("slacktide_answers")))
        .transpose()?;
    let number = found.map_or(0, |(_, number)| unsigned(number)) + 1;
    let (schema, chunk_number) = (columns(&first.part.schema), ChunkNumber { epoch: 1, number });
    let shape = match (change(known.as_ref(), &schema, chunk_number, &target)?, known) {
        (Some(change), before) => {
            steps::apply(tx, &target, before.as_ref(), &change)?;
            change.shape
        }
        (None, Some(shape)) => shape,
        (None, None) => return Err(broken("slacktide_answers")),
    };
    sql(tx.execute(
        "INSERT OR REPLACE INTO slacktide_answers VALUES (?1, ?2, ?3, ?4)",
        params![recipient.as_str(), kind, text(&shape)?, int(number)],
    ))?;
    steps::prepare_tables(tx, &target, &shape)?;
    let tables = ChunkTarget {
        layout: &target.layout,
        shape: &shape,
        first: 0,
        is_whole: false,
    };
    let id = received.reply.id.to_string();
    let (mut before, mut refused) = (0, 0);
    for (part, undone) in received.parts.iter().zip(undone) {
        let chunk =
            arrival(part, &schema, (number, before), &target, received.exchanged_at).map_err(|error| {
                Error::new(
                    ErrorKind::Database,
                    format!("an opened part does not read: {error}"),
                    "report it",
                )
            })?;
        for row in rows::store(tx, &target.lane, &tables, &chunk, undone)?.refused {
            refused += 1;
            let row_number = int(before + row.ordinal + 1);
            sql(tx.execute(
                "INSERT INTO slacktide_answers_refused VALUES (?1, ?2, ?3, ?4, ?5)",
                params![recipient.as_str(), id, row_number, row.reason, row.bytes],
            ))?;
        }
        before += part.part.totals.rows;
    }
    Ok(Ok((refused, Some(target.layout.sql(&target.layout.table)))))
}

fn note(
    tx: &Transaction<'_>,
    received: &ReceivedReply,
    rows: u64,
    refused: u64,
    table: Option<&str>,
) -> Result<()> {
    let reply = &received.reply;
    let (code, reason) = code_and_reason(&reply.outcome);
    sql(tx.execute(
        "INSERT INTO slacktide_replies (recipient, id, digest, bytes, outcome, code, reason, rows, quarantined, withheld, \
         target, exchanged_at, delivered_at, stored_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        params![
            reply.recipient.as_str(),
            reply.id.to_string(),
            received.digest.to_string(),
            received.bytes,
            reply.outcome.name(),
            code,
            reason,
            int(rows),
            int(refused),
            int(reply.withheld),
            table,
            utc(received.exchanged_at),
            utc(received.delivered_at),
            utc(Timestamp::now()),
        ],
    ))
    .map(|_| ())
}
