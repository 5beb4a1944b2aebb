//! PURE: compares a lane's rows in two stores: by canonical key, column by column.
//!
//! The caller passes the rows of both stores twice, in any order. The first pass keeps a digest for each row and finds the
//! keys that differ; the second one keeps their values and finds the columns. So the memory that is needed is that of the
//! digests and of the differing rows, not of the tables.
//!
//! The first store is the *expected* one, for example a rebuilt one, and has a known end: a row of the other store of a later
//! chunk is *newer*, which is no difference.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use schemas::digest::Digest;

use crate::chunk_number::ChunkNumber;
use crate::contents::{LaneContents, StoredRow};

/// The maximum number of differing rows whose values are kept. All are counted.
pub const MAX_KEPT: usize = 100_000;

/// The name of the difference between the chunk numbers of two versions of a row with equal values.
pub const VERSION: &str = "(chunk)";

/// A row without its values: a part of its digest, and its chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fingerprint {
    values: [u8; 16],
    chunk_number: ChunkNumber,
}

/// A part of the digest of a key.
type KeyDigest = [u8; 16];

/// Values by column name.
pub type RowValues = BTreeMap<String, Option<String>>;

/// How the rows of two stores differ.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableDifferences {
    /// Rows of the expected store.
    pub expected: u64,
    /// Rows of the other store.
    pub found: u64,
    /// Rows that are equal in all columns and are of the same chunk.
    pub equal: u64,
    /// Rows that the other store lacks.
    pub missing: u64,
    /// Rows that only the other store has.
    pub surplus: u64,
    /// Rows with the same key and other values, or of another chunk.
    pub differing: u64,
    /// Rows of the other store of chunks beyond the end of the expected one.
    pub newer: u64,
    /// Rows with the same key more than once in one store.
    pub repeated: u64,
    /// The number of differing rows by column; [`VERSION`] where only the chunk differs.
    pub columns: BTreeMap<String, u64>,
    /// Columns that only the expected store has, and columns that only the other one has.
    pub unmatched_columns: [Vec<String>; 2],
    /// Rows that differ, up to [`MAX_KEPT`], by their keys.
    pub rows: Vec<RowDifference>,
}

/// One row that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowDifference {
    /// The values of its key.
    pub key: Vec<Option<String>>,
    /// What differs: columns of a row in both, or that it is only in one.
    pub kind: RowDifferenceKind,
}

/// How a row differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowDifferenceKind {
    /// The other store lacks it.
    Missing,
    /// Only the other store has it.
    Surplus,
    /// Both have it, with other values in these columns: expected, found.
    Columns(BTreeMap<String, [Option<String>; 2]>),
}

impl TableDifferences {
    /// Returns whether there is no difference.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.missing + self.surplus + self.differing + self.repeated == 0
            && self.unmatched_columns.iter().all(Vec::is_empty)
    }
}

/// The comparison of a lane's table.
#[derive(Debug)]
pub struct TableComparison {
    end: ChunkNumber,
    key: Vec<String>,
    /// The names of both stores' columns, in their order.
    names: [Vec<String>; 2],
    expected: HashMap<KeyDigest, Fingerprint>,
    /// The keys whose values are needed.
    open: BTreeSet<KeyDigest>,
    kept: [HashMap<KeyDigest, (ChunkNumber, RowValues)>; 2],
    differences: TableDifferences,
}

impl TableComparison {
    /// Begins a comparison of a lane in two stores.
    #[must_use]
    pub fn new(expected: &LaneContents, found: &LaneContents) -> Self {
        let names = [expected, found].map(|lane| {
            let names = lane.columns.iter().map(|column| column.name.clone());
            names.collect::<Vec<String>>()
        });
        let only = |these: &[String], others: &[String]| {
            let unmatched = these.iter().filter(|name| !others.contains(name));
            unmatched.cloned().collect::<Vec<String>>()
        };
        let [left, right] = &names;
        Self {
            end: expected.frontier,
            key: expected.key.clone(),
            differences: TableDifferences {
                unmatched_columns: [only(left, right), only(right, left)],
                ..TableDifferences::default()
            },
            names,
            expected: HashMap::new(),
            open: BTreeSet::new(),
            kept: [HashMap::new(), HashMap::new()],
        }
    }

    /// First pass: takes a row of the expected store.
    pub fn expect(&mut self, row: &StoredRow<'_>) {
        self.differences.expected += 1;
        let fingerprint = self.fingerprint(0, row);
        if self.expected.insert(key_digest(row), fingerprint).is_some() {
            self.differences.repeated += 1;
        }
    }

    /// First pass: takes a row of the other store, after all of the expected one.
    pub fn find(&mut self, row: &StoredRow<'_>) {
        self.differences.found += 1;
        let key = key_digest(row);
        if row.chunk_number > self.end {
            self.differences.newer += 1;
            self.expected.remove(&key);
            return;
        }
        let fingerprint = self.fingerprint(1, row);
        match self.expected.remove(&key) {
            Some(expected) if expected == fingerprint => self.differences.equal += 1,
            Some(_) => {
                self.differences.differing += 1;
                self.open(key);
            }
            None if self.open.contains(&key) => self.differences.repeated += 1,
            None => {
                self.differences.surplus += 1;
                self.open(key);
            }
        }
    }

    fn open(&mut self, key: KeyDigest) {
        if self.open.len() < MAX_KEPT {
            self.open.insert(key);
        }
    }

    /// Ends the first pass. Returns whether a second one is needed.
    pub fn end_first_pass(&mut self) -> bool {
        self.differences.missing = self.expected.len() as u64;
        let missing: Vec<KeyDigest> = self.expected.drain().map(|(key, _)| key).collect();
        for key in missing {
            self.open(key);
        }
        !self.open.is_empty()
    }

    /// Second pass: takes a row of the expected store.
    pub fn keep_expected(&mut self, row: &StoredRow<'_>) {
        self.keep(0, row);
    }

    /// Second pass: takes a row of the other store.
    pub fn keep_found(&mut self, row: &StoredRow<'_>) {
        self.keep(1, row);
    }

    fn keep(&mut self, side: usize, row: &StoredRow<'_>) {
        let key = key_digest(row);
        if !self.open.contains(&key) {
            return;
        }
        let names = self.names.get(side).map(Vec::as_slice).unwrap_or_default();
        let values = names.iter().zip(row.values);
        let values = values.map(|(name, value)| (name.clone(), value.as_deref().map(str::to_owned)));
        let kept = (row.chunk_number, values.collect());
        if let Some(side) = self.kept.get_mut(side) {
            side.insert(key, kept);
        }
    }

    /// Returns the differences, by key.
    #[must_use]
    pub fn finish(mut self) -> TableDifferences {
        let [expected, mut found] = std::mem::take(&mut self.kept);
        let key_of = |values: &RowValues| {
            let part = |name: &String| values.get(name).cloned().flatten();
            self.key.iter().map(part).collect::<Vec<_>>()
        };
        let mut rows = Vec::new();
        for (digest, (chunk_number, values)) in expected {
            let key = key_of(&values);
            let Some((other_number, others)) = found.remove(&digest) else {
                rows.push(RowDifference {
                    key,
                    kind: RowDifferenceKind::Missing,
                });
                continue;
            };
            let mut columns = BTreeMap::new();
            for (name, value) in &values {
                let other = others.get(name);
                if let Some(other) = other.filter(|other| *other != value) {
                    columns.insert(name.clone(), [value.clone(), other.clone()]);
                }
            }
            if chunk_number != other_number {
                let number = |chunk: ChunkNumber| Some(format!("{}.{}", chunk.epoch, chunk.number));
                columns.insert(VERSION.to_owned(), [number(chunk_number), number(other_number)]);
            }
            for name in columns.keys() {
                *self.differences.columns.entry(name.clone()).or_default() += 1;
            }
            rows.push(RowDifference {
                key,
                kind: RowDifferenceKind::Columns(columns),
            });
        }
        rows.extend(found.into_values().map(|(_, values)| RowDifference {
            key: key_of(&values),
            kind: RowDifferenceKind::Surplus,
        }));
        rows.sort_by(|a, b| a.key.cmp(&b.key));
        self.differences.rows = rows;
        self.differences
    }

    /// Returns the fingerprint of a row's values in the columns that both stores have, in the order of their names.
    fn fingerprint(&self, side: usize, row: &StoredRow<'_>) -> Fingerprint {
        let [left, right] = &self.names;
        let (own, other) = if side == 0 { (left, right) } else { (right, left) };
        let mut values: Vec<(&String, &Option<Cow<'_, str>>)> = own
            .iter()
            .zip(row.values)
            .filter(|(name, _)| other.contains(name))
            .collect();
        values.sort_by_key(|(name, _)| *name);
        let mut bytes = Vec::new();
        for (_, value) in values {
            match value {
                None => bytes.push(0),
                Some(text) => {
                    bytes.push(1);
                    bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
                    bytes.extend_from_slice(text.as_bytes());
                }
            }
        }
        Fingerprint {
            values: half(Digest::of(&[&bytes])),
            chunk_number: row.chunk_number,
        }
    }
}

fn key_digest(row: &StoredRow<'_>) -> KeyDigest {
    half(Digest::of(&[row.key]))
}

/// Returns 128 bits of a digest: no two of a billion rows share them.
fn half(digest: Digest) -> [u8; 16] {
    let mut half = [0; 16];
    for (target, byte) in half.iter_mut().zip(digest.0) {
        *target = byte;
    }
    half
}

#[cfg(test)]
mod tests;
