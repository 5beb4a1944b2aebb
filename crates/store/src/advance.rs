//! PURE: advances the frontier over ledger entries.
//!
//! Links are checked again here: two pollers that stored neighbouring chunks at the same time did not see each
//! other's entry.

use crate::chunk_number::ChunkNumber;
use crate::entry::{EntryState, REWRITTEN};
use crate::frontier::{Frontier, FrontierEntry};
use crate::lineage::{End, LaneState};

impl Frontier {
    /// Returns the frontier after the folded entries, to be advanced again. Keeps the part that no chunk contains.
    #[must_use]
    pub fn restart(&self, lane: &LaneState) -> Self {
        Self {
            unfinished_removal: self.unfinished_removal,
            uncompared: self.uncompared,
            ..lane.base()
        }
    }
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
                uncompared: frontier.uncompared,
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
