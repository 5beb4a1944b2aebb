//! PURE: the rows of a repair, and the blocks made of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use reconciliation::{CoreState, Repaired};
use schemas::body::MAX_PLAIN_BYTES;
use schemas::column::RowSchema;
use schemas::cursor::Cursor;
use schemas::digest::Digest;
use schemas::key_digest::KeyDigest;
use schemas::load::Load;
use schemas::manifest::{Reject, Repair};
use schemas::request::RequestId;
use schemas::rows::{self, RowReader};
use schemas::source::SourceIdentity;
use schemas::value::Value;

use crate::row_batch::RowBatch;
use crate::row_batcher::{BatchError, Positions, RowBatcher};

/// The maximum size of the rows of one repair, which are in memory until the table was read.
const MAX_BYTES: usize = 4_000_000;

/// The maximum number of digests in one manifest.
const MAX_KEYS: usize = 1_000;

/// The rows that were found so far.
#[derive(Debug, Default)]
pub struct RepairRows {
    collected: Collected,
    bytes: usize,
    /// Whether a row was read whose key is not known.
    has_unknown_key: bool,
}

/// The rows of the keys that a repair asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// Packed rows with whether they are marked as deleted.
    rows: BTreeMap<KeyDigest, (Vec<u8>, bool)>,
    /// Keys that are gone at the core.
    gone: BTreeSet<KeyDigest>,
    /// Keys that are left as they are.
    left: BTreeSet<KeyDigest>,
}

impl RepairRows {
    /// Takes the row of an asked key, as it is sent. Rows that follow in the feed, or are rejects of it, are left to it.
    pub fn take(&mut self, key: KeyDigest, sent: &[Value<'_>], state: CoreState) {
        let is_deleted = match state {
            CoreState::Present => false,
            CoreState::Deleted => true,
            CoreState::Late | CoreState::Withheld | CoreState::Rejected => return self.leave(key),
        };
        let mut bytes = Vec::new();
        if rows::pack(sent, &mut bytes).is_err()
            || bytes.len() > MAX_PLAIN_BYTES
            || self.bytes + bytes.len() > MAX_BYTES
        {
            return self.leave(key);
        }
        self.bytes += bytes.len();
        self.collected.rows.insert(key, (bytes, is_deleted));
    }

    /// Leaves an asked key as it is.
    pub fn leave(&mut self, key: KeyDigest) {
        self.collected.left.insert(key);
    }

    /// Records a row whose key is not known: it may be one of the asked keys, so none is known to be gone.
    pub fn meet_unknown_key(&mut self) {
        self.has_unknown_key = true;
    }

    /// Returns what was found, after the last row of the table.
    #[must_use]
    pub fn finish(&self, asked: &BTreeSet<KeyDigest>) -> Collected {
        let mut collected = self.collected.clone();
        let is_found = |key: &&KeyDigest| collected.rows.contains_key(*key) || collected.left.contains(*key);
        let absent: BTreeSet<KeyDigest> = asked.iter().filter(|key| !is_found(key)).copied().collect();
        if self.has_unknown_key {
            collected.left.extend(absent);
        } else {
            collected.gone = absent;
        }
        collected
    }
}

impl Collected {
    /// Returns the numbers of rows to send and of keys that are gone.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.rows.len(), self.gone.len())
    }
}

/// A repair that was read, before it has a place in the lane.
#[derive(Debug)]
pub struct RepairDraft {
    /// The request that asked for it.
    pub request: RequestId,
    /// The salt of the digests.
    pub salt: String,
    /// The rows.
    pub collected: Collected,
    /// The columns of the rows.
    pub schema: Arc<RowSchema>,
    /// Columns that are summed.
    pub money: Vec<String>,
    /// The digest of the feed's definition for the lane.
    pub definition: Digest,
    /// The load under which the rows were read.
    pub load: Load,
    /// When the first row was read, and when the last one.
    pub read: (Timestamp, Timestamp),
    /// The database that they were read from.
    pub source: Option<SourceIdentity>,
}

impl RepairDraft {
    /// Makes the blocks at a lane's position, without the keys that the feed published meanwhile, and the result.
    ///
    /// # Errors
    /// [`BatchError`] if the rows cannot be batched.
    pub fn blocks(
        self,
        changed: &BTreeSet<KeyDigest>,
        position: Option<&Cursor>,
    ) -> Result<(Vec<RowBatch>, Repaired), BatchError> {
        let Collected { mut rows, gone, left } = self.collected;
        let asked = rows.len() + gone.len() + left.len();
        rows.retain(|key, _| !changed.contains(key));
        let mut keys: Vec<KeyDigest> = rows.keys().copied().collect();
        let gone: Vec<KeyDigest> = gone.difference(changed).copied().collect();
        let (sent, gone_count) = (keys.len() as u64, gone.len() as u64);
        let positions = Positions::of_source(&self.schema, &[])?;
        let mut batcher = RowBatcher::new(&self.schema, positions, self.money, None)?;
        batcher.begin_quantum(self.read.0);
        let mut blocks = Vec::new();
        for (number, (bytes, is_deleted)) in (1..).zip(rows.values()) {
            let mut row = Vec::new();
            RowReader::new(bytes, self.schema.columns.len(), 1)
                .next_into(&mut row)
                .map_err(|error| BatchError::Pack(error.to_string()))?;
            // Its size was checked before.
            let too_large = |_| Reject {
                key: Vec::new(),
                column: None,
                reason: "a row is too large".to_owned(),
            };
            batcher.push(&row, &row, *is_deleted, too_large);
            if let Some(fault) = batcher.take_fault() {
                return Err(fault);
            }
            if number % MAX_KEYS == 0 {
                batcher.close();
            }
            blocks.extend(batcher.take_closed());
        }
        batcher.close();
        blocks.extend(batcher.take_closed());
        let mut parts: Vec<(_, BTreeSet<KeyDigest>)> = Vec::new();
        for block in blocks {
            let rows = usize::try_from(block.totals.rows)
                .unwrap_or(usize::MAX)
                .min(keys.len());
            parts.push((block, keys.drain(..rows).collect()));
        }
        match parts.last_mut() {
            Some((_, keys)) if keys.len() + gone.len() <= MAX_KEYS => keys.extend(gone),
            _ => {
                for gone in gone.chunks(MAX_KEYS) {
                    batcher.close_empty();
                    let empty = batcher.take_closed().into_iter();
                    parts.extend(empty.map(|block| (block, gone.iter().copied().collect())));
                }
            }
        }
        let batch = |(mut block, keys): (crate::row_batch::Block, BTreeSet<KeyDigest>)| {
            (block.cursor_before, block.cursor_after) = (position.cloned(), position.cloned());
            block.repair = Some(Repair {
                request: self.request.clone(),
                salt: self.salt.clone(),
                keys,
            });
            let schema = Arc::clone(&self.schema);
            RowBatch::new(block, schema, self.definition, self.load.clone(), self.read.1)
                .read_from_source(self.source.clone())
        };
        let result = Repaired {
            sent,
            gone: gone_count,
            left: asked as u64 - sent - gone_count,
            ..Repaired::default()
        };
        Ok((parts.into_iter().map(batch).collect(), result))
    }
}
