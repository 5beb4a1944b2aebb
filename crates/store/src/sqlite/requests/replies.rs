//! Stores a reply with its rows and its table in one transaction.

use reconciliation::pass::is_reconciliation;
use schemas::column::RowSchema;

use super::super::rows::{self, ChunkTarget, RolledBackRows};
use super::super::sql::{Session, now};
use super::super::steps;
use crate::bookkeeping::requests::replies::{
    self, KnownRequest, answer_table, find_request, save_answer_number, save_answer_table,
};
use crate::bookkeeping::{Begin, LaneLock, SqlSession as _};
use crate::chunk_number::ChunkNumber;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{Database, LaneTables, Options};
use crate::record::broken;
use crate::requests::answer::{arrival, change, columns, target, whole};
use crate::requests::{ReceivedReply, ReplyOutcome};
use crate::table::shape::Shape;

pub(super) fn store(
    session: &mut Session<'_>,
    options: &Options,
    received: &ReceivedReply,
) -> Result<ReplyOutcome> {
    if let Err(error) = whole(received) {
        return Ok(ReplyOutcome::contradicts(&error));
    }
    // One for each part.
    let mut undone: Vec<RolledBackRows> = received.parts.iter().map(|_| RolledBackRows::default()).collect();
    loop {
        let done = once(session, options, received, &mut undone);
        session.rollback();
        let is_undone = undone.iter_mut().any(RolledBackRows::take);
        if done.is_ok() || !is_undone {
            return done;
        }
    }
}

/// Stores a reply in one transaction. The caller rolls back what is not stored.
fn once(
    session: &Session<'_>,
    options: &Options,
    received: &ReceivedReply,
    undone: &mut [RolledBackRows],
) -> Result<ReplyOutcome> {
    now(session.begin(Begin::Rows))?;
    let kind = match now(find_request(session, received))? {
        KnownRequest::Open(kind) => kind,
        KnownRequest::Decided(outcome) => return Ok(outcome),
    };
    // The rows of a reconciliation are compared, not stored.
    let part = received.parts.first().filter(|_| !is_reconciliation(&kind));
    let target = match part {
        None => None,
        Some(_) => match target(options, Database::Sqlite, &received.reply.recipient, &kind) {
            Ok(target) => Some(target),
            Err(error) => return Ok(ReplyOutcome::contradicts(&error)),
        },
    };
    let table = target
        .as_ref()
        .map(|target| target.layout.sql(&target.layout.table));
    now(replies::note(session, received, table.as_deref()))?;
    let quarantined = match &target {
        None => 0,
        Some(target) => store_rows(session, target, &kind, received, undone)?,
    };
    let rows = now(replies::count_refused(session, received, quarantined))?;
    now(session.commit())?;
    Ok(ReplyOutcome::Stored { rows, quarantined })
}

/// Returns the shape of the kind's table, which is created or widened, and the number of this reply.
fn ensure(
    session: &Session<'_>,
    target: &LaneTables,
    kind: &str,
    schema: &RowSchema,
) -> Result<(Shape, u64)> {
    let known = now(answer_table(session, target, kind, LaneLock::Alone))?;
    let number = known.as_ref().map_or(0, |(_, number)| *number) + 1;
    let (known, chunk_number) = (known.map(|(shape, _)| shape), ChunkNumber { epoch: 1, number });
    let shape = match change(known.as_ref(), schema, chunk_number, target)? {
        Some(change) => {
            steps::apply(session.connection, target, known.as_ref(), &change)?;
            now(save_answer_table(session, target, kind, &change.shape))?;
            change.shape
        }
        None => known.ok_or_else(|| broken("slacktide_answers"))?,
    };
    now(save_answer_number(session, target, kind, number))?;
    Ok((shape, number))
}

/// Stores the parts' rows and returns the number of refused ones.
fn store_rows(
    session: &Session<'_>,
    target: &LaneTables,
    kind: &str,
    received: &ReceivedReply,
    undone: &mut [RolledBackRows],
) -> Result<u64> {
    let Some(first) = received.parts.first() else {
        return Ok(0);
    };
    let schema = columns(&first.manifest.content.schema);
    let (shape, number) = ensure(session, target, kind, &schema)?;
    steps::prepare_tables(session.connection, target, &shape)?;
    let to = ChunkTarget {
        layout: &target.layout,
        shape: &shape,
        first: 0,
        is_whole: false,
    };
    let (mut before, mut refused) = (0, 0);
    for (part, undone) in received.parts.iter().zip(undone) {
        let chunk =
            arrival(part, &schema, (number, before), target, received.exchanged_at).map_err(|error| {
                Error::new(
                    ErrorKind::Database,
                    format!("an opened part does not read: {error}"),
                    "report it",
                )
            })?;
        for row in rows::store(session.connection, &target.lane, &to, &chunk, undone)?.refused {
            refused += 1;
            let row_number = before + row.ordinal + 1;
            now(replies::keep_refused(
                session,
                received,
                row_number,
                &row.reason,
                &row.bytes,
            ))?;
        }
        before += part.manifest.content.totals.rows;
    }
    Ok(refused)
}
