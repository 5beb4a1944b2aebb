//! PURE: which version of a row wins.
//!
//! A chunk number, `(epoch, number)`, compares lexicographically, and every stored row keeps the number of its chunk.
//! An older version never overwrites a newer one, so any number of pollers, in any order, produce the same table. The
//! exchange's sequence is not usable: it repeats after a restore, and a chunk that is sent again gets a higher one.
//!
//! Rows are written sorted by key, so that two pollers with overlapping rows lock them in the same order.

use jiff::Timestamp;
use schemas::column::{ColumnType, RowSchema};
use schemas::key::pack_key;
use schemas::rows::RowError;
use schemas::tombstone;
use schemas::value::Value;

use crate::arrival::Arrival;
use crate::frontier::Frontier;

pub use crate::chunk_number::ChunkNumber;

/// Returns whether a version from `new` replaces one from `old`. The same number does not replace: storing it again
/// changes nothing.
#[must_use]
pub fn supersedes(new: ChunkNumber, old: ChunkNumber) -> bool {
    new > old
}

/// What a version does to the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The row is written, over an older version if there is one.
    Write,
    /// The row is removed if it exists, and a tombstone is kept.
    Remove,
    /// Nothing: the table holds the same or a newer version.
    Keep,
}

/// Applies the tombstone rule to a version, the stored row and the tombstone of its key. Without the tombstone a late
/// older chunk would restore a deleted row.
#[must_use]
pub fn effect(
    chunk_number: ChunkNumber,
    deleted: bool,
    row: Option<ChunkNumber>,
    tombstone: Option<ChunkNumber>,
) -> Effect {
    let newest = row.max(tombstone);
    match (
        newest.is_none_or(|there| supersedes(chunk_number, there)),
        deleted,
    ) {
        (false, _) => Effect::Keep,
        (true, true) => Effect::Remove,
        (true, false) => Effect::Write,
    }
}

/// Returns whether a tombstone may be dropped: every older chunk is stored, so none can restore the row, and none is
/// in quarantine to be released later.
#[must_use]
pub fn tombstone_passed(tombstone: ChunkNumber, frontier: &Frontier) -> bool {
    tombstone <= last_passed(frontier)
}

/// Returns the last chunk number whose tombstones may be dropped.
#[must_use]
pub fn last_passed(frontier: &Frontier) -> ChunkNumber {
    let mut last = frontier.chunk_number();
    if let Some(lowest) = frontier.lowest_quarantined {
        // A tombstone of the quarantined chunk itself has no older chunk that could restore its row.
        last = last.min(lowest);
    }
    last
}

/// A version of a row from the merged chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The canonical key ([`schemas::key`]): equal keys have equal bytes. It is also the sort order.
    pub key: Vec<u8>,
    /// The number of its chunk.
    pub chunk_number: ChunkNumber,
    /// The index of its arrival.
    pub arrival: usize,
    /// Its row in that chunk, counted from 0.
    pub ordinal: u64,
    /// Whether it deletes the row.
    pub deleted: bool,
    at: usize,
}

/// Versions of rows of one schema: one for each key, sorted by key, or all in order.
#[derive(Debug, Clone, Default)]
pub struct Fold<'a> {
    /// The versions.
    pub versions: Vec<Version>,
    values: Vec<Value<'a>>,
    width: usize,
}

impl<'a> Fold<'a> {
    /// Returns the values of a version, in the order of the schema's columns.
    #[must_use]
    pub fn values(&self, version: &Version) -> &[Value<'a>] {
        self.values
            .get(version.at..version.at + self.width)
            .unwrap_or_default()
    }
}

/// Merges arrivals that share a schema: of each key the last version wins, by chunk number and then by the order in
/// the chunk. Each arrival is given with its index.
///
/// # Errors
/// [`RowError`] if a body cannot be read; the body of a verified chunk can be.
pub fn fold<'a>(schema: &RowSchema, arrivals: &[(usize, &'a Arrival)]) -> Result<Fold<'a>, RowError> {
    Ok(every(schema, arrivals)?.newest(|_| true))
}

/// Returns every version of arrivals that share a schema, ordered by chunk number and by the order in the chunk.
///
/// # Errors
/// [`RowError`] if a body cannot be read; the body of a verified chunk can be.
pub fn every<'a>(schema: &RowSchema, arrivals: &[(usize, &'a Arrival)]) -> Result<Fold<'a>, RowError> {
    let keys = schema.key_indices().unwrap_or_default();
    let tombstone = schema.tombstone_index();
    let width = schema.columns.len();
    let kind = |index: &usize| schema.columns.get(*index).map(|column| &column.kind);
    let kinds: Vec<&ColumnType> = keys.iter().filter_map(kind).collect();
    let rows_of = |(_, arrival): &(usize, &Arrival)| {
        let declared = usize::try_from(arrival.chunk.manifest.content.totals.rows).unwrap_or(usize::MAX);
        // A row has a byte for each value, and one more.
        declared.min(arrival.chunk.plain.len() / (width + 1))
    };
    let rows: usize = arrivals.iter().map(rows_of).sum();
    let (mut values, mut versions) = (Vec::with_capacity(rows * width), Vec::with_capacity(rows));
    for (arrival, given) in arrivals {
        let chunk_number = ChunkNumber::of(given);
        let mut rows = given.chunk.rows();
        let mut ordinal = 0;
        loop {
            let at = values.len();
            if !rows.append_next(&mut values)? {
                break;
            }
            let row = values.get(at..).unwrap_or_default();
            let value = |index: usize| row.get(index).copied().unwrap_or(Value::Null);
            let mut packed = Vec::with_capacity(16);
            let parts = keys.iter().zip(&kinds);
            pack_key(parts.map(|(index, kind)| (*kind, value(*index))), &mut packed)?;
            let deleted = tombstone.is_some_and(|index| is_deleted(schema, index, value(index)));
            versions.push(Version {
                key: packed,
                chunk_number,
                arrival: *arrival,
                ordinal,
                deleted,
                at,
            });
            ordinal += 1;
        }
    }
    versions.sort_by_key(|version| version.chunk_number);
    Ok(Fold {
        versions,
        values,
        width,
    })
}

/// Returns whether a tombstone value deletes its row. Publishers of earlier versions may have sent an unknown value:
/// such a row is kept with its value, because a wrongly deleted row cannot be found again.
fn is_deleted(schema: &RowSchema, index: usize, mark: Value<'_>) -> bool {
    let kind = schema.columns.get(index).map(|column| &column.kind);
    kind.is_some_and(|kind| tombstone::is_deleted(kind, mark, Timestamp::MAX) == Ok(true))
}

impl<'a> Fold<'a> {
    /// Returns the newest wanted version of each key, sorted by key.
    #[must_use]
    pub fn newest(mut self, wanted: impl Fn(&Version) -> bool) -> Self {
        self.versions.retain(wanted);
        // The newest version of a key is first and is kept.
        self.versions.sort_unstable_by(|a, b| {
            a.key
                .cmp(&b.key)
                .then_with(|| (b.chunk_number, b.ordinal).cmp(&(a.chunk_number, a.ordinal)))
        });
        self.versions.dedup_by(|later, first| later.key == first.key);
        self
    }
}

#[cfg(test)]
mod tests;
