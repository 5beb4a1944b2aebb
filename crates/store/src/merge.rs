//! PURE: which version of a row wins.
//!
//! A chunk's place, `(epoch, number)`, compares lexicographically, and every stored row keeps
//! the place it came from. An older version never overwrites a newer one, so any number of
//! pollers, in any order, come to the same table. The exchange's sequence would not do: it
//! repeats after a restore, and what is sent again gets a higher one.
//!
//! Rows go to the receiver sorted by key, so that two pollers that store overlapping rows take
//! their locks in the same order.

use jiff::Timestamp;
use schemas::column::{ColumnType, RowSchema};
use schemas::key::pack_key;
use schemas::manifest::{Link, Manifest};
use schemas::rows::RowError;
use schemas::tombstone;
use schemas::value::Value;
use serde::{Deserialize, Serialize};

use crate::frontier::Frontier;
use crate::port::Arrival;

/// Where a chunk stands in its lane; the order of versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The epoch, counted from 1.
    pub epoch: u32,
    /// The number in the epoch, counted from 1.
    pub number: u64,
}

impl Place {
    /// The place before the first chunk of all.
    pub const BEGINNING: Self = Self { epoch: 1, number: 0 };
}

/// Whether a version from `new` replaces one from `old`. The same place does not: storing it
/// again changes nothing.
#[must_use]
pub fn supersedes(new: Place, old: Place) -> bool {
    new > old
}

/// What a version does to the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The row is written, over an older one where there is one.
    Write,
    /// The row is removed, where there is one, and a tombstone is left.
    Remove,
    /// Nothing: what stands there is as new or newer.
    Keep,
}

/// The tombstone rule: a version from `place` against the row that stands there and the
/// tombstone that was left there.
///
/// Trap: without the tombstone an older chunk that comes late would resurrect a deleted row.
#[must_use]
pub fn effect(place: Place, deleted: bool, row: Option<Place>, tombstone: Option<Place>) -> Effect {
    let newest = row.max(tombstone);
    match (newest.is_none_or(|there| supersedes(place, there)), deleted) {
        (false, _) => Effect::Keep,
        (true, true) => Effect::Remove,
        (true, false) => Effect::Write,
    }
}

/// Whether a tombstone may be dropped: every chunk that is older is stored, so none can come
/// and resurrect the row, and none is in quarantine to be released later.
#[must_use]
pub fn tombstone_passed(tombstone: Place, frontier: &Frontier) -> bool {
    tombstone <= last_passed(frontier)
}

/// The last place whose tombstones may be dropped.
#[must_use]
pub fn last_passed(frontier: &Frontier) -> Place {
    let mut last = frontier.place();
    if let Some(lowest) = frontier.lowest_quarantined {
        // A tombstone of the very chunk in quarantine has nothing below it to fear.
        last = last.min(lowest);
    }
    last
}

/// One row's version, of the chunks that were folded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The key in its one form ([`schemas::key`]); two of one key are the same bytes. Also the sort order.
    pub key: Vec<u8>,
    /// The place of its chunk.
    pub place: Place,
    /// Which of the folded arrivals it came in.
    pub arrival: usize,
    /// Its row in that chunk, counted from 0.
    pub ordinal: u64,
    /// Whether it deletes.
    pub deleted: bool,
    at: usize,
}

/// Rows of one schema: each key once and sorted by key, or every version in its order.
#[derive(Debug, Clone, Default)]
pub struct Fold<'a> {
    /// The versions.
    pub versions: Vec<Version>,
    values: Vec<Value<'a>>,
    width: usize,
}

impl<'a> Fold<'a> {
    /// The values of a version, in the order of the schema's columns.
    #[must_use]
    pub fn values(&self, version: &Version) -> &[Value<'a>] {
        self.values
            .get(version.at..version.at + self.width)
            .unwrap_or_default()
    }
}

/// Folds arrivals that share a schema: of each key the last version wins, by place, and within
/// a chunk by its order. Each arrival is given with the index that its versions are marked by.
///
/// # Errors
/// [`RowError`] when a body does not read, which a verified chunk's does.
pub fn fold<'a>(schema: &RowSchema, arrivals: &[(usize, &'a Arrival)]) -> Result<Fold<'a>, RowError> {
    Ok(every(schema, arrivals)?.newest(|_| true))
}

/// Every version of arrivals that share a schema, in the order of their places, and within a
/// chunk in its order.
///
/// # Errors
/// [`RowError`] when a body does not read, which a verified chunk's does.
pub fn every<'a>(schema: &RowSchema, arrivals: &[(usize, &'a Arrival)]) -> Result<Fold<'a>, RowError> {
    let keys = schema.key_indices().unwrap_or_default();
    let tombstone = schema.tombstone_index();
    let width = schema.columns.len();
    let kind = |index: &usize| schema.columns.get(*index).map(|column| &column.kind);
    let kinds: Vec<&ColumnType> = keys.iter().filter_map(kind).collect();
    let (mut values, mut versions, mut row) = (Vec::new(), Vec::new(), Vec::new());
    for (arrival, given) in arrivals {
        let place = Place::of(given);
        let mut rows = given.chunk.rows();
        let mut ordinal = 0;
        while rows.next_into(&mut row)? {
            let at = values.len();
            let value = |index: usize| row.get(index).copied().unwrap_or(Value::Null);
            let mut packed = Vec::with_capacity(16);
            let parts = keys.iter().zip(&kinds);
            pack_key(parts.map(|(index, kind)| (*kind, value(*index))), &mut packed)?;
            let deleted = tombstone.is_some_and(|index| is_deleted(schema, index, value(index)));
            versions.push(Version {
                key: packed,
                place,
                arrival: *arrival,
                ordinal,
                deleted,
                at,
            });
            values.extend_from_slice(&row);
            ordinal += 1;
        }
    }
    versions.sort_by_key(|version| version.place);
    Ok(Fold {
        versions,
        values,
        width,
    })
}

/// Whether a mark deletes its row. A publisher of an earlier version may have sent a value that is no known mark: such a
/// row stays, with its mark in sight, because what is deleted by mistake cannot be found again.
fn is_deleted(schema: &RowSchema, index: usize, mark: Value<'_>) -> bool {
    let kind = schema.columns.get(index).map(|column| &column.kind);
    kind.is_some_and(|kind| tombstone::is_deleted(kind, mark, Timestamp::MAX) == Ok(true))
}

impl<'a> Fold<'a> {
    /// Of each key the newest of the versions that are wanted, sorted by key.
    #[must_use]
    pub fn newest(mut self, wanted: impl Fn(&Version) -> bool) -> Self {
        self.versions.retain(wanted);
        // The newest of a key comes first and stays.
        self.versions.sort_unstable_by(|a, b| {
            a.key
                .cmp(&b.key)
                .then_with(|| (b.place, b.ordinal).cmp(&(a.place, a.ordinal)))
        });
        self.versions.dedup_by(|later, first| later.key == first.key);
        self
    }
}

impl Place {
    /// The place of an arrival.
    #[must_use]
    pub fn of(arrival: &Arrival) -> Self {
        Self::of_manifest(&arrival.chunk.manifest)
    }

    /// The place that a manifest names.
    #[must_use]
    pub fn of_manifest(manifest: &Manifest) -> Self {
        Self {
            epoch: manifest.epoch,
            number: manifest.number,
        }
    }

    /// The place that a link names.
    #[must_use]
    pub fn of_link(link: &Link) -> Self {
        Self {
            epoch: link.epoch,
            number: link.number,
        }
    }
}

#[cfg(test)]
mod tests;
