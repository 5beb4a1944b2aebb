//! What is done to a lane's tables, each step within the transaction that notes it.
//!
//! - `there` what is there; `make` tables; `retype` wider types; `moved` other names

mod make;
mod moved;
mod retype;
mod there;

use schemas::name::Lane;

use super::session::Session;
use crate::error::Result;
use crate::layout::Layout;
use crate::table::quoted;
use crate::table::shape::{Change, Shape, Step};
use make::make;
use moved::{moved, set_aside};
use retype::retype;
use there::{add, columns, has};

/// Takes the steps of a change; `before` is what was known.
pub(super) async fn apply(
    session: &Session,
    layout: &Layout,
    lane: &Lane,
    before: Option<&Shape>,
    change: &Change,
) -> Result<()> {
    for step in &change.steps {
        match step {
            Step::Make => make(session, layout, lane, &change.shape).await?,
            Step::Add(column) => {
                for table in layout.tables() {
                    if let Some(there) = columns(session, layout, table).await? {
                        add(session, layout, table, &there, column).await?;
                    }
                }
            }
            Step::Retype { name, from, to } => {
                for table in layout.tables() {
                    retype(session, layout, lane, table, (name, from, to)).await?;
                }
            }
            Step::Rename { from, to } => {
                for table in layout.tables() {
                    if columns(session, layout, table)
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
            Step::Moved(old) => moved(session, old, layout, lane, &change.shape).await?,
            Step::SetAside { suffix } => {
                let there = before.and_then(|shape| shape.layout.as_ref()).unwrap_or(layout);
                set_aside(session, there, lane, suffix).await?;
            }
        }
    }
    Ok(())
}
