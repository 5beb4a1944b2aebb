//! PURE: the tables' shape, from the columns of chunks.
//!
//! Tables are created with the first chunk of a lane. New columns widen them, and wider types are followed. An older
//! chunk without a newer column is stored. A change that could lose a value or its meaning waits for an operator's
//! approval. Declared lengths and precisions are not enforced: a core that widens a column must not stop the feed,
//! and no digit may be rounded away.
//!
//! - [`type_widening`] which types hold the values of which others
//! - [`shape`] the shape of a lane's tables, and how a chunk's columns change it
//! - [`schema_change`] changes that need approval, and their descriptions
//! - [`column_names`] whether the columns of a chunk have names that its tables can have
//! - [`batch_plan`] judges the chunks of one call against ledger and tables

pub mod batch_plan;
pub mod column_names;
pub mod schema_change;
pub mod shape;
pub mod type_widening;

use crate::arrival::Arrival;
use crate::chunk_number::ChunkNumber;
use crate::layout::Layout;
use shape::{ColumnMapping, Shape};

/// The column of a row's epoch.
pub const EPOCH: &str = "_slacktide_epoch";
/// The column of a row's chunk number in the epoch.
pub const NUMBER: &str = "_slacktide_number";
/// The canonical key ([`schemas::key`]), in tables whose key columns may hold one key in several spellings or equate
/// two keys.
pub const KEY: &str = "_slacktide_key";
/// In a history: the row's number in its chunk, counted from 0.
pub const ORDINAL: &str = "_slacktide_ordinal";
/// In a history: whether the version deletes its row.
pub const DELETED: &str = "_slacktide_deleted";
/// In a history: when it was stored.
pub const STORED_AT: &str = "_slacktide_stored_at";
/// In a history: whether a later epoch superseded its chunk.
pub const SUPERSEDED: &str = "_slacktide_superseded";

/// The column of a row's request.
pub const REQUEST: &str = "_slacktide_request";
/// The column of a row's number in its answer, counted from 1.
pub const ROW_NUMBER: &str = "_slacktide_row_number";

/// Arrivals with the same columns and the same mapping.
#[derive(Debug, Clone)]
pub struct Group<'a> {
    /// The mapping of their columns.
    pub mapping: ColumnMapping,
    /// The arrivals, each with its index in the call.
    pub arrivals: Vec<(usize, &'a Arrival)>,
}

/// Groups arrivals with the same columns, in the order of their chunk numbers.
#[must_use]
pub fn groups<'a>(shape: &Shape, layout: &Layout, arrivals: &[(usize, &'a Arrival)]) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for (index, arrival) in arrivals {
        let given = &arrival.chunk.manifest.content.schema;
        let mapping = shape.mapping(given, ChunkNumber::of(arrival), layout);
        let last = groups.last_mut().filter(|group| {
            group.mapping == mapping
                && group.arrivals.last().is_some_and(|(_, other)| {
                    let known = &other.chunk.manifest.content.schema;
                    (&known.columns, &known.key, &known.tombstone)
                        == (&given.columns, &given.key, &given.tombstone)
                })
        });
        match last {
            Some(group) => group.arrivals.push((*index, arrival)),
            None => groups.push(Group {
                mapping,
                arrivals: vec![(*index, arrival)],
            }),
        }
    }
    groups
}
