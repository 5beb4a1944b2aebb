//! Temporary staging tables: one for each shape of a lane's rows, kept while the connection is open.

use schemas::column::RowSchema;
use schemas::name::Lane;

use super::super::failure;
use super::super::session::{Session, StageKey};
use crate::error::Result;
use crate::layout::Layout;
use crate::sql_name::listed;
use crate::table::shape::{ColumnMapping, Shape};
use crate::table::{EPOCH, KEY, NUMBER};

/// A lane with more shapes than this gets new staging tables.
const MAX_STAGES: usize = 8;

/// Creates the staging table of these columns. Must run outside of a transaction, whose rollback would drop the
/// table.
pub(in crate::postgres) async fn stage(
    session: &mut Session,
    layout: &Layout,
    lane: &Lane,
    shape: &Shape,
    mapping: &ColumnMapping,
) -> Result<()> {
    let stage_key = stage_key(shape, mapping);
    if session.stage(lane, &stage_key).is_some() {
        return Ok(());
    }
    if session
        .stages
        .get(lane)
        .is_some_and(|stages| stages.len() >= MAX_STAGES)
    {
        for (_, name) in session.stages.remove(lane).unwrap_or_default() {
            session
                .run(&format!("DROP TABLE IF EXISTS pg_temp.{name}"))
                .await?;
        }
    }
    let table = layout.sql(&layout.table);
    if is_partitioned(session, &table).await? {
        session.uncounted.insert(lane.clone());
    } else {
        session.uncounted.remove(lane);
    }
    session.made += 1;
    let name = format!("slacktide_stage_{}", session.made);
    let names = mapping.names.iter().map(String::as_str).chain([EPOCH, NUMBER]);
    session
        .run(&format!(
            "CREATE TEMPORARY TABLE {name} ON COMMIT DELETE ROWS AS SELECT {}, NULL::bytea AS {KEY}, \
             false AS _slacktide_deleted FROM {table} WITH NO DATA",
            listed(names),
        ))
        .await?;
    session
        .stages
        .entry(lane.clone())
        .or_default()
        .push((stage_key, name));
    Ok(())
}

/// Returns whether a table is partitioned: the server does not report new rows of it.
pub(in crate::postgres) async fn is_partitioned(session: &Session, table: &str) -> Result<bool> {
    let fail = |error: tokio_postgres::Error| failure::of(&error);
    let row = session
        .client
        .query_one(
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_class WHERE oid = to_regclass($1) AND relkind <> 'r')",
            &[&table],
        )
        .await
        .map_err(fail)?;
    row.try_get(0).map_err(fail)
}

/// Returns the key of a staging table: the shape of the tables, and its columns.
pub(super) fn stage_key(shape: &Shape, mapping: &ColumnMapping) -> StageKey {
    (shape.clone(), mapping.names.clone())
}

/// Returns whether rows of the lane may be deleted. A chunk from before the feed had a tombstone column must not
/// ignore the tombstones of later chunks.
pub(super) fn has_tombstones(shape: &Shape, schema: &RowSchema) -> bool {
    shape.known.tombstone.is_some() || schema.tombstone.is_some()
}
