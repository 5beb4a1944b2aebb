//! PURE: the tables' shape, from what chunks say of their columns.
//!
//! Tables are made on first sight of a lane. Columns that come later widen them, and types that
//! became wider follow. A chunk that lacks columns and is older than they are is stored. Whatever
//! could lose a value or its meaning waits for an operator's word. Declared lengths and precisions
//! are not enforced here: a core that widens a column must not stop the feed, and no digit may be
//! rounded away.
//!
//! - [`lattice`] which types hold the values of which others
//! - [`shape`] what is known of a lane's tables, and what a chunk's columns ask of them
//! - [`asked`] what a person has to be asked, in words
//! - [`intake`] the chunks of one call against ledger and tables

pub mod asked;
pub mod intake;
pub mod lattice;
pub mod shape;

use crate::layout::Layout;
use crate::merge::Place;
use crate::port::Arrival;
use shape::{Routes, Shape};

/// The column that keeps a row's epoch.
pub const EPOCH: &str = "_slacktide_epoch";
/// The column that keeps a row's number.
pub const NUMBER: &str = "_slacktide_number";
/// In a table whose key's columns may hold one key in several spellings, or take two keys for one: the key in its one
/// form ([`schemas::key`]).
pub const KEY: &str = "_slacktide_key";
/// In a history: the row's place in its chunk, counted from 0.
pub const ORDINAL: &str = "_slacktide_ordinal";
/// In a history: whether the version deletes its row.
pub const DELETED: &str = "_slacktide_deleted";
/// In a history: when it was stored.
pub const STORED_AT: &str = "_slacktide_stored_at";
/// In a history: whether a later epoch has left its chunk behind.
pub const SUPERSEDED: &str = "_slacktide_superseded";

/// Arrivals that share their columns and where these go.
#[derive(Debug, Clone)]
pub struct Group<'a> {
    /// Where the values go.
    pub routes: Routes,
    /// The arrivals, each with its index in the call.
    pub arrivals: Vec<(usize, &'a Arrival)>,
}

/// Puts arrivals that share their columns together, in the order of their places.
#[must_use]
pub fn groups<'a>(shape: &Shape, layout: &Layout, arrivals: &[(usize, &'a Arrival)]) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for (index, arrival) in arrivals {
        let given = &arrival.chunk.manifest.schema;
        let routes = shape.routes(given, Place::of(arrival), layout);
        let last = groups.last_mut().filter(|group| {
            group.routes == routes
                && group.arrivals.last().is_some_and(|(_, other)| {
                    let known = &other.chunk.manifest.schema;
                    (&known.columns, &known.key, &known.tombstone)
                        == (&given.columns, &given.key, &given.tombstone)
                })
        });
        match last {
            Some(group) => group.arrivals.push((*index, arrival)),
            None => groups.push(Group {
                routes,
                arrivals: vec![(*index, arrival)],
            }),
        }
    }
    groups
}

/// A name in SQL, quoted.
#[must_use]
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Names in SQL, quoted, with commas between.
#[must_use]
pub fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(quoted).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_quotes() {
        assert_eq!(
            listed(["a", "b\"; DROP TABLE x; --"]),
            "\"a\", \"b\"\"; DROP TABLE x; --\""
        );
    }
}
