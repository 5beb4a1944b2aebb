//! Our own tables, and the target's columns. Made under an advisory lock: pollers that start at
//! the same time make them once.

use schemas::column::RowSchema;
use schemas::name::Lane;

use super::native::type_of;
use super::records;
use super::session::Session;
use crate::error::{Error, ErrorKind, Result};
use crate::port::Arrival;
use crate::table::{Change, EPOCH, NUMBER, listed, quoted, widen};

/// Number of the advisory lock, `slacktid` in ASCII.
pub(super) const LOCK: i64 = 0x736c_6163_6b74_6964;

const OWN: &str = "
CREATE SCHEMA IF NOT EXISTS slacktide;
CREATE TABLE IF NOT EXISTS slacktide.lanes (
    recipient text NOT NULL, feed text NOT NULL,
    epoch integer NOT NULL, openings text NOT NULL, stopped text,
    frontier text NOT NULL, frontier_epoch integer NOT NULL, frontier_number bigint NOT NULL,
    columns text,
    PRIMARY KEY (recipient, feed));
CREATE TABLE IF NOT EXISTS slacktide.ledger (
    recipient text NOT NULL, feed text NOT NULL, epoch integer NOT NULL, number bigint NOT NULL,
    digest text NOT NULL, previous text, state text NOT NULL,
    sequence bigint NOT NULL, publisher text NOT NULL,
    rows bigint NOT NULL, rows_quarantined bigint NOT NULL, cursor_after text,
    read_from timestamptz NOT NULL, read_to timestamptz NOT NULL,
    exchanged_at timestamptz NOT NULL, stored_at timestamptz NOT NULL,
    PRIMARY KEY (recipient, feed, epoch, number));
CREATE TABLE IF NOT EXISTS slacktide.quarantine (
    recipient text NOT NULL, feed text NOT NULL, id text NOT NULL,
    epoch integer, number bigint, ordinal bigint,
    sequence bigint NOT NULL, reason text NOT NULL, bytes bytea NOT NULL,
    exchanged_at timestamptz NOT NULL, quarantined_at timestamptz NOT NULL,
    PRIMARY KEY (recipient, feed, id));
CREATE TABLE IF NOT EXISTS slacktide.tombstones (
    recipient text NOT NULL, feed text NOT NULL, key bytea NOT NULL,
    epoch integer NOT NULL, number bigint NOT NULL,
    PRIMARY KEY (recipient, feed, key));
";

/// Whether they are all there: an account without CREATE may use what was made for it.
const THERE: &str = "SELECT count(*) = 4 FROM unnest(ARRAY['lanes', 'ledger', 'quarantine', 'tombstones']) name \
     WHERE to_regclass('slacktide.' || name) IS NOT NULL";

pub(super) async fn prepare(session: &mut Session, schema: &str) -> Result<()> {
    let fail = |error: tokio_postgres::Error| super::failure::of(&error);
    let row = session.client.query_one(THERE, &[]).await.map_err(fail)?;
    if !row.try_get::<_, bool>(0).map_err(fail)? {
        session
            .run(&format!(
                "BEGIN; SELECT pg_advisory_xact_lock({LOCK}); {OWN} COMMIT"
            ))
            .await?;
    }
    super::quarantine::prepare(session).await?;
    let row = session
        .client
        .query_one(
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1)",
            &[&schema],
        )
        .await
        .map_err(fail)?;
    if row.try_get::<_, bool>(0).map_err(fail)? {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Refused,
        format!("the store has no schema {schema:?} for the feeds' tables"),
        format!(
            "run CREATE SCHEMA {}, or name another one in [store]",
            quoted(schema)
        ),
    ))
}

/// Makes or widens the lane's target for these arrivals, and says which columns it has then.
pub(super) async fn ensure(
    session: &mut Session,
    schema: &str,
    lane: &Lane,
    arrivals: &[Arrival],
) -> Result<RowSchema> {
    let ensured = ensure_within(session, schema, lane, arrivals).await;
    if ensured.is_err() {
        session.rollback().await;
    }
    ensured
}

async fn ensure_within(
    session: &mut Session,
    schema: &str,
    lane: &Lane,
    arrivals: &[Arrival],
) -> Result<RowSchema> {
    let mut types = Vec::new();
    for column in arrivals
        .iter()
        .flat_map(|arrival| &arrival.chunk.manifest.schema.columns)
    {
        if !types.iter().any(|(name, _)| *name == column.name) {
            types.push((column.name.clone(), type_of(session, &column.kind).await));
        }
    }
    session
        .run(&format!("BEGIN; SELECT pg_advisory_xact_lock({LOCK})"))
        .await?;
    records::make(session, lane).await?;
    let mut record = records::lane(session, lane, records::Hold::Alone)
        .await?
        .unwrap_or_default();
    for arrival in arrivals {
        let change = widen(lane, record.columns.as_ref(), &arrival.chunk.manifest.schema)?;
        if record.columns.as_ref() != Some(&change.known) {
            session
                .run(&statements(
                    schema,
                    lane,
                    record.columns.is_none(),
                    &change,
                    &types,
                ))
                .await?;
            record.columns = Some(change.known);
        }
    }
    records::save_columns(session, lane, &record).await?;
    session.run("COMMIT").await?;
    record
        .columns
        .ok_or_else(|| crate::record::broken("slacktide.lanes"))
}

fn statements(schema: &str, lane: &Lane, first: bool, change: &Change, types: &[(String, String)]) -> String {
    let table = format!("{}.{}", quoted(schema), quoted(lane.feed.as_str()));
    let typed = |name: &str| {
        let found = types.iter().find(|(known, _)| known == name);
        format!(
            "{} {}",
            quoted(name),
            found.map_or("text", |(_, kind)| kind.as_str())
        )
    };
    let mut sql = String::new();
    if first {
        let columns: Vec<String> = change
            .known
            .columns
            .iter()
            .map(|column| typed(&column.name))
            .collect();
        sql = format!(
            "CREATE TABLE IF NOT EXISTS {table} ({}, {EPOCH} integer NOT NULL, {NUMBER} bigint NOT NULL, PRIMARY KEY ({})); \
             ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {EPOCH} integer NOT NULL DEFAULT 0, \
             ADD COLUMN IF NOT EXISTS {NUMBER} bigint NOT NULL DEFAULT 0; ",
            columns.join(", "),
            listed(change.known.key.iter().map(String::as_str)),
        );
    }
    for column in &change.add {
        sql.push_str(&format!(
            "ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {}; ",
            typed(&column.name)
        ));
    }
    sql
}
