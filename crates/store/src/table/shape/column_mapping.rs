//! Maps a chunk's values to columns, by its chunk number.

use schemas::column::{Column, ColumnType, RowSchema};

use super::stored_shape::{RetiredColumn, Shape};
use crate::chunk_number::ChunkNumber;
use crate::layout::Layout;
use crate::table::type_widening::{Widening, widened};

/// The mapping of a chunk's values to columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnMapping {
    /// The store's name of each of the chunk's columns, in their order.
    pub names: Vec<String>,
    /// The type of each, in the same order.
    pub kinds: Vec<ColumnType>,
    /// Columns of the tables that the chunk lacks: its rows hold NULL there.
    pub missing: Vec<String>,
}

impl Shape {
    /// Returns the mapping of a chunk's values, by its chunk number.
    #[must_use]
    pub fn mapping(&self, columns: &RowSchema, chunk_number: ChunkNumber, layout: &Layout) -> ColumnMapping {
        let (mut names, mut kinds) = (Vec::new(), Vec::new());
        for column in &columns.columns {
            let known = self.known.columns.iter().find(|known| known.name == column.name);
            let (name, kind) = match self.retired_column(column, chunk_number) {
                Some(retired_columns) => (retired_columns.name.clone(), &retired_columns.kind),
                None => (
                    layout.column(&column.name).to_owned(),
                    known.map_or(&column.kind, |known| &known.kind),
                ),
            };
            names.push(name);
            kinds.push(kind.clone());
        }
        let mut missing = self.columns(layout);
        missing.retain(|column| !names.contains(&column.name));
        ColumnMapping {
            names,
            kinds,
            missing: missing.into_iter().map(|column| column.name).collect(),
        }
    }

    /// Returns the retired column for an older chunk's values, if any. The chunk number selects it; the type can
    /// correct that, because not every chunk of a change was received.
    pub(super) fn retired_column(
        &self,
        column: &Column,
        chunk_number: ChunkNumber,
    ) -> Option<&RetiredColumn> {
        if self.newest.is_none_or(|newest| chunk_number >= newest) {
            return None;
        }
        let mut retired: Vec<&RetiredColumn> = self
            .retired_columns
            .iter()
            .filter(|retired_columns| retired_columns.column == column.name)
            .collect();
        retired.sort_by_key(|retired_columns| (chunk_number >= retired_columns.until, retired_columns.until));
        let at = retired
            .first()
            .copied()
            .filter(|retired_columns| chunk_number < retired_columns.until);
        let holds =
            |kind: &ColumnType| matches!(widened(kind, &column.kind), Widening::Same | Widening::Narrower);
        if at.is_some_and(|retired_columns| holds(&retired_columns.kind)) {
            return at;
        }
        let known = self.known.columns.iter().find(|known| known.name == column.name);
        if known.is_some_and(|known| holds(&known.kind)) {
            return None;
        }
        retired
            .into_iter()
            .find(|retired_columns| holds(&retired_columns.kind))
            .or(at)
    }
}
