//! PURE: the rows of a person in a chunk or in a part of an answer.

use std::collections::{BTreeMap, BTreeSet};

use schemas::encryption::DecryptionKeys;
use schemas::manifest::Content;
use schemas::name::RecipientName;
use schemas::rows::RowReader;
use schemas::value::Value;

use super::mark::{MatchedBy, PersonMark};

/// Rows about a person that one message carries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PersonRows {
    /// How many.
    pub rows: u64,
    /// Of these, rows that delete the row at the recipient.
    pub deleted: u64,
    /// The values of each row's key, as texts.
    pub keys: Vec<Vec<Option<String>>>,
    /// The columns by which the rows are about the person; none if the request names the person.
    pub matched: BTreeMap<String, BTreeSet<MatchedBy>>,
}

/// Why the rows of a message are not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowsUnknown {
    /// They are encrypted to a key that is missing.
    Encrypted,
    /// They cannot be read.
    Unreadable(String),
}

/// Opens the body of a message, verified or not.
///
/// # Errors
/// [`RowsUnknown`].
pub fn open_rows<M: schemas::chunk::RowMessage>(
    bytes: &[u8],
    keys: &DecryptionKeys,
) -> Result<(M, Vec<u8>), RowsUnknown> {
    match schemas::chunk::Verified::<M>::read(bytes, keys) {
        Ok(opened) => Ok((opened.manifest, opened.plain)),
        Err(error) if error.missing_key().is_some() => Err(RowsUnknown::Encrypted),
        Err(error) => Err(RowsUnknown::Unreadable(error.to_string())),
    }
}

/// Finds the rows about a person. `is_whole_answer` counts every row, because the request names the person.
///
/// # Errors
/// [`RowsUnknown::Unreadable`] if a row cannot be read.
pub fn find_rows(
    mark: &PersonMark,
    recipient: &RecipientName,
    content: &Content,
    plain: &[u8],
    is_whole_answer: bool,
) -> Result<PersonRows, RowsUnknown> {
    let schema = &content.schema;
    let columns = &schema.columns;
    let key = schema.key_indices().unwrap_or_default();
    let tombstone = schema.tombstone_index();
    let mut reader = RowReader::new(plain, columns.len(), content.totals.rows);
    let (mut found, mut row) = (PersonRows::default(), Vec::new());
    loop {
        let next = reader.next_into(&mut row);
        match next.map_err(|error| RowsUnknown::Unreadable(error.to_string())) {
            Ok(false) => return Ok(found),
            Ok(true) => {}
            Err(error) => return Err(error),
        }
        let matched = columns
            .iter()
            .zip(&row)
            .filter_map(|(column, value)| Some((column, mark.matches(recipient, *value)?)));
        let matched: Vec<_> = matched.collect();
        if matched.is_empty() && !is_whole_answer {
            continue;
        }
        found.rows += 1;
        let is_deleted = |index: usize| row.get(index).is_some_and(Value::is_tombstone);
        found.deleted += u64::from(tombstone.is_some_and(is_deleted));
        for (column, by) in matched {
            found.matched.entry(column.name.clone()).or_default().insert(by);
        }
        let part = |index: &usize| row.get(*index).and_then(|value| text(*value));
        found.keys.push(key.iter().map(part).collect());
    }
}

/// Returns the text of a value; `None` for null.
fn text(value: Value<'_>) -> Option<String> {
    match value.json() {
        serde_json::Value::Null => None,
        serde_json::Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}
