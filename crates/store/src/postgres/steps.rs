//! Changes a lane's tables. Each step runs in the transaction that records it.
//!
//! - `existing` existing columns; `make` creates tables; `retype` wider types; `rename` other names; `canonical_key`
//!   the column of the canonical key

mod canonical_key;
mod existing;
mod make;
mod rename;
mod retype;

use super::ownership;
use super::session::Session;
use crate::error::{Error, Result};
use crate::layout::LaneTables;
use crate::ownership::FoundTable;
use crate::sql_name::quoted;
use crate::table::shape::{Change, Shape, Step};
use existing::{add, has, own_columns};
use make::make;
use rename::{rename_old_tables, verify_renamed};
use retype::retype;

pub(super) use canonical_key::is_missing as is_form_missing;

/// Adopts tables that the configuration names now, if the lane's own ones were replaced, and adds what a table's key
/// needs.
pub(super) async fn adopt(session: &Session, tables: &LaneTables, shape: &Shape) -> Result<()> {
    if ownership::is_adoption_due(session, tables).await? {
        make(session, tables, shape).await?;
    }
    canonical_key::give(session, tables, shape).await
}

/// Creates missing tables of a lane.
pub(super) async fn make_missing(session: &Session, tables: &LaneTables, shape: &Shape) -> Result<()> {
    for (role, table) in tables.roles() {
        if ownership::find_table(session, tables, role, table).await? == FoundTable::Missing {
            return make(session, tables, shape).await;
        }
    }
    Ok(())
}

/// Takes the steps of a change; `before` is the old shape.
pub(super) async fn apply(
    session: &Session,
    tables: &LaneTables,
    before: Option<&Shape>,
    change: &Change,
) -> Result<()> {
    take(session, tables, before, change)
        .await
        .map_err(|error| error.of_tables(tables))
}

async fn take(session: &Session, tables: &LaneTables, before: Option<&Shape>, change: &Change) -> Result<()> {
    let layout = &tables.layout;
    for step in &change.steps {
        match step {
            Step::Make => make(session, tables, &change.shape).await?,
            Step::Add(column) => {
                for (role, table) in tables.roles() {
                    let Some(existing) = own_columns(session, tables, role, table).await? else {
                        continue;
                    };
                    // A table that this change created has the column.
                    if has(&existing, &column.name) && !change.steps.contains(&Step::Make) {
                        let is_named = layout.columns.values().any(|name| *name == column.name);
                        if !is_named {
                            return Err(Error::of_column(tables, table, &column.name));
                        }
                    }
                    add(session, layout, table, &existing, column).await?;
                }
            }
            Step::Retype { name, from, to } => {
                for (role, table) in tables.roles() {
                    retype(session, tables, (role, table), (name, from, to)).await?;
                }
            }
            Step::Rename { from, to } => {
                for (role, table) in tables.roles() {
                    if own_columns(session, tables, role, table)
                        .await?
                        .is_some_and(|existing| has(&existing, from))
                    {
                        let (table, from, to) = (layout.sql(table), quoted(from), quoted(to));
                        session
                            .run(&format!("ALTER TABLE {table} RENAME COLUMN {from} TO {to}"))
                            .await?;
                    }
                }
            }
            Step::Moved(old) => verify_renamed(session, old, tables, &change.shape).await?,
            Step::SetAside { suffix } => {
                let existing = before.and_then(|shape| shape.layout.as_ref()).unwrap_or(layout);
                rename_old_tables(session, &tables.with_layout(existing), suffix).await?;
            }
        }
    }
    Ok(())
}
