//! Changes a lane's tables. Each step runs in the transaction that records it.
//!
//! SQLite's types are affinities: an integer column holds any integer, a text column any text, so most wider types
//! need no change. There are two exceptions. An integer that became a decimal needs a text column, because the
//! fraction would become a float: the column is rebuilt. A date that became a timestamp is written as its midnight.
//!
//! - `existing` existing columns; `make` creates tables; `retype` wider types; `rename` other names; `canonical_key`
//!   the column of the canonical key

mod canonical_key;
mod existing;
mod make;
mod rename;
mod retype;

use rusqlite::Connection;

use super::ownership;
use crate::error::{Error, Result};
use crate::layout::{LaneTables, Role};
use crate::ownership::FoundTable;
use crate::sql_name::quoted;
use crate::table::shape::{Change, Shape, Step};
use existing::{add, find, own_columns, run};
use make::make;
use rename::{rename_old_tables, verify_renamed};
use retype::retype;

/// Checks that the tables may be written, adopts those that the configuration names now if the lane's own ones were
/// replaced, and adds what a table's key needs.
pub(super) fn prepare_tables(tx: &Connection, tables: &LaneTables, shape: &Shape) -> Result<()> {
    if !ownership::check_tables(tx, tables, &[Role::Current, Role::History])? {
        make(tx, tables, shape)?;
    }
    canonical_key::give(tx, tables, shape)
}

/// Creates missing tables of a lane.
pub(super) fn make_missing(tx: &Connection, tables: &LaneTables, shape: &Shape) -> Result<()> {
    for (role, table) in tables.roles() {
        if ownership::find_table(tx, tables, role, table)? == FoundTable::Missing {
            return make(tx, tables, shape);
        }
    }
    Ok(())
}

/// Takes the steps of a change; `before` is the old shape.
pub(super) fn apply(
    tx: &Connection,
    tables: &LaneTables,
    before: Option<&Shape>,
    change: &Change,
) -> Result<()> {
    let layout = &tables.layout;
    for step in &change.steps {
        match step {
            Step::Make => make(tx, tables, &change.shape)?,
            Step::Add(column) => {
                for (role, table) in tables.roles() {
                    let Some(existing) = own_columns(tx, tables, role, table)? else {
                        continue;
                    };
                    // A table that this change created has the column.
                    if find(&existing, &column.name).is_some() && !change.steps.contains(&Step::Make) {
                        let is_named = layout
                            .columns
                            .values()
                            .any(|name| name.eq_ignore_ascii_case(&column.name));
                        if !is_named {
                            return Err(Error::of_column(tables, table, &column.name));
                        }
                    }
                    add(tx, table, &existing, column)?;
                }
            }
            Step::Retype { name, from, to } => {
                for (role, table) in tables.roles() {
                    retype(tx, tables, (role, table), name, (from, to))?;
                }
            }
            Step::Rename { from, to } => {
                for (role, table) in tables.roles() {
                    if own_columns(tx, tables, role, table)?
                        .is_some_and(|existing| find(&existing, from).is_some())
                    {
                        let (table, from, to) = (quoted(table), quoted(from), quoted(to));
                        run(tx, &format!("ALTER TABLE {table} RENAME COLUMN {from} TO {to}"))?;
                    }
                }
            }
            Step::Moved(old) => verify_renamed(tx, old, tables, &change.shape)?,
            Step::SetAside { suffix } => {
                let existing = before.and_then(|shape| shape.layout.as_ref()).unwrap_or(layout);
                rename_old_tables(tx, &tables.with_layout(existing), suffix)?;
            }
        }
    }
    Ok(())
}
