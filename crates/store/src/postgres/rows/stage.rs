//! Staging tables: temporary, one for each shape of a lane's rows, kept for as long as the connection lives.

use schemas::column::RowSchema;
use schemas::name::Lane;

use super::super::failure;
use super::super::session::{Session, Staged};
use crate::error::Result;
use crate::layout::Layout;
use crate::table::shape::{Routes, Shape};
use crate::table::{EPOCH, KEY, NUMBER, listed};

/// A lane whose columns changed more often than this has its staging tables made anew.
const MOST_STAGES: usize = 8;

/// Makes the staging table of these columns, for as long as the connection lives. Not within a
/// transaction: undoing it would undo the table.
pub(in crate::postgres) async fn stage(
    session: &mut Session,
    layout: &Layout,
    lane: &Lane,
    shape: &Shape,
    routes: &Routes,
) -> Result<()> {
    let staged = staged(shape, routes);
    if session.stage(lane, &staged).is_some() {
        return Ok(());
    }
    if session
        .stages
        .get(lane)
        .is_some_and(|stages| stages.len() >= MOST_STAGES)
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
    let names = routes.names.iter().map(String::as_str).chain([EPOCH, NUMBER]);
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
        .push((staged, name));
    Ok(())
}

/// Whether a table is not an ordinary one: the server does not tell new rows of it from others.
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

/// What a staging table was made for: the tables as they were, and the columns of it.
pub(super) fn staged(shape: &Shape, routes: &Routes) -> Staged {
    (shape.clone(), routes.names.clone())
}

/// Whether rows of the lane may be deleted. A chunk from before the feed had a tombstone column
/// must not pass by the tombstones of later ones.
pub(super) fn has_tombstones(shape: &Shape, schema: &RowSchema) -> bool {
    shape.known.tombstone.is_some() || schema.tombstone.is_some()
}
