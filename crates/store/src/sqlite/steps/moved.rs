//! Tables under other names: renamed by their owner, or set aside by us.

use rusqlite::{Transaction, params};
use schemas::name::Lane;

use super::super::failure;
use super::there::{columns, find, run};
use crate::error::{Error, Result};
use crate::layout::{Layout, with_suffix};
use crate::table::quoted;
use crate::table::shape::Shape;

/// The configuration names other tables or columns than those that hold the rows: right once they
/// were renamed.
pub(super) fn moved(
    tx: &Transaction<'_>,
    old: &Layout,
    new: &Layout,
    lane: &Lane,
    shape: &Shape,
) -> Result<()> {
    let pairs = [
        (old.mode.keeps_current(), &old.table, &new.table),
        (old.mode.keeps_history(), &old.history, &new.history),
    ];
    for (_, was, is) in pairs.into_iter().filter(|(kept, ..)| *kept) {
        if was != is && columns(tx, was)?.is_some() {
            return Err(Error::of_lane(
                lane,
                format!("its rows are in {was:?}, and the configuration says {is:?}"),
                "stop the agents, run ALTER TABLE … RENAME TO and start them again, or put the old name back",
            ));
        }
    }
    for table in new.tables() {
        let Some(there) = columns(tx, table)? else {
            continue;
        };
        for column in &shape.known.columns {
            let (was, is) = (old.column(&column.name), new.column(&column.name));
            if was != is && find(&there, was).is_some() {
                return Err(Error::of_lane(
                    lane,
                    format!("column {was:?} of {table:?} is called {is:?} in the configuration"),
                    format!(
                        "stop the agents, run ALTER TABLE {} RENAME COLUMN {} TO {} and start them again, or put the old \
                         name back",
                        quoted(table),
                        quoted(was),
                        quoted(is)
                    ),
                ));
            }
        }
    }
    Ok(())
}

/// Renames the tables, to begin new ones; tombstones of the old key go.
pub(super) fn set_aside(tx: &Transaction<'_>, layout: &Layout, lane: &Lane, suffix: &str) -> Result<()> {
    for table in layout.tables() {
        if columns(tx, table)?.is_some() {
            // The name of its index is wanted for the new one.
            let index = quoted(&with_suffix(table, "_by_key"));
            let (from, to) = (quoted(table), quoted(&with_suffix(table, suffix)));
            run(
                tx,
                &format!("DROP INDEX IF EXISTS {index}; ALTER TABLE {from} RENAME TO {to}"),
            )?;
        }
    }
    tx.execute(
        "DELETE FROM slacktide_tombstones WHERE recipient = ?1 AND feed = ?2",
        params![lane.recipient.as_str(), lane.feed.as_str()],
    )
    .map(|_| ())
    .map_err(|error| failure::of(&error))
}
