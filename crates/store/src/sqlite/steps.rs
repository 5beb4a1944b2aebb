//! What is done to a lane's tables, each step within the transaction that notes it.
//!
//! SQLite's types are affinities: an integer column holds any integer, a text column any text,
//! so most types follow by themselves. Two do not. An integer that became a decimal needs a
//! column of texts, or the digits behind the point would become a float: the column is made anew.
//! A date that became a time is written as its midnight.
//!
//! - `there` what is there; `make` tables; `retype` wider types; `moved` other names

mod make;
mod moved;
mod retype;
mod there;

use rusqlite::Transaction;
use schemas::name::Lane;

use crate::error::Result;
use crate::layout::Layout;
use crate::table::quoted;
use crate::table::shape::{Change, Shape, Step};
use make::make;
use moved::{moved, set_aside};
use retype::retype;
use there::{add, columns, find, run};

/// Takes the steps of a change; `before` is what was known.
pub(super) fn apply(
    tx: &Transaction<'_>,
    layout: &Layout,
    lane: &Lane,
    before: Option<&Shape>,
    change: &Change,
) -> Result<()> {
    for step in &change.steps {
        match step {
            Step::Make => make(tx, layout, lane, &change.shape)?,
            Step::Add(column) => {
                for table in layout.tables() {
                    if let Some(there) = columns(tx, table)? {
                        add(tx, table, &there, column)?;
                    }
                }
            }
            Step::Retype { name, from, to } => {
                for table in layout.tables() {
                    retype(tx, lane, table, name, (from, to))?;
                }
            }
            Step::Rename { from, to } => {
                for table in layout.tables() {
                    if columns(tx, table)?.is_some_and(|there| find(&there, from).is_some()) {
                        let (table, from, to) = (quoted(table), quoted(from), quoted(to));
                        run(tx, &format!("ALTER TABLE {table} RENAME COLUMN {from} TO {to}"))?;
                    }
                }
            }
            Step::Moved(old) => moved(tx, old, layout, lane, &change.shape)?,
            Step::SetAside { suffix } => {
                let there = before.and_then(|shape| shape.layout.as_ref()).unwrap_or(layout);
                set_aside(tx, there, lane, suffix)?;
            }
        }
    }
    Ok(())
}
