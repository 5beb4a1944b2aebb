//! A feed that can be served, as [`check`](super::check) returns it.

use schemas::column::{ColumnType, RowSchema};

use crate::cursor_format::CursorFormat;
use crate::error::Error;
use crate::keyset::{Keyset, column};
use crate::missing_index::MissingIndex;

/// A feed that can be served.
#[derive(Debug, Clone)]
pub(super) struct CheckedFeed {
    pub(super) schema: RowSchema,
    /// Indices of the cursor columns in a row.
    pub(super) cursor: Vec<usize>,
    pub(super) keyset: Keyset,
    /// Whether the schema proves that no cursor is null.
    pub(super) never_null: bool,
    /// Whether the first cursor column is the rowid, which only holds integers.
    pub(super) by_rowid: bool,
    /// The declared type of the first cursor column. As part of the key it may be sent as another type.
    pub(super) first_kind: Option<ColumnType>,
    /// The error of a key that occurs twice in one read, or `None` if the schema proves that none does.
    pub(super) key_repeated: Option<Error>,
    /// The table that numbers the cursor and records the last number.
    pub(super) numbered_by: Option<String>,
    /// Indexes that the cursor needs and that do not exist.
    pub(super) missing_indexes: Vec<MissingIndex>,
}

impl CheckedFeed {
    /// Excludes rows of another format from the order.
    pub(super) fn restrict_to(&mut self, format: &CursorFormat) {
        let first = self.keyset.cursor.first().filter(|_| !self.by_rowid);
        self.keyset.only = first.map(|first| format.sqlite(&column(&first.name)));
    }
}
