//! Tables under other names: renamed by their owner, or set aside by us.

use rusqlite::{Transaction, params};

use super::super::{claims, failure};
use super::there::{columns, find, own_columns, run};
use crate::claims::Found;
use crate::error::{Error, Result};
use crate::layout::{LaneTables, Layout, Role, with_suffix};
use crate::table::quoted;
use crate::table::shape::Shape;

/// The configuration names other tables or columns than those that hold the rows: right once they
/// were renamed.
pub(super) fn moved(tx: &Transaction<'_>, old: &Layout, tables: &LaneTables, shape: &Shape) -> Result<()> {
    let (new, lane) = (&tables.layout, &tables.lane);
    for (role, was) in old.roles() {
        let is = match role {
            Role::Current => &new.table,
            Role::History => &new.history,
        };
        let found = claims::look(tx, &tables.with_layout(old), role, was)?;
        if !was.eq_ignore_ascii_case(is) && matches!(found, Found::Made | Found::Adopted) {
            return Err(Error::of_lane(
                lane,
                format!("its rows are in {was:?}, and the configuration says {is:?}"),
                "stop the agents, run ALTER TABLE … RENAME TO and start them again, or put the old name back",
            ));
        }
    }
    for (role, table) in new.roles() {
        // Whose it is decides who makes or takes over the table, which comes next.
        let found = claims::look(tx, tables, role, table)?;
        if !matches!(found, Found::Made | Found::Adopted) {
            continue;
        }
        let there = columns(tx, table)?.unwrap_or_default();
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
pub(super) fn set_aside(tx: &Transaction<'_>, tables: &LaneTables, suffix: &str) -> Result<()> {
    let lane = &tables.lane;
    for (role, table) in tables.roles() {
        if own_columns(tx, tables, role, table)?.is_some() {
            let aside = with_suffix(table, suffix);
            if claims::look(tx, tables, role, &aside)? != Found::Nothing {
                return Err(Error::of_lane(
                    lane,
                    format!("{table:?} cannot be set aside: there is a table {aside:?}"),
                    "rename that table; it is tried again",
                ));
            }
            let (from, to) = (quoted(table), quoted(&aside));
            run(tx, &format!("ALTER TABLE {from} RENAME TO {to}"))?;
        }
    }
    claims::forget(tx, tables)?;
    tx.execute(
        "DELETE FROM slacktide_tombstones WHERE recipient = ?1 AND feed = ?2",
        params![lane.recipient.as_str(), lane.feed.as_str()],
    )
    .map(|_| ())
    .map_err(|error| failure::of(&error))
}
