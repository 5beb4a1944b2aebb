//! Stores a reply with its rows in one transaction.
//!
//! The table of its kind is created or widened before, in its own transaction, like feeds' tables. The reply's own
//! row is written first: a process that stores the same reply concurrently waits for it and finds it.

use schemas::column::RowSchema;
use schemas::digest::Digest;

use super::super::records::int;
use super::super::rows::{Target as Rows, stage};
use super::super::session::{IMMEDIATE, Session};
use super::super::{MAX_TRIES, failure, jitter, ownership, steps, tables};
use super::{pg, unsigned};
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{Database, LaneTables, Options, Role};
use crate::merge::ChunkNumber;
use crate::record::{broken, text};
use crate::requests::answer::{arrival, change, code_and_reason, columns, target, whole};
use crate::requests::{ANOTHER_REPLY, ANOTHER_REQUEST, ReceivedReply, ReplyOutcome};
use crate::table::shape::Shape;

pub(super) async fn store(
    session: &mut Session,
    options: &Options,
    received: &ReceivedReply,
) -> Result<ReplyOutcome> {
    if let Err(reason) = whole(received) {
        return Ok(ReplyOutcome::Contradicts { reason });
    }
    let mut tries = 0;
    loop {
        let done = once(session, options, received).await;
        if !matches!(done, Ok(Some(ReplyOutcome::Stored { .. }))) {
            session.rollback().await;
        }
        match done {
            Ok(Some(outcome)) => return Ok(outcome),
            Err(error) if error.kind != ErrorKind::Contended => return Err(error),
            Ok(None) | Err(_) => tries += 1,
        }
        if tries >= MAX_TRIES {
            return Err(failure::contended());
        }
        tokio::time::sleep(jitter(tries)).await;
    }
}

/// The target of rows, as read before the transaction.
struct Destination {
    kind: String,
    target: LaneTables,
    schema: RowSchema,
    shape: Shape,
}

/// Stores a reply once. Returns `None` if another process changed the table meanwhile.
async fn once(
    session: &mut Session,
    options: &Options,
    received: &ReceivedReply,
) -> Result<Option<ReplyOutcome>> {
    let kind = match known(session, received).await? {
        Ok(kind) => kind,
        Err(outcome) => return Ok(Some(outcome)),
    };
    let into = match received.parts.first() {
        None => None,
        Some(part) => {
            let schema = columns(&part.part.schema);
            let target = match target(options, Database::Postgres, &received.reply.recipient, &kind) {
                Ok(target) => target,
                Err(reason) => return Ok(Some(ReplyOutcome::Contradicts { reason })),
            };
            let shape = ensure(session, &target, &kind, &schema).await?;
            let mapping = shape.mapping(&schema, chunk_number(i64::MAX.unsigned_abs()), &target.layout);
            let staged = stage(session, &target.layout, &target.lane, &shape, &mapping).await;
            if let Err(error) = staged {
                return match ownership::explain(session, &target, error).await {
                    Some(error) => Err(error),
                    None => Ok(None),
                };
            }
            Some(Destination {
                kind,
                target,
                schema,
                shape,
            })
        }
    };
    session.begin(IMMEDIATE).await?;
    if !note(session, received, into.as_ref()).await? {
        session.rollback().await;
        return Ok(known(session, received).await?.err());
    }
    let (mut rows, mut quarantined) = (received.reply.outcome.rows(), 0);
    if let Some(into) = &into {
        match store_rows(session, received, into).await? {
            None => return Ok(None),
            Some(refused) => quarantined = refused,
        }
        rows = rows.saturating_sub(quarantined);
        pg(session
            .client
            .execute(
                "UPDATE slacktide.replies SET rows = $3, quarantined = $4 WHERE recipient = $1 AND id = $2",
                &[
                    &received.reply.recipient.as_str(),
                    &received.reply.id.to_string(),
                    &int(rows),
                    &int(quarantined),
                ],
            )
            .await)?;
    }
    session.commit().await?;
    Ok(Some(ReplyOutcome::Stored { rows, quarantined }))
}

fn chunk_number(number: u64) -> ChunkNumber {
    ChunkNumber { epoch: 1, number }
}

/// Returns the request's kind if its reply may be stored.
async fn known(
    session: &Session,
    received: &ReceivedReply,
) -> Result<std::result::Result<String, ReplyOutcome>> {
    let reply = &received.reply;
    let found = pg(session
        .client
        .query_opt(
            "SELECT q.kind, q.digest, p.digest FROM slacktide.requests q LEFT JOIN slacktide.replies p \
             USING (recipient, id) WHERE recipient = $1 AND id = $2",
            &[&reply.recipient.as_str(), &reply.id.to_string()],
        )
        .await)?;
    let Some(row) = found else {
        return Ok(Err(ReplyOutcome::Unknown));
    };
    let digest = |text: &str| Digest::from_hex(text).map_err(|_| broken("slacktide.requests"));
    let (request, stored): (String, Option<String>) = (pg(row.try_get(1))?, pg(row.try_get(2))?);
    let contradicts = |reason: &str| {
        Err(ReplyOutcome::Contradicts {
            reason: reason.to_owned(),
        })
    };
    Ok(match stored.as_deref().map(digest).transpose()? {
        Some(stored) if stored == received.digest => Err(ReplyOutcome::AlreadyStored),
        Some(_) => contradicts(ANOTHER_REPLY),
        None if digest(&request)? != reply.request => contradicts(ANOTHER_REQUEST),
        None => Ok(pg(row.try_get(0))?),
    })
}

/// Returns the shape of a kind's table and the number of its last reply.
async fn answers(
    session: &Session,
    target: &LaneTables,
    kind: &str,
    row_lock: &str,
) -> Result<Option<(Shape, u64)>> {
    let sql = format!(
        "SELECT columns, number FROM slacktide.answers WHERE recipient = $1 AND kind = $2 {row_lock}"
    );
    let found = pg(session
        .client
        .query_opt(&sql, &[&target.lane.recipient.as_str(), &kind])
        .await)?;
    let Some(row) = found else { return Ok(None) };
    let columns: String = pg(row.try_get(0))?;
    let shape = serde_json::from_str(&columns).map_err(|_| broken("slacktide.answers"))?;
    Ok(Some((shape, unsigned(pg(row.try_get(1))?))))
}

/// Creates or widens the kind's table.
async fn ensure(session: &Session, target: &LaneTables, kind: &str, schema: &RowSchema) -> Result<Shape> {
    for row_lock in ["", "FOR UPDATE"] {
        let known = answers(session, target, kind, row_lock).await?;
        let number = known.as_ref().map_or(0, |(_, number)| *number);
        let shape = known.map(|(shape, _)| shape);
        let next = change(shape.as_ref(), schema, chunk_number(number + 1), target)?;
        match (next, shape) {
            (None, Some(shape)) if row_lock.is_empty() => {
                let is_due = ownership::is_adoption_due(session, target).await?;
                if !is_due && !steps::is_form_missing(session, target, &shape).await? {
                    return Ok(shape);
                }
                session.begin(&tables::locked()).await?;
            }
            (None, Some(shape)) => {
                steps::adopt(session, target, &shape).await?;
                session.commit().await?;
                return Ok(shape);
            }
            (Some(change), before) if !row_lock.is_empty() => {
                steps::apply(session, target, before.as_ref(), &change).await?;
                pg(session
                    .client
                    .execute(
                        "INSERT INTO slacktide.answers VALUES ($1, $2, $3, 0) \
                         ON CONFLICT (recipient, kind) DO UPDATE SET columns = excluded.columns",
                        &[&target.lane.recipient.as_str(), &kind, &text(&change.shape)?],
                    )
                    .await)?;
                session.commit().await?;
                return Ok(change.shape);
            }
            _ => {
                session.begin(&tables::locked()).await?;
            }
        }
    }
    Err(failure::contended())
}

/// Writes the reply's row; `false` if there is one.
async fn note(session: &Session, received: &ReceivedReply, into: Option<&Destination>) -> Result<bool> {
    let reply = &received.reply;
    let (code, reason) = code_and_reason(&reply.outcome);
    let table = into.map(|into| into.target.layout.sql(&into.target.layout.table));
    let written = pg(session
        .client
        .execute(
            "INSERT INTO slacktide.replies (recipient, id, digest, bytes, outcome, code, reason, rows, quarantined, \
             withheld, target, exchanged_at, delivered_at, stored_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, $9, $10, \
             $11::text::timestamptz, $12::text::timestamptz, clock_timestamp()) ON CONFLICT DO NOTHING",
            &[
                &reply.recipient.as_str(),
                &reply.id.to_string(),
                &received.digest.to_string(),
                &received.bytes,
                &reply.outcome.name(),
                &code,
                &reason,
                &int(reply.outcome.rows()),
                &int(reply.withheld),
                &table,
                &received.exchanged_at.to_string(),
                &received.delivered_at.to_string(),
            ],
        )
        .await)?;
    Ok(written == 1)
}

/// Returns the number of refused rows; `None` if the table was changed meanwhile.
async fn store_rows(session: &Session, received: &ReceivedReply, into: &Destination) -> Result<Option<u64>> {
    let Destination {
        kind,
        target,
        schema,
        shape,
    } = into;
    let number = match answers(session, target, kind, "FOR UPDATE").await? {
        Some((now, number)) if now == *shape => number + 1,
        _ => return Ok(None),
    };
    let (recipient, id) = (received.reply.recipient.as_str(), received.reply.id.to_string());
    pg(session
        .client
        .execute(
            "UPDATE slacktide.answers SET number = $3 WHERE recipient = $1 AND kind = $2",
            &[&recipient, kind, &int(number)],
        )
        .await)?;
    if !ownership::lock_tables(session, target, &[Role::Current]).await? {
        return Ok(None);
    }
    let (mut before, mut refused) = (0, 0);
    for part in &received.parts {
        let chunk =
            arrival(part, schema, (number, before), target, received.exchanged_at).map_err(|error| {
                Error::new(
                    ErrorKind::Database,
                    format!("an opened part does not read: {error}"),
                    "report it",
                )
            })?;
        let mapping = shape.mapping(schema, chunk_number(number), &target.layout);
        let rows = Rows::new(session, target, shape, schema, mapping).await?;
        for row in rows.store(session, &[(0, &chunk)], true).await?.0 {
            refused += 1;
            pg(session
                .client
                .execute(
                    "INSERT INTO slacktide.answers_refused VALUES ($1, $2, $3, $4, $5)",
                    &[
                        &recipient,
                        &id,
                        &int(before + row.ordinal + 1),
                        &row.reason,
                        &row.bytes,
                    ],
                )
                .await)?;
        }
        before += part.part.totals.rows;
    }
    Ok(Some(refused))
}
