//! Bookkeeping tables, and changes of feeds' tables. Both run under an advisory lock, so that concurrent pollers
//! create them once.

use schemas::name::Lane;

use super::session::Session;
use super::table_lock::{locked, make_unless};
use super::{ownership, steps};
use crate::arrival::Arrival;
use crate::bookkeeping::{LaneLock, lane_operations, lanes, ledger};
use crate::chunk_number::ChunkNumber;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::LaneTables;
use crate::refusal::Refusal;
use crate::sql_name::quoted;
use crate::table::batch_plan::{Incoming, plan_batch};
use crate::table::shape::{Fit, Shape, fit};

const TABLES_SQL: &str = "
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

/// Whether all exist: an account without CREATE may use existing tables.
const TABLES_EXIST_SQL: &str = "SELECT count(*) = 4 FROM unnest(ARRAY['lanes', 'ledger', 'quarantine', 'tombstones']) name \
     WHERE to_regclass('slacktide.' || name) IS NOT NULL";

/// Tables and columns added by an upgrade: pending changes, approvals, refusals.
const UPGRADE_SQL: &str = "
ALTER TABLE slacktide.lanes ADD COLUMN IF NOT EXISTS pending_change text, ADD COLUMN IF NOT EXISTS refused text;
CREATE TABLE IF NOT EXISTS slacktide.changes (
    recipient text NOT NULL, feed text NOT NULL, accepted_at timestamptz NOT NULL,
    epoch integer NOT NULL, number bigint NOT NULL, changes text NOT NULL, actor text NOT NULL, reason text NOT NULL);
";

const UPGRADED_SQL: &str = "SELECT to_regclass('slacktide.changes') IS NOT NULL AND (SELECT count(*) = 2 FROM pg_catalog.pg_attribute \
     WHERE attrelid = to_regclass('slacktide.lanes') AND attname IN ('pending_change', 'refused'))";

pub(super) async fn prepare(session: &mut Session, schemas: &[&str]) -> Result<()> {
    let fail = |error: tokio_postgres::Error| super::failure::of(&error);
    make_unless(session, TABLES_EXIST_SQL, TABLES_SQL).await?;
    make_unless(session, UPGRADED_SQL, UPGRADE_SQL).await?;
    ownership::prepare(session).await?;
    super::quarantine::prepare(session).await?;
    super::refills::prepare(session).await?;
    super::compaction::prepare(session).await?;
    super::requests::prepare(session).await?;
    super::stored_rows::prepare(session).await?;
    for schema in schemas {
        let row = session
            .client
            .query_one(
                "SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1)",
                &[schema],
            )
            .await
            .map_err(fail)?;
        if !row.try_get::<_, bool>(0).map_err(fail)? {
            return Err(Error::new(
                ErrorKind::Refused,
                format!("the store has no schema {schema:?} for the feeds' tables"),
                format!(
                    "run CREATE SCHEMA {}, or name another one in [store]",
                    quoted(schema)
                ),
            ));
        }
    }
    Ok(())
}

/// Records why nothing of a lane is stored until an operator acts.
pub(super) async fn refuse(
    session: &Session,
    lane: &Lane,
    chunk_number: ChunkNumber,
    why: Refusal,
) -> Result<()> {
    let refused = lane_operations::refuse(session, lane, chunk_number, why).await;
    if refused.is_err() {
        session.rollback().await;
    }
    refused
}

/// Creates or changes the lane's tables as these arrivals need, or records a change that needs approval. Returns the
/// shape afterwards.
pub(super) async fn ensure(
    session: &mut Session,
    tables: &LaneTables,
    arrivals: &[Arrival],
) -> Result<Option<Shape>> {
    let ensured = ensure_within(session, tables, arrivals).await;
    if ensured.is_err() {
        session.rollback().await;
    }
    ensured
}

async fn ensure_within(
    session: &mut Session,
    tables: &LaneTables,
    arrivals: &[Arrival],
) -> Result<Option<Shape>> {
    let lane = &tables.lane;
    // A wider type may rewrite a large table.
    session.begin(&locked()).await?;
    lanes::make(session, lane).await?;
    let mut record = lanes::read(session, lane, LaneLock::Alone)
        .await?
        .unwrap_or_default();
    let incoming = Incoming::all(arrivals);
    let entries = ledger::entries(session, lane, &Incoming::needed(&incoming)).await?;
    loop {
        let plan = plan_batch(&record.snapshot(tables), &entries, &incoming);
        if let Some(change) = plan.change {
            let before = record.shape.take();
            steps::apply(session, tables, before.as_ref(), &change).await?;
            record.shape = Some(change.shape);
            continue;
        }
        if let Some((chunk_number, changes)) = plan.asks {
            record.ask(chunk_number, changes, jiff::Timestamp::now());
        }
        if let Some(refused) = plan.refused {
            record.refused = refused;
        }
        break;
    }
    if let Some(shape) = &record.shape {
        let fits = |one: &Incoming<'_>| {
            let chunk_number = one.links.chunk_number;
            one.rows > 0 && fit(Some(shape), one.schema, chunk_number, tables, chunk_number) == Fit::Fits
        };
        if incoming.iter().any(fits) {
            steps::adopt(session, tables, shape).await?;
        }
    }
    lanes::save_columns(session, lane, &record).await?;
    session.commit().await?;
    Ok(record.shape)
}
