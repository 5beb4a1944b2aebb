//! What is done to a lane's tables, each step within the transaction that notes it.

use schemas::column::{Column, ColumnType};
use schemas::name::Lane;

use super::session::Session;
use super::{failure, native};
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{Layout, with_suffix};
use crate::table::shape::{Change, Shape, Step};
use crate::table::{DELETED, EPOCH, NUMBER, ORDINAL, STORED_AT, SUPERSEDED, listed, quoted};

/// A table's columns with their types.
type Columns = Vec<(String, String)>;

/// Takes the steps of a change; `before` is what was known.
pub(super) async fn apply(
    session: &Session,
    layout: &Layout,
    lane: &Lane,
    before: Option<&Shape>,
    change: &Change,
) -> Result<()> {
    for step in &change.steps {
        match step {
            Step::Make => make(session, layout, lane, &change.shape).await?,
            Step::Add(column) => {
                for table in layout.tables() {
                    if let Some(there) = columns(session, layout, table).await? {
                        add(session, layout, table, &there, column).await?;
                    }
                }
            }
            Step::Retype { name, from, to } => {
                for table in layout.tables() {
                    retype(session, layout, lane, table, (name, from, to)).await?;
                }
            }
            Step::Rename { from, to } => {
                for table in layout.tables() {
                    if columns(session, layout, table)
                        .await?
                        .is_some_and(|there| has(&there, from))
                    {
                        let (table, from, to) = (layout.sql(table), quoted(from), quoted(to));
                        session
                            .run(&format!("ALTER TABLE {table} RENAME COLUMN {from} TO {to}"))
                            .await?;
                    }
                }
            }
            Step::Moved(old) => moved(session, old, layout, lane, &change.shape).await?,
            Step::SetAside { suffix } => {
                let there = before.and_then(|shape| shape.layout.as_ref()).unwrap_or(layout);
                set_aside(session, there, lane, suffix).await?;
            }
        }
    }
    Ok(())
}

/// None where there is no such table.
async fn columns(session: &Session, layout: &Layout, table: &str) -> Result<Option<Columns>> {
    let fail = |error: tokio_postgres::Error| failure::of(&error);
    let rows = session
        .client
        .query(
            "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_catalog.pg_attribute \
             WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            &[&layout.sql(table)],
        )
        .await
        .map_err(fail)?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        found.push((row.try_get(0).map_err(fail)?, row.try_get(1).map_err(fail)?));
    }
    Ok((!found.is_empty()).then_some(found))
}

fn has(there: &[(String, String)], name: &str) -> bool {
    there.iter().any(|(known, _)| known == name)
}

/// The type to make. Asking for one by its name may fail, which must not undo the transaction.
async fn type_of(session: &Session, kind: &ColumnType) -> Result<String> {
    if !matches!(kind, ColumnType::Other { .. }) {
        return Ok(native::type_of(session, kind).await);
    }
    session.run("SAVEPOINT kind").await?;
    let name = native::type_of(session, kind).await;
    session
        .run("ROLLBACK TO SAVEPOINT kind; RELEASE SAVEPOINT kind")
        .await?;
    Ok(name)
}

async fn add(
    session: &Session,
    layout: &Layout,
    table: &str,
    there: &[(String, String)],
    column: &Column,
) -> Result<()> {
    if has(there, &column.name) {
        return Ok(());
    }
    let kind = type_of(session, &column.kind).await?;
    let (table, name) = (layout.sql(table), quoted(&column.name));
    session
        .run(&format!("ALTER TABLE {table} ADD COLUMN {name} {kind}"))
        .await
}

async fn make(session: &Session, layout: &Layout, lane: &Lane, shape: &Shape) -> Result<()> {
    let key: Vec<&str> = shape.known.key.iter().map(|name| layout.column(name)).collect();
    let wanted = shape.columns(layout);
    let mut typed = Vec::with_capacity(wanted.len());
    for column in &wanted {
        typed.push(format!(
            "{} {}",
            quoted(&column.name),
            type_of(session, &column.kind).await?
        ));
    }
    let (typed, keyed) = (typed.join(", "), listed(key.iter().copied()));
    let place = format!("{EPOCH} integer NOT NULL, {NUMBER} bigint NOT NULL");
    if layout.mode.keeps_current() {
        let table = layout.sql(&layout.table);
        match columns(session, layout, &layout.table).await? {
            None => {
                let made = format!("CREATE TABLE {table} ({typed}, {place}, PRIMARY KEY ({keyed}))");
                session.run(&made).await?;
            }
            Some(there) => take_over(session, layout, lane, (&key, &wanted, &there)).await?,
        }
    }
    if layout.mode.keeps_history() {
        let table = layout.sql(&layout.history);
        match columns(session, layout, &layout.history).await? {
            None => {
                let made = format!(
                    "CREATE TABLE {table} ({typed}, {place}, {ORDINAL} bigint NOT NULL, {DELETED} boolean NOT NULL, \
                     {STORED_AT} timestamptz NOT NULL DEFAULT clock_timestamp(), \
                     {SUPERSEDED} boolean NOT NULL DEFAULT false, PRIMARY KEY ({EPOCH}, {NUMBER}, {ORDINAL})); \
                     CREATE INDEX ON {table} ({keyed}, {EPOCH}, {NUMBER})"
                );
                session.run(&made).await?;
            }
            Some(there) if has(&there, ORDINAL) => {
                for column in &wanted {
                    add(session, layout, &layout.history, &there, column).await?;
                }
            }
            Some(_) => {
                return Err(refused(
                    lane,
                    format!("there is a table {table} that is no history of slacktide's"),
                    "name another one: history = \"…\" under [store.feed]",
                ));
            }
        }
    }
    Ok(())
}

/// Goes on with a table that is there: one of ours gets what it lacks, another's must have it.
async fn take_over(
    session: &Session,
    layout: &Layout,
    lane: &Lane,
    (key, wanted, there): (&[&str], &[Column], &Columns),
) -> Result<()> {
    if has(there, EPOCH) {
        for column in wanted {
            add(session, layout, &layout.table, there, column).await?;
        }
    } else {
        of_others(session, layout, lane, (key, wanted, there)).await?;
    }
    let table = layout.sql(&layout.table);
    for (name, kind) in [(EPOCH, "integer"), (NUMBER, "bigint")] {
        if !has(there, name) {
            session
                .run(&format!(
                    "ALTER TABLE {table} ADD COLUMN {name} {kind} NOT NULL DEFAULT 0"
                ))
                .await?;
        }
    }
    Ok(())
}

/// A table that its owner made: taken when rows can be found in it by the feed's key and every
/// column has its place. Types and constraints are the owner's.
async fn of_others(
    session: &Session,
    layout: &Layout,
    lane: &Lane,
    (key, wanted, there): (&[&str], &[Column], &Columns),
) -> Result<()> {
    let table = layout.sql(&layout.table);
    let names = wanted.iter().map(|column| column.name.as_str());
    let missing: Vec<&str> = names.filter(|name| !has(there, name)).collect();
    if !missing.is_empty() {
        return Err(refused(
            lane,
            format!("the table {table} was there before and lacks {}", listed(missing)),
            "add the columns, say under columns in [store.feed] what they are called there, or name another table",
        ));
    }
    let fail = |error: tokio_postgres::Error| failure::of(&error);
    let columns = i64::try_from(key.len()).unwrap_or(i64::MAX);
    let row = session
        .client
        .query_one(
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = to_regclass($1) AND i.indisunique \
             AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indnkeyatts = $3::bigint \
             AND (SELECT count(*) FROM pg_catalog.pg_attribute a WHERE a.attrelid = i.indrelid \
             AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]) AND a.attname = ANY ($2::text[])) = $3::bigint)",
            &[&table, &key, &columns],
        )
        .await
        .map_err(fail)?;
    if row.try_get::<_, bool>(0).map_err(fail)? {
        return Ok(());
    }
    let key = listed(key.iter().copied());
    Err(refused(
        lane,
        format!("the table {table} was there before and has no unique key over ({key})"),
        format!("run ALTER TABLE {table} ADD PRIMARY KEY ({key}), or name another table under [store.feed]"),
    ))
}

async fn retype(
    session: &Session,
    layout: &Layout,
    lane: &Lane,
    table: &str,
    (name, from, to): (&str, &ColumnType, &ColumnType),
) -> Result<()> {
    let (from, to) = (type_of(session, from).await?, type_of(session, to).await?);
    let there = columns(session, layout, table).await?.unwrap_or_default();
    let Some((_, actual)) = there.iter().find(|(known, _)| known == name) else {
        return Ok(());
    };
    // The owner may have chosen another type, and keeps it.
    let spelt = if from == "timestamp" {
        "timestamp without time zone"
    } else {
        &from
    };
    if from == to || actual != spelt {
        return Ok(());
    }
    let (table, column) = (layout.sql(table), quoted(name));
    let altered = session
        .run(&format!(
            "ALTER TABLE {table} ALTER COLUMN {column} TYPE {to} USING {column}::{to}"
        ))
        .await;
    altered.map_err(|error| match error.kind {
        ErrorKind::Refused | ErrorKind::Denied => refused(
            lane,
            format!("column {column} of {table} became {to} and cannot follow: {}", error.what),
            "drop the view, rule or policy that uses the column and make it again afterwards; it is tried again",
        ),
        _ => error,
    })
}

/// The configuration names other tables or columns than those that hold the rows: right once they
/// were renamed.
async fn moved(session: &Session, old: &Layout, new: &Layout, lane: &Lane, shape: &Shape) -> Result<()> {
    let pairs = [
        (old.mode.keeps_current(), &old.table, &new.table),
        (old.mode.keeps_history(), &old.history, &new.history),
    ];
    for (_, from, to) in pairs.into_iter().filter(|(kept, ..)| *kept) {
        let (was, is) = (old.sql(from), new.sql(to));
        if was != is && columns(session, old, from).await?.is_some() {
            return Err(refused(
                lane,
                format!("its rows are in {was}, and the configuration says {is}"),
                "stop the agents, rename the table (ALTER TABLE … RENAME TO, SET SCHEMA) and start them again, or put the \
                 old name back",
            ));
        }
    }
    for table in new.tables() {
        let Some(there) = columns(session, new, table).await? else {
            continue;
        };
        for column in &shape.known.columns {
            let (was, is) = (old.column(&column.name), new.column(&column.name));
            if was != is && has(&there, was) {
                let table = new.sql(table);
                return Err(refused(
                    lane,
                    format!("column {was:?} of {table} is called {is:?} in the configuration"),
                    format!(
                        "stop the agents, run ALTER TABLE {table} RENAME COLUMN {} TO {} and start them again, or put \
                         the old name back",
                        quoted(was),
                        quoted(is)
                    ),
                ));
            }
        }
    }
    Ok(())
}

async fn set_aside(session: &Session, layout: &Layout, lane: &Lane, suffix: &str) -> Result<()> {
    for table in layout.tables() {
        if columns(session, layout, table).await?.is_some() {
            let (from, to) = (layout.sql(table), quoted(&with_suffix(table, suffix)));
            session.run(&format!("ALTER TABLE {from} RENAME TO {to}")).await?;
        }
    }
    session
        .client
        .execute(
            "DELETE FROM slacktide.tombstones WHERE recipient = $1 AND feed = $2",
            &[&lane.recipient.as_str(), &lane.feed.as_str()],
        )
        .await
        .map(|_| ())
        .map_err(|error| failure::of(&error))
}

fn refused(lane: &Lane, what: impl std::fmt::Display, remedy: impl Into<String>) -> Error {
    Error::new(ErrorKind::Refused, format!("lane {lane}: {what}"), remedy)
}
