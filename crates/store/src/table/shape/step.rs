//! Changes of the tables, independent of the database.

use schemas::column::{Column, ColumnType};

use super::stored_shape::Shape;
use crate::layout::Layout;

/// One change of the tables. Names are the store's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Create missing tables, with all columns.
    Make,
    /// Add a column.
    Add(Column),
    /// Give a column a wider type.
    Retype {
        /// Its name.
        name: String,
        /// Its old type.
        from: ColumnType,
        /// Its new type.
        to: ColumnType,
    },
    /// Rename a column.
    Rename {
        /// From this name.
        from: String,
        /// To this one.
        to: String,
    },
    /// The configuration names other tables: check that they were renamed.
    Moved(Layout),
    /// Rename the tables to begin new ones; tombstones of the old key are deleted.
    SetAside {
        /// The suffix of the new names.
        suffix: String,
    },
}

/// A change of the tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The shape afterwards.
    pub shape: Shape,
    /// The steps.
    pub steps: Vec<Step>,
}
