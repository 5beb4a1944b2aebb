//! PURE: the summary of the oldest ledger entries of a lane, which are folded into it ([`crate::folding`]).
//!
//! An entry detects a redelivered chunk, proves links, shows whether a chunk must be stored again, and counts rows.
//! Far below the receipt, single entries are not needed: the frontier after the last folded entry (the **base**)
//! records what was passed, and the rows of folded entries are added to the row counts of the lane's tables. The
//! chunks with their digests and links stay in the exchange's stream.
//!
//! **A redelivered chunk** at or below the base is recognised by its chunk number. Its digest is not kept, so another
//! history is recognised by time: a chunk that the exchange stored later than every folded chunk is a fork.
//!
//! **A refill** from below the base stores all folded chunks again: the base moves back to the beginning, and
//! redelivered chunks are stored like awaited ones. Their rows were counted before and are not counted again.
//!
//! **Not folded** are entries that the frontier has not passed, entries that no receipt covers, and all entries from
//! the first chunk with something in quarantine that may be released.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::chunk_number::ChunkNumber;
use crate::frontier::{Frontier, FrontierEntry};

/// Some databases keep times to the microsecond, so a smaller difference proves nothing.
const RESOLUTION: Duration = Duration::from_secs(1);

/// The summary of folded entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compaction {
    /// The frontier after the last folded entry. Entries up to its chunk number are deleted.
    pub base: Frontier,
    /// Rows up to this chunk are counted with the tables instead of entries. It is above the base during a refill.
    pub counted: ChunkNumber,
    /// When the exchange stored the latest folded chunk.
    pub exchanged_at: Timestamp,
}

impl Compaction {
    /// Returns whether the exchange stored a chunk later than every folded chunk.
    #[must_use]
    pub fn is_younger(&self, exchanged_at: Timestamp) -> bool {
        self.exchanged_at
            .checked_add(RESOLUTION)
            .is_ok_and(|latest| exchanged_at > latest)
    }
}

/// The ledger entries to keep: the newest and the young ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerRetention {
    /// The number of newest entries of a lane to keep.
    pub entries: u64,
    /// The age up to which every entry is kept.
    pub age: Duration,
}

impl Default for LedgerRetention {
    fn default() -> Self {
        Self {
            entries: 10_000,
            age: Duration::from_hours(30 * 24),
        }
    }
}

/// An entry with the times that folding needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatedEntry {
    /// The entry.
    pub frontier_entry: FrontierEntry,
    /// Whether it exceeds the kept age.
    pub is_old: bool,
    /// When the exchange stored its chunk.
    pub exchanged_at: Timestamp,
}
