//! What is known of a lane's tables, as it is kept beside them.

use std::collections::BTreeSet;

use schemas::column::{Column, ColumnType, RowSchema};
use serde::{Deserialize, Serialize};

use crate::layout::Layout;
use crate::merge::Place;
use crate::table::asked::{Asked, Question};

/// What is known of a lane's tables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// All columns that ever came, each with the type that holds all its values.
    #[serde(flatten)]
    pub known: RowSchema,
    /// The place from which on it is so; none where an older version of the program wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<Place>,
    /// Columns that do not come any more.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub gone: BTreeSet<String>,
    /// Columns of another type that were set aside.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aside: Vec<Aside>,
    /// Changes that an operator has accepted and that no chunk has brought yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted: Vec<Asked>,
    /// Under which names the tables were made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<Layout>,
}

/// A column as it was before a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aside {
    /// Its name in the feed.
    pub column: String,
    /// What it holds.
    #[serde(flatten)]
    pub kind: ColumnType,
    /// Its name at the store.
    pub name: String,
    /// The place from which on another column has the name.
    pub until: Place,
}

impl Shape {
    /// Of the first chunk.
    #[must_use]
    pub fn first(given: &RowSchema, place: Place, layout: &Layout) -> Self {
        Self {
            known: given.clone(),
            newest: Some(place),
            gone: BTreeSet::new(),
            aside: Vec::new(),
            accepted: Vec::new(),
            layout: Some(layout.clone()),
        }
    }

    /// Takes an operator's word: what was asked is done when a chunk brings it.
    pub fn accept(&mut self, question: &Question) {
        for asked in &question.changes {
            if !self.accepted.contains(asked) {
                self.accepted.push(asked.clone());
            }
        }
    }

    /// All columns with the store's names, the ones set aside behind.
    #[must_use]
    pub fn columns(&self, layout: &Layout) -> Vec<Column> {
        let known = self.known.columns.iter().map(|column| Column {
            name: layout.column(&column.name).to_owned(),
            ..column.clone()
        });
        let aside = self.aside.iter().map(|aside| Column {
            name: aside.name.clone(),
            kind: aside.kind.clone(),
            nullable: true,
        });
        known.chain(aside).collect()
    }
}
