//! A feed that can be served, as [`check`](super::check) returns it.

use schemas::column::RowSchema;
use tokio_postgres::Column as WireColumn;

use super::cell::Wire;
use super::failure;
use super::guard::Facts;
use crate::error::{Error, Result};
use crate::keyset::Keyset;

/// A feed that can be served.
#[derive(Debug)]
pub(super) struct CheckedFeed {
    pub(super) schema: RowSchema,
    /// The columns as the database described them when the feed was opened.
    pub(super) shape: Vec<Described>,
    pub(super) wires: Vec<Wire>,
    /// Indices of the cursor columns in a row.
    pub(super) cursor: Vec<usize>,
    pub(super) keyset: Keyset,
    /// What the guard compares with each fence.
    pub(super) guard: Facts,
    /// Whether the catalogue proves that no cursor is null.
    pub(super) never_null: bool,
    /// The casts of the key's columns.
    pub(super) key_casts: Vec<String>,
    /// Indices of the key's columns in a row.
    pub(super) key: Vec<usize>,
    /// The error of a key that occurs twice in one read, or `None` if the catalogue proves that none does.
    pub(super) key_repeated: Option<Error>,
}

impl CheckedFeed {
    /// Checks that a statement sends the columns in the formats that were found when the feed was opened: bytes of another
    /// type could be read as a wrong value.
    ///
    /// # Errors
    /// The error of changed columns.
    pub(super) fn check_wires(&self, sent: &[WireColumn]) -> Result<()> {
        if sent
            .iter()
            .map(|column| Wire::for_type(column.type_()).0)
            .eq(self.wires.iter().copied())
        {
            Ok(())
        } else {
            Err(failure::changed())
        }
    }
}

/// A column as the database describes it: name, type, and the type's length or precision.
pub(super) type Described = (String, u32, i32);

/// Returns the columns as the database describes them.
pub(super) fn shape(columns: &[WireColumn]) -> Vec<Described> {
    let one = |column: &WireColumn| {
        (
            column.name().to_owned(),
            column.type_().oid(),
            column.type_modifier(),
        )
    };
    columns.iter().map(one).collect()
}
