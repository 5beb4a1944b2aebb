//! Tables under other names: renamed by their owner, or set aside by us.

use super::super::session::Session;
use super::super::{claims, failure};
use super::there::{columns, has, own_columns};
use crate::claims::Found;
use crate::error::{Error, Result};
use crate::layout::{LaneTables, Layout, Role, with_suffix};
use crate::table::quoted;
use crate::table::shape::Shape;

/// The configuration names other tables or columns than those that hold the rows: right once they
/// were renamed.
pub(super) async fn moved(session: &Session, old: &Layout, tables: &LaneTables, shape: &Shape) -> Result<()> {
    let (new, lane) = (&tables.layout, &tables.lane);
    for (role, from) in old.roles() {
        let to = match role {
            Role::Current => &new.table,
            Role::History => &new.history,
        };
        let (was, is) = (old.sql(from), new.sql(to));
        let found = claims::look(session, &tables.with_layout(old), role, from).await?;
        if was != is && matches!(found, Found::Made | Found::Adopted) {
            return Err(Error::of_lane(
                lane,
                format!("its rows are in {was}, and the configuration says {is}"),
                "stop the agents, rename the table (ALTER TABLE … RENAME TO, SET SCHEMA) and start them again, or put the \
                 old name back",
            ));
        }
    }
    for (role, table) in new.roles() {
        // Whose it is decides who makes or takes over the table, which comes next.
        let found = claims::look(session, tables, role, table).await?;
        if !matches!(found, Found::Made | Found::Adopted) {
            continue;
        }
        let there = columns(session, new, table).await?.unwrap_or_default();
        for column in &shape.known.columns {
            let (was, is) = (old.column(&column.name), new.column(&column.name));
            if was != is && has(&there, was) {
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

/// Renames the tables, to begin new ones; tombstones of the old key go.
pub(super) async fn set_aside(session: &Session, tables: &LaneTables, suffix: &str) -> Result<()> {
    let (layout, lane) = (&tables.layout, &tables.lane);
    for (role, table) in tables.roles() {
        if own_columns(session, tables, role, table).await?.is_some() {
            let aside = with_suffix(table, suffix);
            if claims::look(session, tables, role, &aside).await? != Found::Nothing {
                return Err(Error::of_lane(
                    lane,
                    format!(
                        "{} cannot be set aside: there is a table {}",
                        layout.sql(table),
                        layout.sql(&aside)
                    ),
                    "rename that table; it is tried again",
                ));
            }
            let (from, to) = (layout.sql(table), quoted(&aside));
            session.run(&format!("ALTER TABLE {from} RENAME TO {to}")).await?;
        }
    }
    claims::forget(session, tables).await?;
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
