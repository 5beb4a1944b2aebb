//! PURE: the frontier, the last chunk number up to which the store holds everything.
//!
//! Receipts are built from the frontier alone. It passes quarantined chunks and counts them. It enters the next epoch
//! only after the chunk that this epoch continues. So a receipt never covers more than is stored.
//!
//! [`mod@crate::advance`] moves it over ledger entries.

use schemas::cursor::Cursor;
use schemas::digest::Digest;
use serde::{Deserialize, Serialize};

use crate::chunk_number::ChunkNumber;
use crate::entry::EntryState;

/// How far a lane is stored without a gap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frontier {
    /// The epoch of `number`.
    pub epoch: u32,
    /// The first number covered.
    pub from: u64,
    /// The last number covered; 0: none yet.
    pub number: u64,
    /// The digest of the last chunk covered.
    pub head: Option<Digest>,
    /// Whether that chunk was verified: the digest of a quarantined message proves nothing.
    pub head_trusted: bool,
    /// The cursor after the last verified chunk covered. A new epoch from here sends a quarantined chunk at the head
    /// again.
    pub cursor: Option<Cursor>,
    /// Rows of the covered chunks of this epoch.
    pub rows: u64,
    /// Covered numbers of this epoch whose chunk, or part of it, is in quarantine.
    pub quarantined: Vec<u64>,
    /// The lowest chunk in quarantine of any epoch.
    pub lowest_quarantined: Option<ChunkNumber>,
    /// The end of a resynchronisation that could not remove the rows which were not sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfinished_removal: Option<ChunkNumber>,
    /// The chunk up to which rows may differ from the source's: a comparison that begins after it must show that they are equal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uncompared: Option<ChunkNumber>,
}

impl Default for Frontier {
    fn default() -> Self {
        Self::begin(1, None)
    }
}

impl Frontier {
    /// Returns the frontier after a comparison that began after chunk `as_of` and found the rows equal to the source's. While
    /// something is in quarantine nothing changes: its release may add rows that are gone at the source.
    #[must_use]
    pub fn settle(self, as_of: ChunkNumber) -> Self {
        if self.lowest_quarantined.is_some() {
            return self;
        }
        let is_later = |chunk_number: &ChunkNumber| *chunk_number > as_of;
        Self {
            unfinished_removal: self.unfinished_removal.filter(is_later),
            uncompared: self.uncompared.filter(is_later),
            ..self
        }
    }

    /// Returns the frontier at the beginning of an epoch.
    #[must_use]
    pub fn begin(epoch: u32, lowest_quarantined: Option<ChunkNumber>) -> Self {
        Self {
            epoch,
            from: 1,
            number: 0,
            head: None,
            head_trusted: false,
            cursor: None,
            rows: 0,
            quarantined: Vec::new(),
            lowest_quarantined,
            unfinished_removal: None,
            uncompared: None,
        }
    }

    /// Returns the number of the last chunk covered.
    #[must_use]
    pub fn chunk_number(&self) -> ChunkNumber {
        ChunkNumber {
            epoch: self.epoch,
            number: self.number,
        }
    }
}

/// A ledger entry, as needed by the frontier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrontierEntry {
    /// The chunk number.
    pub chunk_number: ChunkNumber,
    /// The chunk's digest.
    pub digest: Digest,
    /// The digest of the previous chunk, as the chunk names it.
    pub previous: Option<Digest>,
    /// The state of the entry.
    pub state: EntryState,
    /// Rows in the chunk; 0 if it could not be opened.
    pub rows: u64,
    /// Of these, rows in quarantine.
    pub rows_quarantined: u64,
    /// The cursor after the chunk.
    pub cursor_after: Option<Cursor>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frontier_is_settled_by_a_later_comparison_unless_something_is_in_quarantine() {
        let at = |epoch, number| ChunkNumber { epoch, number };
        let open = Frontier {
            unfinished_removal: Some(at(2, 7)),
            uncompared: Some(at(3, 2)),
            ..Frontier::begin(3, None)
        };
        assert_eq!(open.clone().settle(at(2, 6)), open);
        let removed = Frontier {
            unfinished_removal: None,
            ..open.clone()
        };
        // The comparison began before the chunk that states the position.
        assert_eq!(open.clone().settle(at(3, 1)), removed);
        assert_eq!(open.clone().settle(at(3, 2)), Frontier::begin(3, None));
        let quarantined = Frontier {
            lowest_quarantined: Some(at(1, 4)),
            ..open
        };
        assert_eq!(quarantined.clone().settle(at(3, 9)), quarantined);
    }
}
