//! What is done to a lane's tables, each step within the transaction that notes it.
//!
//! SQLite's types are affinities: an integer column holds any integer, a text column any text,
//! so most types follow by themselves. Two do not. An integer that became a decimal needs a
//! column of texts, or the digits behind the point would become a float: the column is made anew.
//! A date that became a time is written as its midnight.
//!
//! - `there` what is there; `make` tables; `retype` wider types; `moved` other names; `form` the column of the key's one form

mod form;
mod make;
mod moved;
mod retype;
mod there;

use rusqlite::Transaction;

use super::claims;
use crate::claims::Found;
use crate::error::{Error, Result};
use crate::layout::{LaneTables, Role};
use crate::table::quoted;
use crate::table::shape::{Change, Shape, Step};
use make::make;
use moved::{moved, set_aside};
use retype::retype;
use there::{add, find, own_columns, run};

/// Checks that the tables may be written, adopts those that the configuration names since, where the lane's own ones were
/// replaced, and gives a table what its key needs.
pub(super) fn hold(tx: &Transaction<'_>, tables: &LaneTables, shape: &Shape) -> Result<()> {
    if !claims::hold(tx, tables, &[Role::Current, Role::History])? {
        make(tx, tables, shape)?;
    }
    form::give(tx, tables, shape)
}

/// Makes the tables of a lane that are gone.
pub(super) fn make_missing(tx: &Transaction<'_>, tables: &LaneTables, shape: &Shape) -> Result<()> {
    for (role, table) in tables.roles() {
        if claims::look(tx, tables, role, table)? == Found::Nothing {
            return make(tx, tables, shape);
        }
    }
    Ok(())
}

/// Takes the steps of a change; `before` is what was known.
pub(super) fn apply(
    tx: &Transaction<'_>,
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
                    let Some(there) = own_columns(tx, tables, role, table)? else {
                        continue;
                    };
                    // A table that was made in this very change has it.
                    if find(&there, &column.name).is_some() && !change.steps.contains(&Step::Make) {
                        let is_named = layout
                            .columns
                            .values()
                            .any(|name| name.eq_ignore_ascii_case(&column.name));
                        if !is_named {
                            return Err(Error::of_column(tables, table, &column.name));
                        }
                    }
                    add(tx, table, &there, column)?;
                }
            }
            Step::Retype { name, from, to } => {
                for (role, table) in tables.roles() {
                    retype(tx, tables, (role, table), name, (from, to))?;
                }
            }
            Step::Rename { from, to } => {
                for (role, table) in tables.roles() {
                    if own_columns(tx, tables, role, table)?.is_some_and(|there| find(&there, from).is_some())
                    {
                        let (table, from, to) = (quoted(table), quoted(from), quoted(to));
                        run(tx, &format!("ALTER TABLE {table} RENAME COLUMN {from} TO {to}"))?;
                    }
                }
            }
            Step::Moved(old) => moved(tx, old, tables, &change.shape)?,
            Step::SetAside { suffix } => {
                let there = before.and_then(|shape| shape.layout.as_ref()).unwrap_or(layout);
                set_aside(tx, &tables.with_layout(there), suffix)?;
            }
        }
    }
    Ok(())
}
