//! Creates tables, or uses existing ones.

use schemas::column::Column;
use schemas::key::is_exact;

use super::super::session::Session;
use super::super::{failure, ownership};
use super::canonical_key;
use super::existing::{Columns, add, columns, has, type_of};
use crate::error::{Error, Result};
use crate::layout::{LaneTables, Role};
use crate::ownership::Claim;
use crate::sql_name::{listed, quoted};
use crate::table::shape::Shape;
use crate::table::{DELETED, EPOCH, KEY, NUMBER, ORDINAL, STORED_AT, SUPERSEDED};

/// Provides a lane's tables with all columns: created and marked ones, its own ones, or ones that the configuration
/// names.
pub(super) async fn make(session: &Session, tables: &LaneTables, shape: &Shape) -> Result<()> {
    let layout = &tables.layout;
    let key: Vec<&str> = shape.known.key.iter().map(|name| layout.column(name)).collect();
    let wanted = shape.columns(layout);
    for (role, table) in tables.roles() {
        match ownership::decide(session, tables, role, table).await? {
            Claim::Make => {
                create(session, tables, (role, table), &key, &wanted).await?;
                ownership::record(session, tables, (role, table), "created").await?;
            }
            Claim::Use => {
                let existing = columns(session, layout, table).await?.unwrap_or_default();
                for column in &wanted {
                    add(session, layout, table, &existing, column).await?;
                }
                ownership::rename(session, tables, (role, table)).await?;
            }
            Claim::Adopt => {
                let existing = columns(session, layout, table).await?.unwrap_or_default();
                match role {
                    Role::Current => take_over(session, tables, shape, (&key, &wanted, &existing)).await?,
                    Role::History => take_over_history(session, tables, &wanted, &existing).await?,
                }
                ownership::record(session, tables, (role, table), "adopted").await?;
            }
        }
    }
    Ok(())
}

async fn create(
    session: &Session,
    tables: &LaneTables,
    (role, table): (Role, &str),
    key: &[&str],
    wanted: &[Column],
) -> Result<()> {
    let mut typed = Vec::with_capacity(wanted.len());
    for column in wanted {
        typed.push(format!(
            "{} {}",
            quoted(&column.name),
            type_of(session, &column.kind).await?
        ));
    }
    let (typed, keyed) = (typed.join(", "), listed(key.iter().copied()));
    let chunk_number = format!("{EPOCH} integer NOT NULL, {NUMBER} bigint NOT NULL");
    let is_key = |column: &&Column| key.contains(&column.name.as_str());
    let form = match wanted.iter().filter(is_key).all(|column| is_exact(&column.kind)) {
        true => String::new(),
        false => format!("{KEY} bytea UNIQUE, "),
    };
    let table = tables.layout.sql(table);
    let made = match role {
        Role::Current => {
            format!("CREATE TABLE {table} ({typed}, {chunk_number}, {form}PRIMARY KEY ({keyed}))")
        }
        Role::History => format!(
            "CREATE TABLE {table} ({typed}, {chunk_number}, {ORDINAL} bigint NOT NULL, {DELETED} boolean NOT NULL, \
             {STORED_AT} timestamptz NOT NULL DEFAULT clock_timestamp(), \
             {SUPERSEDED} boolean NOT NULL DEFAULT false, PRIMARY KEY ({EPOCH}, {NUMBER}, {ORDINAL})); \
             CREATE INDEX ON {table} ({keyed}, {EPOCH}, {NUMBER})"
        ),
    };
    session.run(&made).await
}

/// Adopts an existing history that the configuration names.
async fn take_over_history(
    session: &Session,
    tables: &LaneTables,
    wanted: &[Column],
    existing: &Columns,
) -> Result<()> {
    let (layout, table) = (&tables.layout, &tables.layout.history);
    if !has(existing, ORDINAL) {
        return Err(Error::of_lane(
            &tables.lane,
            format!(
                "there is a table {} that is not a history of Slacktide",
                layout.sql(table)
            ),
            format!(
                "name another one: history = \"…\" under [store.feed.{}]",
                tables.key
            ),
        ));
    }
    for column in wanted {
        add(session, layout, table, existing, column).await?;
    }
    Ok(())
}

/// Adopts an existing table that the configuration names. It must have the columns and the key; one with rows of
/// Slacktide gets its missing columns.
async fn take_over(
    session: &Session,
    tables: &LaneTables,
    shape: &Shape,
    (key, wanted, existing): (&[&str], &[Column], &Columns),
) -> Result<()> {
    let layout = &tables.layout;
    if has(existing, EPOCH) {
        for column in wanted {
            add(session, layout, &layout.table, existing, column).await?;
        }
    } else {
        has_all(tables, wanted, existing)?;
    }
    has_key(session, tables, key).await?;
    let table = layout.sql(&layout.table);
    for (name, kind) in [(EPOCH, "integer"), (NUMBER, "bigint")] {
        if !has(existing, name) {
            session
                .run(&format!(
                    "ALTER TABLE {table} ADD COLUMN {name} {kind} NOT NULL DEFAULT 0"
                ))
                .await?;
        }
    }
    canonical_key::give(session, tables, shape).await
}

/// Checks that an adopted table has every column. Types and constraints are the owner's.
fn has_all(tables: &LaneTables, wanted: &[Column], existing: &Columns) -> Result<()> {
    let table = tables.layout.sql(&tables.layout.table);
    let names = wanted.iter().map(|column| column.name.as_str());
    let missing: Vec<&str> = names.filter(|name| !has(existing, name)).collect();
    if !missing.is_empty() {
        return Err(Error::of_lane(
            &tables.lane,
            format!("the table {table} was there before and lacks {}", listed(missing)),
            "add the columns, map their names under columns in [store.feed], or name another table",
        ));
    }
    Ok(())
}

/// Checks that rows of an adopted table can be found by the feed's key.
async fn has_key(session: &Session, tables: &LaneTables, key: &[&str]) -> Result<()> {
    let table = tables.layout.sql(&tables.layout.table);
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
        &tables.lane,
        format!("the table {table} was there before and has no unique key over ({key})"),
        format!("run ALTER TABLE {table} ADD PRIMARY KEY ({key}), or name another table under [store.feed]"),
    ))
}
