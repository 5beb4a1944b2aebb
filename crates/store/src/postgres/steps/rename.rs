//! Renamed tables: by their owner, or by the store to begin new ones.

use super::super::session::Session;
use super::super::{failure, ownership};
use super::existing::{columns, has, own_columns};
use crate::error::{Error, Result};
use crate::layout::{LaneTables, Layout, Role, with_suffix};
use crate::ownership::FoundTable;
use crate::sql_name::quoted;
use crate::table::shape::Shape;

/// Checks renamed tables or columns: the configuration may name others than before once they were renamed.
pub(super) async fn verify_renamed(
    session: &Session,
    old: &Layout,
    tables: &LaneTables,
    shape: &Shape,
) -> Result<()> {
    let (new, lane) = (&tables.layout, &tables.lane);
    for (role, from) in old.roles() {
        let to = match role {
            Role::Current => &new.table,
            Role::History => &new.history,
        };
        let (was, is) = (old.sql(from), new.sql(to));
        let found = ownership::find_table(session, &tables.with_layout(old), role, from).await?;
        if was != is && matches!(found, FoundTable::Created | FoundTable::Adopted) {
            return Err(Error::of_lane(
                lane,
                format!("its rows are in {was}, and the configuration names {is}"),
                "stop the agents, rename the table (ALTER TABLE … RENAME TO, SET SCHEMA) and start them again, or put the \
                 old name back",
            ));
        }
    }
    for (role, table) in new.roles() {
        // The ownership decides who creates or adopts the table in the next step.
        let found = ownership::find_table(session, tables, role, table).await?;
        if !matches!(found, FoundTable::Created | FoundTable::Adopted) {
            continue;
        }
        let existing = columns(session, new, table).await?.unwrap_or_default();
        for column in &shape.known.columns {
            let (was, is) = (old.column(&column.name), new.column(&column.name));
            if was != is && has(&existing, was) {
                let table = new.sql(table);
                return Err(Error::of_lane(
                    lane,
                    format!("column {was:?} of {table} is called {is:?} in the configuration"),
                    format!(
                        "stop the agents, run ALTER TABLE {table} RENAME COLUMN {} TO {} and start them again, or put \
                         the old name back",
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
pub(super) async fn rename_old_tables(session: &Session, tables: &LaneTables, suffix: &str) -> Result<()> {
    let (layout, lane) = (&tables.layout, &tables.lane);
    for (role, table) in tables.roles() {
        if own_columns(session, tables, role, table).await?.is_some() {
            let retired_name = with_suffix(table, suffix);
            if ownership::find_table(session, tables, role, &retired_name).await? != FoundTable::Missing {
                return Err(Error::of_lane(
                    lane,
                    format!(
                        "{} cannot be renamed: there is already a table {}",
                        layout.sql(table),
                        layout.sql(&retired_name)
                    ),
                    "rename that table; it is retried",
                ));
            }
            let (from, to) = (layout.sql(table), quoted(&retired_name));
            session.run(&format!("ALTER TABLE {from} RENAME TO {to}")).await?;
        }
    }
    ownership::forget(session, tables).await?;
    session
        .client
        .execute(
            "DELETE FROM slacktide.tombstones WHERE recipient = $1 AND feed = $2",
            &[&lane.recipient.as_str(), &lane.feed.as_str()],
        )
        .await
        .map(|_| ())
        .map_err(|error| failure::of(&error))
}
