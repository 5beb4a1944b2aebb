//! PURE: which rows a chunk that repairs rows removes, and how the expected number of rows changes.
//!
//! Of the keys that the chunk names, the table has exactly the chunk's rows afterwards. So every other row of these keys is removed:
//! rows of keys that are gone at the source, and copies. Keys are named by digests, so they are computed of all rows.

use std::collections::BTreeSet;

use reconciliation::{MissingColumn, RowDigester};
use schemas::column::RowSchema;
use schemas::key_digest::KeyDigest;
use schemas::manifest::Repair;
use schemas::value::Value;

use crate::chunk_number::ChunkNumber;
use crate::error::{Error, ErrorKind};

/// Finds the rows that a chunk removes.
#[derive(Debug)]
pub(crate) struct RowSearch {
    digester: RowDigester,
    keys: BTreeSet<KeyDigest>,
    chunk_number: ChunkNumber,
}

impl RowSearch {
    /// Creates a search among rows with these columns.
    ///
    /// # Errors
    /// [`MissingColumn`] with a missing column of the key.
    pub(crate) fn new(
        schema: &RowSchema,
        repair: &Repair,
        chunk_number: ChunkNumber,
    ) -> Result<Self, MissingColumn> {
        Ok(Self {
            digester: RowDigester::new(schema, &repair.salt, &[], None)?,
            keys: repair.keys.clone(),
            chunk_number,
        })
    }

    /// Returns whether a row is removed. The chunk's rows and newer ones stay, and so do rows without a chunk, which belong to the
    /// owner of a table that existed before.
    pub(crate) fn removes(&mut self, of: ChunkNumber, row: &[Value<'_>]) -> bool {
        of.epoch > 0 && of < self.chunk_number && self.keys.contains(&self.digester.key(row))
    }
}

/// Returns the change of the number of rows that a table must have. It has `found` rows after the chunk, of `expected`, which counts
/// the `net` rows that the chunk added, and not the `removed` ones.
///
/// Rows that others removed were expected, and are added again; rows that others added were not, and are removed. What remains of
/// such a difference stays visible.
pub(crate) fn expected_change(expected: i64, found: i64, net: i64, removed: i64) -> i64 {
    let difference = expected - found - removed;
    let remains = if difference > 0 {
        (difference - net.max(0)).max(0)
    } else {
        (difference + removed).min(0)
    };
    found + remains - expected
}

impl From<MissingColumn> for Error {
    fn from(error: MissingColumn) -> Self {
        Self::new(
            ErrorKind::Database,
            format!("a repair cannot find its rows: {error}"),
            "report it",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repair_removes_older_rows_of_its_keys_only() {
        let schema = RowSchema {
            name: "claim".to_owned(),
            version: 1,
            columns: vec![schemas::column::Column {
                name: "id".to_owned(),
                kind: schemas::column::ColumnType::Int8,
                nullable: false,
            }],
            key: vec!["id".to_owned()],
            tombstone: None,
        };
        let mut digester = RowDigester::new(&schema, "salt", &[], None).unwrap();
        let repair = Repair {
            request: "20260131-0123456789abcdef".parse().unwrap(),
            salt: "salt".to_owned(),
            keys: BTreeSet::from([digester.key(&[Value::Int(1)])]),
        };
        let at = |epoch, number| ChunkNumber { epoch, number };
        let mut search = RowSearch::new(&schema, &repair, at(2, 5)).unwrap();
        for (of, id, wanted) in [
            (at(2, 4), 1, true),
            (at(1, 9), 1, true),
            (at(2, 4), 2, false),
            (at(2, 5), 1, false),
            (at(2, 6), 1, false),
            // A row of the table's owner.
            (at(0, 0), 1, false),
        ] {
            assert_eq!(search.removes(of, &[Value::Int(id)]), wanted, "{of:?} {id}");
        }
    }

    #[test]
    fn repair_expected_rows_keep_what_it_did_not_explain() {
        // (expected before, found before, added, removed) and the difference that remains.
        for (expected, found, net, removed, remains) in [
            (10, 10, 0, 0, 0),
            // Rows that the cursor missed, and keys that are gone at the source.
            (10, 10, 2, 0, 0),
            (10, 10, 0, 3, 0),
            (10, 10, 2, 3, 0),
            // Rows that others removed at the store, all or some of them.
            (10, 8, 2, 0, 0),
            (10, 5, 2, 0, 3),
            (10, 8, 2, 1, 0),
            // Rows that others added.
            (10, 12, 0, 2, 0),
            (10, 12, 1, 1, -1),
        ] {
            let (expected_after, found_after) = (expected + net, found + net - removed);
            let change = expected_change(expected_after, found_after, net, removed);
            let shown = expected_after + change - found_after;
            assert_eq!(shown, remains, "{expected} {found} {net} {removed}");
        }
    }
}
