//! What is done to a lane's tables, each step within the transaction that notes it.
//!
//! - `there` what is there; `make` tables; `retype` wider types; `moved` other names; `form` the column of the key's one form

mod form;
mod make;
mod moved;
mod retype;
mod there;

use super::claims;
use super::session::Session;
use crate::claims::Found;
use crate::error::{Error, Result};
use crate::layout::LaneTables;
use crate::table::quoted;
use crate::table::shape::{Change, Shape, Step};
use make::make;
use moved::{moved, set_aside};
use retype::retype;
use there::{add, has, own_columns};

pub(super) use form::is_missing as is_form_missing;

/// Adopts tables that the configuration names since, where the lane's own ones were replaced; and gives a table what its
/// key needs.
pub(super) async fn adopt(session: &Session, tables: &LaneTables, shape: &Shape) -> Result<()> {
    if claims::is_adoption_due(session, tables).await? {
        make(session, tables, shape).await?;
    }
    form::give(session, tables, shape).await
}

/// Makes the tables of a lane that are gone.
pub(super) async fn make_missing(session: &Session, tables: &LaneTables, shape: &Shape) -> Result<()> {
    for (role, table) in tables.roles() {
        if claims::look(session, tables, role, table).await? == Found::Nothing {
            return make(session, tables, shape).await;
        }
    }
    Ok(())
}

/// Takes the steps of a change; `before` is what was known.
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
                    let Some(there) = own_columns(session, tables, role, table).await? else {
                        continue;
                    };
                    // A table that was made in this very change has it.
                    if has(&there, &column.name) && !change.steps.contains(&Step::Make) {
                        let is_named = layout.columns.values().any(|name| *name == column.name);
                        if !is_named {
                            return Err(Error::of_column(tables, table, &column.name));
                        }
                    }
                    add(session, layout, table, &there, column).await?;
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
                        .is_some_and(|there| has(&there, from))
                    {
                        let (table, from, to) = (layout.sql(table), quoted(from), quoted(to));
                        session
                            .run(&format!("ALTER TABLE {table} RENAME COLUMN {from} TO {to}"))
                            .await?;
                    }
                }
            }
            Step::Moved(old) => moved(session, old, tables, &change.shape).await?,
            Step::SetAside { suffix } => {
                let there = before.and_then(|shape| shape.layout.as_ref()).unwrap_or(layout);
                set_aside(session, &tables.with_layout(there), suffix).await?;
            }
        }
    }
    Ok(())
}
