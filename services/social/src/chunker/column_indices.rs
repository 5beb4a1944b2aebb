//! Finds columns by name.

use std::sync::Arc;

use schemas::column::RowSchema;

use super::ChunkerError;

/// The columns of the row that is sent.
#[derive(Debug)]
pub(super) struct SentColumns {
    pub(super) schema: Arc<RowSchema>,
    pub(super) key: Vec<usize>,
    pub(super) tombstone: Option<usize>,
}

impl SentColumns {
    /// Finds the columns of the schema.
    pub(super) fn of(sent: &RowSchema) -> Result<Self, ChunkerError> {
        let tombstone = sent.tombstone.as_ref();
        Ok(Self {
            key: column_indices(sent, "key", &sent.key)?,
            tombstone: tombstone
                .map(|name| column_index(sent, "tombstone", name))
                .transpose()?,
            schema: Arc::new(sent.clone()),
        })
    }
}

/// Returns the index of a column; `what` names its role in the error.
fn column_index(schema: &RowSchema, what: &'static str, name: &str) -> Result<usize, ChunkerError> {
    schema.index_of(name).ok_or_else(|| ChunkerError::Column {
        what,
        name: name.to_owned(),
    })
}

/// Returns the indices of columns.
pub(super) fn column_indices(
    schema: &RowSchema,
    what: &'static str,
    names: &[String],
) -> Result<Vec<usize>, ChunkerError> {
    names
        .iter()
        .map(|name| column_index(schema, what, name))
        .collect()
}
