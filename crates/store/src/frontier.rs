//! PURE: the frontier, the last chunk number up to which the store holds everything.
//!
//! Receipts are built from the frontier alone. It passes quarantined chunks and counts them. It enters the next epoch
//! only after the chunk that this epoch continues. So a receipt never covers more than is stored.
//!
//! Links are checked again here: two pollers that stored neighbouring chunks at the same time did not see each
//! other's entry.

use schemas::cursor::Cursor;
use schemas::digest::Digest;
use serde::{Deserialize, Serialize};

use crate::ledger::{End, EntryState, LaneState, REWRITTEN};
use crate::merge::ChunkNumber;

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

    /// Returns the frontier after the folded entries, to be advanced again. Keeps the part that no chunk contains.
    #[must_use]
    pub fn restart(&self, lane: &LaneState) -> Self {
        Self {
            unfinished_removal: self.unfinished_removal,
            ..lane.base()
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

/// The result of an advance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advance {
    /// The frontier after the advance.
    pub frontier: Frontier,
    /// Set if a link does not hold: the lane must stop with this reason. The frontier stays before that chunk.
    pub broken: Option<String>,
}

/// Advances over `entries` of one lane as far as there is no gap. The entries are sorted and start at the frontier;
/// other entries do no harm. Call it again with the following entries while it moves.
#[must_use]
pub fn advance(frontier: &Frontier, lane: &LaneState, entries: &[FrontierEntry]) -> Advance {
    let mut frontier = frontier.clone();
    let mut broken = None;
    let mut rest = entries;
    loop {
        if let Some(next) = next_epoch(&frontier, lane) {
            frontier = Frontier {
                unfinished_removal: frontier.unfinished_removal,
                ..Frontier::begin(next, frontier.lowest_quarantined)
            };
        }
        // Skip entries up to the frontier.
        let behind = rest.partition_point(|entry| entry.chunk_number <= frontier.chunk_number());
        rest = rest.get(behind..).unwrap_or_default();
        let Some(entry) = rest.first() else { break };
        let follows = ChunkNumber {
            epoch: frontier.epoch,
            number: frontier.number + 1,
        };
        if entry.chunk_number != follows
            || matches!(entry.state, EntryState::Superseded | EntryState::Awaited)
        {
            // A gap: entries of a later epoch are not reached.
            break;
        }
        let trusted = entry.state == EntryState::Stored;
        if trusted && frontier.head_trusted && entry.previous != frontier.head {
            broken = Some(format!(
                "{REWRITTEN}: chunk {} of epoch {} does not follow the stored chunk before it",
                entry.chunk_number.number, entry.chunk_number.epoch
            ));
            break;
        }
        pass(&mut frontier, entry, trusted);
    }
    Advance { frontier, broken }
}

fn pass(frontier: &mut Frontier, entry: &FrontierEntry, trusted: bool) {
    frontier.number = entry.chunk_number.number;
    frontier.head = Some(entry.digest);
    frontier.head_trusted = trusted;
    if trusted {
        frontier.cursor.clone_from(&entry.cursor_after);
        frontier.rows += entry.rows;
    }
    if !trusted || entry.rows_quarantined > 0 {
        frontier.quarantined.push(entry.chunk_number.number);
        frontier.lowest_quarantined.get_or_insert(entry.chunk_number);
    }
}

/// Returns the epoch to continue in, once everything that counts of this one is covered.
fn next_epoch(frontier: &Frontier, lane: &LaneState) -> Option<u32> {
    match lane.end(frontier.epoch) {
        End::At { link, next } if frontier.number >= link.number => Some(next),
        End::Void { next } => Some(next),
        End::At { .. } | End::Open | End::Unopened => None,
    }
}

#[cfg(test)]
mod tests;
