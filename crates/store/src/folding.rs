//! PURE: which entries are folded, and what a folded entry still decides.

use jiff::Timestamp;

use crate::advance::advance;
use crate::chunk_number::ChunkNumber;
use crate::compaction::{Compaction, DatedEntry};
use crate::entry::{Entry, EntryState};
use crate::frontier::{Frontier, FrontierEntry};
use crate::lineage::LaneState;

/// Returns the last chunk that may be folded. `newest` is the newest entry outside the kept number of entries;
/// `covered` is the last chunk of the receipt.
#[must_use]
pub fn bound(frontier: &Frontier, newest: Option<ChunkNumber>, covered: ChunkNumber) -> Option<ChunkNumber> {
    let last = frontier.chunk_number().min(covered).min(newest?);
    let Some(open) = frontier.lowest_quarantined else {
        return Some(last);
    };
    let before = ChunkNumber {
        epoch: open.epoch,
        number: open.number.checked_sub(1)?,
    };
    Some(last.min(before))
}

/// Folds the first of `entries`, which start after the base, up to `last`; `None` if nothing is due.
#[must_use]
pub fn fold(
    lane: &LaneState,
    frontier: &Frontier,
    entries: &[DatedEntry],
    last: ChunkNumber,
) -> Option<Compaction> {
    let due = entries
        .iter()
        .take_while(|entry| entry.is_old && entry.frontier_entry.chunk_number <= last);
    let (frontier_entry, times): (Vec<FrontierEntry>, Vec<(ChunkNumber, Timestamp)>) = due
        .map(|entry| {
            (
                entry.frontier_entry.clone(),
                (entry.frontier_entry.chunk_number, entry.exchanged_at),
            )
        })
        .unzip();
    let before = lane.base();
    let base = Frontier {
        // Nothing of a folded chunk may be releasable.
        lowest_quarantined: None,
        unfinished_removal: None,
        uncompared: None,
        ..advance(&before, lane, &frontier_entry).frontier
    };
    let chunk_number = base.chunk_number();
    if chunk_number <= before.chunk_number() || chunk_number > frontier.chunk_number() {
        return None;
    }
    let times = times.into_iter().filter(|(at, _)| *at <= chunk_number);
    let known = lane.compaction.as_ref();
    Some(Compaction {
        counted: known.map_or(chunk_number, |known| known.counted.max(chunk_number)),
        exchanged_at: times
            .map(|(_, at)| at)
            .chain(known.map(|known| known.exchanged_at))
            .max()
            .unwrap_or(Timestamp::UNIX_EPOCH),
        base,
    })
}

impl LaneState {
    /// Returns the frontier after the folded entries, where a recount starts.
    #[must_use]
    pub fn base(&self) -> Frontier {
        self.compaction
            .as_ref()
            .map_or_else(Frontier::default, |compaction| compaction.base.clone())
    }

    /// Returns whether the entry of a chunk is folded.
    #[must_use]
    pub fn is_folded(&self, chunk_number: ChunkNumber) -> bool {
        self.compaction
            .as_ref()
            .is_some_and(|compaction| chunk_number <= compaction.base.chunk_number())
    }

    /// Returns whether a chunk is stored again, so that its rows were counted before. `same` is its ledger entry.
    #[must_use]
    pub fn is_again(&self, chunk_number: ChunkNumber, same: Option<&Entry>) -> bool {
        match (same, &self.compaction) {
            (Some(entry), _) => entry.is_awaited(),
            (None, Some(compaction)) => {
                chunk_number > compaction.base.chunk_number() && chunk_number <= compaction.counted
            }
            (None, None) => false,
        }
    }

    /// Returns the last folded entry if its chunk was verified: the next chunk must follow it.
    #[must_use]
    pub fn folded_head(&self, chunk_number: ChunkNumber) -> Option<Entry> {
        let base = &self.compaction.as_ref()?.base;
        let digest = base
            .head
            .filter(|_| base.head_trusted && base.chunk_number() == chunk_number)?;
        Some(Entry {
            digest,
            previous: None,
            state: EntryState::Stored,
        })
    }

    /// Moves the base back to the beginning, so that folded chunks from `from` on can be stored again; `false` if none
    /// of them is folded.
    pub fn unfold(&mut self, from: ChunkNumber) -> bool {
        match &mut self.compaction {
            Some(compaction) if from <= compaction.base.chunk_number() => {
                compaction.base = Frontier::default();
                true
            }
            _ => false,
        }
    }

    /// Returns up to which chunk folded chunks must be stored again, until the frontier reaches it.
    #[must_use]
    pub fn refill_until(&self, frontier: &Frontier) -> Option<ChunkNumber> {
        let counted = self.compaction.as_ref()?.counted;
        (frontier.chunk_number() < counted).then_some(counted)
    }
}

#[cfg(test)]
mod tests;
