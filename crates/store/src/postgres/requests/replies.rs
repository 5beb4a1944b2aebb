//! A reply with its rows, in one transaction.
//!
//! The table of its kind is made or widened before, in a transaction of its own, as feeds' are.
//! Then the reply's own row goes in first: whoever stores the same reply at the same time waits
//! for it, and finds it.

use schemas::column::RowSchema;
use schemas::digest::Digest;

use super::super::records::int;
use super::super::rows::{Target as Rows, stage};
use super::super::session::{IMMEDIATE, Session};
use super::super::{TRIES, claims, failure, jitter, steps, tables};
use super::{pg, unsigned};
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{Database, LaneTables, Options, Role};
use crate::merge::Place;
use crate::record::{broken, text};
use crate::requests::answer::{arrival, change, code_and_reason, columns, target, whole};
use crate::requests::{ANOTHER_REPLY, ANOTHER_REQUEST, Answered, Became};
use crate::table::shape::Shape;

pub(super) async fn store(session: &mut Session, options: &Options, answered: &Answered) -> Result<Became> {
    if let Err(reason) = whole(answered) {
        return Ok(Became::Contradicts { reason });
    }
    let mut tries = 0;
    loop {
        let done = once(session, options, answered).await;
        if !matches!(done, Ok(Some(Became::Stored { .. }))) {
            session.rollback().await;
        }
        match done {
            Ok(Some(became)) => return Ok(became),
            Err(error) if error.kind != ErrorKind::Contended => return Err(error),
            Ok(None) | Err(_) => tries += 1,
        }
        if tries >= TRIES {
            return Err(failure::contended());
        }
        tokio::time::sleep(jitter(tries)).await;
    }
}

/// Where rows go, as it was when it was looked at.
struct Destination {
    kind: String,
    target: LaneTables,
    schema: RowSchema,
    shape: Shape,
}

/// None: another process changed the table meanwhile.
async fn once(session: &mut Session, options: &Options, answered: &Answered) -> Result<Option<Became>> {
    let kind = match known(session, answered).await? {
        Ok(kind) => kind,
        Err(became) => return Ok(Some(became)),
    };
    let into = match answered.parts.first() {
        None => None,
        Some(part) => {
            let schema = columns(&part.part.schema);
            let target = match target(options, Database::Postgres, &answered.reply.recipient, &kind) {
                Ok(target) => target,
                Err(reason) => return Ok(Some(Became::Contradicts { reason })),
            };
            let shape = ensure(session, &target, &kind, &schema).await?;
            let routes = shape.routes(&schema, place(i64::MAX.unsigned_abs()), &target.layout);
            let staged = stage(session, &target.layout, &target.lane, &shape, &routes).await;
            if let Err(error) = staged {
                return match claims::explain(session, &target, error).await {
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
    if !note(session, answered, into.as_ref()).await? {
        session.rollback().await;
        return Ok(known(session, answered).await?.err());
    }
    let (mut rows, mut quarantined) = (answered.reply.outcome.rows(), 0);
    if let Some(into) = &into {
        match store_rows(session, answered, into).await? {
            None => return Ok(None),
            Some(refused) => quarantined = refused,
        }
        rows = rows.saturating_sub(quarantined);
        pg(session
            .client
            .execute(
                "UPDATE slacktide.replies SET rows = $3, quarantined = $4 WHERE recipient = $1 AND id = $2",
                &[
                    &answered.reply.recipient.as_str(),
                    &answered.reply.id.to_string(),
                    &int(rows),
                    &int(quarantined),
                ],
            )
            .await)?;
    }
    session.commit().await?;
    Ok(Some(Became::Stored { rows, quarantined }))
}

fn place(number: u64) -> Place {
    Place { epoch: 1, number }
}

/// The request's kind, where its reply may be stored.
async fn known(session: &Session, answered: &Answered) -> Result<std::result::Result<String, Became>> {
    let reply = &answered.reply;
    let found = pg(session
        .client
        .query_opt(
            "SELECT q.kind, q.digest, p.digest FROM slacktide.requests q LEFT JOIN slacktide.replies p \
             USING (recipient, id) WHERE recipient = $1 AND id = $2",
            &[&reply.recipient.as_str(), &reply.id.to_string()],
        )
        .await)?;
    let Some(row) = found else {
        return Ok(Err(Became::Unknown));
    };
    let digest = |text: &str| Digest::from_hex(text).map_err(|_| broken("slacktide.requests"));
    let (request, stored): (String, Option<String>) = (pg(row.try_get(1))?, pg(row.try_get(2))?);
    let contradicts = |reason: &str| {
        Err(Became::Contradicts {
            reason: reason.to_owned(),
        })
    };
    Ok(match stored.as_deref().map(digest).transpose()? {
        Some(stored) if stored == answered.digest => Err(Became::Already),
        Some(_) => contradicts(ANOTHER_REPLY),
        None if digest(&request)? != reply.request => contradicts(ANOTHER_REQUEST),
        None => Ok(pg(row.try_get(0))?),
    })
}

/// What is known of a kind's table, and the number of its last reply.
async fn answers(
    session: &Session,
    target: &LaneTables,
    kind: &str,
    hold: &str,
) -> Result<Option<(Shape, u64)>> {
    let sql =
        format!("SELECT columns, number FROM slacktide.answers WHERE recipient = $1 AND kind = $2 {hold}");
    let found = pg(session
        .client
        .query_opt(&sql, &[&target.lane.recipient.as_str(), &kind])
        .await)?;
    let Some(row) = found else { return Ok(None) };
    let columns: String = pg(row.try_get(0))?;
    let shape = serde_json::from_str(&columns).map_err(|_| broken("slacktide.answers"))?;
    Ok(Some((shape, unsigned(pg(row.try_get(1))?))))
}

/// Makes or widens the kind's table.
async fn ensure(session: &Session, target: &LaneTables, kind: &str, schema: &RowSchema) -> Result<Shape> {
    for hold in ["", "FOR UPDATE"] {
        let known = answers(session, target, kind, hold).await?;
        let number = known.as_ref().map_or(0, |(_, number)| *number);
        let shape = known.map(|(shape, _)| shape);
        let next = change(shape.as_ref(), schema, place(number + 1), target)?;
        match (next, shape) {
            (None, Some(shape)) if hold.is_empty() => {
                let is_due = claims::is_adoption_due(session, target).await?;
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
            (Some(change), before) if !hold.is_empty() => {
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

/// Writes the reply's row; false where there is one.
async fn note(session: &Session, answered: &Answered, into: Option<&Destination>) -> Result<bool> {
    let reply = &answered.reply;
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
                &answered.digest.to_string(),
                &answered.bytes,
                &reply.outcome.name(),
                &code,
                &reason,
                &int(reply.outcome.rows()),
                &int(reply.withheld),
                &table,
                &answered.exchanged_at.to_string(),
                &answered.delivered_at.to_string(),
            ],
        )
        .await)?;
    Ok(written == 1)
}

/// Says how many were refused; none where the table has changed meanwhile.
async fn store_rows(session: &Session, answered: &Answered, into: &Destination) -> Result<Option<u64>> {
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
    let (recipient, id) = (answered.reply.recipient.as_str(), answered.reply.id.to_string());
    pg(session
        .client
        .execute(
            "UPDATE slacktide.answers SET number = $3 WHERE recipient = $1 AND kind = $2",
            &[&recipient, kind, &int(number)],
        )
        .await)?;
    if !claims::hold(session, target, &[Role::Current]).await? {
        return Ok(None);
    }
    let (mut before, mut refused) = (0, 0);
    for part in &answered.parts {
        let chunk =
            arrival(part, schema, (number, before), target, answered.exchanged_at).map_err(|error| {
                Error::new(
                    ErrorKind::Database,
                    format!("an opened part does not read: {error}"),
                    "report it",
                )
            })?;
        let routes = shape.routes(schema, place(number), &target.layout);
        let rows = Rows::new(session, target, shape, schema, routes).await?;
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
