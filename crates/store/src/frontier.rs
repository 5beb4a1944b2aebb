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
}

impl Default for Frontier {
    fn default() -> Self {
        Self::begin(1, None)
    }
}

impl Frontier {
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
