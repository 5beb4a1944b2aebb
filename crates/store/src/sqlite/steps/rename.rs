//! Renamed tables: by their owner, or by the store to begin new ones.

use rusqlite::{Connection, params};

use super::super::{failure, ownership};
use super::existing::{columns, find, own_columns, run};
use crate::error::{Error, Result};
use crate::layout::{LaneTables, Layout, Role, with_suffix};
use crate::ownership::FoundTable;
use crate::sql_name::quoted;
use crate::table::shape::Shape;

/// Checks renamed tables or columns: the configuration may name others than before once they were renamed.
pub(super) fn verify_renamed(
    tx: &Connection,
    old: &Layout,
    tables: &LaneTables,
    shape: &Shape,
) -> Result<()> {
    let (new, lane) = (&tables.layout, &tables.lane);
    for (role, was) in old.roles() {
        let is = match role {
            Role::Current => &new.table,
            Role::History => &new.history,
        };
        let found = ownership::find_table(tx, &tables.with_layout(old), role, was)?;
        if !was.eq_ignore_ascii_case(is) && matches!(found, FoundTable::Created | FoundTable::Adopted) {
            return Err(Error::of_lane(
                lane,
                format!("its rows are in {was:?}, and the configuration names {is:?}"),
                "stop the agents, run ALTER TABLE … RENAME TO and start them again, or put the old name back",
            ));
        }
    }
    for (role, table) in new.roles() {
        // The ownership decides who creates or adopts the table in the next step.
        let found = ownership::find_table(tx, tables, role, table)?;
        if !matches!(found, FoundTable::Created | FoundTable::Adopted) {
            continue;
        }
        let existing = columns(tx, table)?.unwrap_or_default();
        for column in &shape.known.columns {
            let (was, is) = (old.column(&column.name), new.column(&column.name));
            if was != is && find(&existing, was).is_some() {
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

/// Renames the tables to begin new ones; deletes tombstones of the old key.
pub(super) fn rename_old_tables(tx: &Connection, tables: &LaneTables, suffix: &str) -> Result<()> {
    let lane = &tables.lane;
    for (role, table) in tables.roles() {
        if own_columns(tx, tables, role, table)?.is_some() {
            let retired_name = with_suffix(table, suffix);
            if ownership::find_table(tx, tables, role, &retired_name)? != FoundTable::Missing {
                return Err(Error::of_lane(
                    lane,
                    format!("{table:?} cannot be renamed: there is already a table {retired_name:?}"),
                    "rename that table; it is retried",
                ));
            }
            let (from, to) = (quoted(table), quoted(&retired_name));
            run(tx, &format!("ALTER TABLE {from} RENAME TO {to}"))?;
        }
    }
    ownership::forget(tx, tables)?;
    tx.execute(
        "DELETE FROM slacktide_tombstones WHERE recipient = ?1 AND feed = ?2",
        params![lane.recipient.as_str(), lane.feed.as_str()],
    )
    .map(|_| ())
    .map_err(|error| failure::of(&error))
}
