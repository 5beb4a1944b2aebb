//! Tables under other names: renamed by their owner, or set aside by us.

use schemas::name::Lane;

use super::super::failure;
use super::super::session::Session;
use super::there::{columns, has};
use crate::error::{Error, Result};
use crate::layout::{Layout, with_suffix};
use crate::table::quoted;
use crate::table::shape::Shape;

/// The configuration names other tables or columns than those that hold the rows: right once they
/// were renamed.
pub(super) async fn moved(
    session: &Session,
    old: &Layout,
    new: &Layout,
    lane: &Lane,
    shape: &Shape,
) -> Result<()> {
    let pairs = [
        (old.mode.keeps_current(), &old.table, &new.table),
        (old.mode.keeps_history(), &old.history, &new.history),
    ];
    for (_, from, to) in pairs.into_iter().filter(|(kept, ..)| *kept) {
        let (was, is) = (old.sql(from), new.sql(to));
        if was != is && columns(session, old, from).await?.is_some() {
            return Err(Error::of_lane(
                lane,
                format!("its rows are in {was}, and the configuration says {is}"),
                "stop the agents, rename the table (ALTER TABLE … RENAME TO, SET SCHEMA) and start them again, or put the \
                 old name back",
            ));
        }
    }
    for table in new.tables() {
        let Some(there) = columns(session, new, table).await? else {
            continue;
        };
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
pub(super) async fn set_aside(session: &Session, layout: &Layout, lane: &Lane, suffix: &str) -> Result<()> {
    for table in layout.tables() {
        if columns(session, layout, table).await?.is_some() {
            let (from, to) = (layout.sql(table), quoted(&with_suffix(table, suffix)));
            session.run(&format!("ALTER TABLE {from} RENAME TO {to}")).await?;
        }
    }
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
