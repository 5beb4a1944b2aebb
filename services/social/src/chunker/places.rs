//! Where named columns stand in a row.

use std::sync::Arc;

use schemas::column::RowSchema;

use super::ChunkerError;

/// Places in the row that is sent.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) schema: Arc<RowSchema>,
    pub(super) key: Vec<usize>,
    pub(super) tombstone: Option<usize>,
}

impl Sent {
    /// By its columns.
    pub(super) fn of(sent: &RowSchema) -> Result<Self, ChunkerError> {
        let tombstone = sent.tombstone.as_ref();
        Ok(Self {
            key: places(sent, "key", &sent.key)?,
            tombstone: tombstone.map(|name| place(sent, "tombstone", name)).transpose()?,
            schema: Arc::new(sent.clone()),
        })
    }
}

/// The place of a column, which is named as `what`.
fn place(schema: &RowSchema, what: &'static str, name: &str) -> Result<usize, ChunkerError> {
    schema.index_of(name).ok_or_else(|| ChunkerError::Column {
        what,
        name: name.to_owned(),
    })
}

/// The places of columns.
pub(super) fn places(
    schema: &RowSchema,
    what: &'static str,
    names: &[String],
) -> Result<Vec<usize>, ChunkerError> {
    names.iter().map(|name| place(schema, what, name)).collect()
}
