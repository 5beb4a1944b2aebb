//! Where a chunk's values go, by its place.

use schemas::column::{Column, ColumnType, RowSchema};

use super::known::{Aside, Shape};
use crate::layout::Layout;
use crate::merge::Place;
use crate::table::lattice::{Widening, widened};

/// Where a chunk's values go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routes {
    /// The store's name of each of the chunk's columns, in their order.
    pub names: Vec<String>,
    /// What holds each, in the same order.
    pub kinds: Vec<ColumnType>,
    /// Columns of the tables that the chunk does not bring: its rows hold NULL there.
    pub missing: Vec<String>,
}

impl Shape {
    /// Where a chunk's values go, by its place.
    #[must_use]
    pub fn routes(&self, given: &RowSchema, place: Place, layout: &Layout) -> Routes {
        let (mut names, mut kinds) = (Vec::new(), Vec::new());
        for column in &given.columns {
            let known = self.known.columns.iter().find(|known| known.name == column.name);
            let (name, kind) = match self.aside_of(column, place) {
                Some(aside) => (aside.name.clone(), &aside.kind),
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
        Routes {
            names,
            kinds,
            missing: missing.into_iter().map(|column| column.name).collect(),
        }
    }

    /// The column set aside that an older chunk's values go to, where they do. The place tells
    /// which one it was; the type may know better, for not every chunk of a change was seen.
    pub(super) fn aside_of(&self, column: &Column, place: Place) -> Option<&Aside> {
        if self.newest.is_none_or(|newest| place >= newest) {
            return None;
        }
        let mut asides: Vec<&Aside> = self
            .aside
            .iter()
            .filter(|aside| aside.column == column.name)
            .collect();
        asides.sort_by_key(|aside| (place >= aside.until, aside.until));
        let at = asides.first().copied().filter(|aside| place < aside.until);
        let holds =
            |kind: &ColumnType| matches!(widened(kind, &column.kind), Widening::Alike | Widening::Narrower);
        if at.is_some_and(|aside| holds(&aside.kind)) {
            return at;
        }
        let known = self.known.columns.iter().find(|known| known.name == column.name);
        if known.is_some_and(|known| holds(&known.kind)) {
            return None;
        }
        asides.into_iter().find(|aside| holds(&aside.kind)).or(at)
    }
}
