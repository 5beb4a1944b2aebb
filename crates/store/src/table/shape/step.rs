//! What can be done to the tables, in words that both databases carry out.

use schemas::column::{Column, ColumnType};

use super::known::Shape;
use crate::layout::Layout;

/// Something to do to the tables. Names are the store's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Make the tables that are not there, with all columns.
    Make,
    /// Add a column.
    Add(Column),
    /// Give a column a wider type.
    Retype {
        /// Its name.
        name: String,
        /// What it holds.
        from: ColumnType,
        /// What it is to hold.
        to: ColumnType,
    },
    /// Rename a column.
    Rename {
        /// From this name.
        from: String,
        /// To this one.
        to: String,
    },
    /// The tables are elsewhere by the configuration: see that they were renamed.
    Moved(Layout),
    /// Rename the tables, to begin new ones; tombstones of the old key go.
    SetAside {
        /// What is put behind their names.
        suffix: String,
    },
}

/// A change of the tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What is known afterwards.
    pub shape: Shape,
    /// How they get there.
    pub steps: Vec<Step>,
}
