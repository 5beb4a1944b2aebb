//! Makes tables, or goes on with those that are there.

use schemas::column::Column;
use schemas::name::Lane;

use super::super::failure;
use super::super::session::Session;
use super::there::{Columns, add, columns, has, type_of};
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::table::shape::Shape;
use crate::table::{DELETED, EPOCH, NUMBER, ORDINAL, STORED_AT, SUPERSEDED, listed, quoted};

/// The tables of a lane, with all columns.
pub(super) async fn make(session: &Session, layout: &Layout, lane: &Lane, shape: &Shape) -> Result<()> {
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
                return Err(Error::of_lane(
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
        return Err(Error::of_lane(
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
    Err(Error::of_lane(
        lane,
        format!("the table {table} was there before and has no unique key over ({key})"),
        format!("run ALTER TABLE {table} ADD PRIMARY KEY ({key}), or name another table under [store.feed]"),
    ))
}
