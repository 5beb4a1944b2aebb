//! The known shape of a lane's tables, as it is stored with the lane.

use std::collections::BTreeSet;

use schemas::column::{Column, ColumnType, RowSchema};
use serde::{Deserialize, Serialize};

use crate::chunk_number::ChunkNumber;
use crate::layout::Layout;
use crate::table::schema_change::{PendingChange, SchemaChange};

/// The known shape of a lane's tables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// All columns ever received, each with the type that holds all its values.
    #[serde(flatten)]
    pub known: RowSchema,
    /// The chunk number from which on it is valid; `None` if an older version of the program wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<ChunkNumber>,
    /// Columns that are no longer sent.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub gone: BTreeSet<String>,
    /// Columns that a change of type retired.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retired_columns: Vec<RetiredColumn>,
    /// Approved changes that no chunk has made yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted: Vec<SchemaChange>,
    /// The layout with which the tables were created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<Layout>,
}

/// A column as it was before a chunk number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetiredColumn {
    /// Its name in the feed.
    pub column: String,
    /// Its type.
    #[serde(flatten)]
    pub kind: ColumnType,
    /// Its name at the store.
    pub name: String,
    /// The chunk number from which on another column has the name.
    pub until: ChunkNumber,
}

impl Shape {
    /// Returns the shape of the first chunk.
    #[must_use]
    pub fn first(given: &RowSchema, chunk_number: ChunkNumber, layout: &Layout) -> Self {
        Self {
            known: given.clone(),
            newest: Some(chunk_number),
            gone: BTreeSet::new(),
            retired_columns: Vec::new(),
            accepted: Vec::new(),
            layout: Some(layout.clone()),
        }
    }

    /// Applies an operator's approval: the change is made when a chunk needs it.
    pub fn accept(&mut self, pending: &PendingChange) {
        for change in &pending.changes {
            if !self.accepted.contains(change) {
                self.accepted.push(change.clone());
            }
        }
    }

    /// Returns all columns with the store's names, retired ones last.
    #[must_use]
    pub fn columns(&self, layout: &Layout) -> Vec<Column> {
        let known = self.known.columns.iter().map(|column| Column {
            name: layout.column(&column.name).to_owned(),
            ..column.clone()
        });
        let retired_columns = self.retired_columns.iter().map(|retired_columns| Column {
            name: retired_columns.name.clone(),
            kind: retired_columns.kind.clone(),
            nullable: true,
        });
        known.chain(retired_columns).collect()
    }
}
