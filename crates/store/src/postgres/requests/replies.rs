//! Stores a reply with its rows in one transaction.
//!
//! The table of its kind is created or widened before, in its own transaction, like feeds' tables. The reply's own
//! row is written first: a process that stores the same reply concurrently waits for it and finds it.

use reconciliation::pass::is_reconciliation;
use schemas::column::RowSchema;

use super::super::rows::{Target as Rows, stage};
use super::super::session::{IMMEDIATE, Session};
use super::super::{MAX_TRIES, failure, jitter, ownership, steps, table_lock};
use crate::bookkeeping::LaneLock;
use crate::bookkeeping::requests::replies::{
    self, KnownRequest, answer_table, find_request, save_answer_number, save_answer_table,
};
use crate::chunk_number::ChunkNumber;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{Database, LaneTables, Options, Role};
use crate::requests::answer::{arrival, change, columns, target, whole};
use crate::requests::{ReceivedReply, ReplyOutcome};
use crate::table::shape::Shape;

pub(super) async fn store(
    session: &mut Session,
    options: &Options,
    received: &ReceivedReply,
) -> Result<ReplyOutcome> {
    if let Err(error) = whole(received) {
        return Ok(ReplyOutcome::contradicts(&error));
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
    let kind = match find_request(&*session, received).await? {
        KnownRequest::Open(kind) => kind,
        KnownRequest::Decided(outcome) => return Ok(Some(outcome)),
    };
    // The rows of a reconciliation are compared, not stored.
    let part = received.parts.first().filter(|_| !is_reconciliation(&kind));
    let into = match part {
        None => None,
        Some(part) => {
            let schema = columns(&part.manifest.content.schema);
            let target = match target(options, Database::Postgres, &received.reply.recipient, &kind) {
                Ok(target) => target,
                Err(error) => return Ok(Some(ReplyOutcome::contradicts(&error))),
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
    let table = into
        .as_ref()
        .map(|into| into.target.layout.sql(&into.target.layout.table));
    if !replies::note(&*session, received, table.as_deref()).await? {
        session.rollback().await;
        return Ok(match find_request(&*session, received).await? {
            KnownRequest::Open(_) => None,
            KnownRequest::Decided(outcome) => Some(outcome),
        });
    }
    let quarantined = match &into {
        None => 0,
        Some(into) => match store_rows(session, received, into).await? {
            None => return Ok(None),
            Some(refused) => refused,
        },
    };
    let rows = replies::count_refused(&*session, received, quarantined).await?;
    session.commit().await?;
    Ok(Some(ReplyOutcome::Stored { rows, quarantined }))
}

fn chunk_number(number: u64) -> ChunkNumber {
    ChunkNumber { epoch: 1, number }
}

/// Creates or widens the kind's table.
async fn ensure(session: &Session, target: &LaneTables, kind: &str, schema: &RowSchema) -> Result<Shape> {
    for lock in [LaneLock::Free, LaneLock::Alone] {
        let known = answer_table(session, target, kind, lock).await?;
        let number = known.as_ref().map_or(0, |(_, number)| *number);
        let shape = known.map(|(shape, _)| shape);
        let next = change(shape.as_ref(), schema, chunk_number(number + 1), target)?;
        match (next, shape) {
            (None, Some(shape)) if lock == LaneLock::Free => {
                let is_due = ownership::is_adoption_due(session, target).await?;
                if !is_due && !steps::is_form_missing(session, target, &shape).await? {
                    return Ok(shape);
                }
                session.begin(&table_lock::locked()).await?;
            }
            (None, Some(shape)) => {
                steps::adopt(session, target, &shape).await?;
                session.commit().await?;
                return Ok(shape);
            }
            (Some(change), before) if lock == LaneLock::Alone => {
                steps::apply(session, target, before.as_ref(), &change).await?;
                save_answer_table(session, target, kind, &change.shape).await?;
                session.commit().await?;
                return Ok(change.shape);
            }
            _ => {
                session.begin(&table_lock::locked()).await?;
            }
        }
    }
    Err(failure::contended())
}

/// Returns the number of refused rows; `None` if the table was changed meanwhile.
async fn store_rows(session: &Session, received: &ReceivedReply, into: &Destination) -> Result<Option<u64>> {
    let Destination {
        kind,
        target,
        schema,
        shape,
    } = into;
    let number = match answer_table(session, target, kind, LaneLock::Alone).await? {
        Some((now, number)) if now == *shape => number + 1,
        _ => return Ok(None),
    };
    save_answer_number(session, target, kind, number).await?;
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
            replies::keep_refused(
                session,
                received,
                before + row.ordinal + 1,
                &row.reason,
                &row.bytes,
            )
            .await?;
        }
        before += part.manifest.content.totals.rows;
    }
    Ok(Some(refused))
}
