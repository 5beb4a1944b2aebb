//! PURE: the oldest entries of a lane's ledger, folded into what has to be known of all of them together.
//!
//! An entry refuses a chunk that comes again, proves links, tells whether a chunk is to be stored again, and counts rows. Far
//! below what a receipt covers, none of that needs each entry: the frontier behind the last folded entry (the **base**)
//! says what was passed, and the rows of the folded entries are added to what the lane's tables are counted from. The
//! chunks themselves, with their digests and links, stay in the exchange's stream.
//!
//! **A chunk that comes again** at or below the base is known by its place. Its digest is not kept, so another history is
//! recognised by time: a chunk that the exchange stored later than every folded one is none of them, and is a fork.
//!
//! **Chunks are stored again** (a refill) from below the base only all together: then the base goes back to the beginning,
//! and what comes is stored as chunks that are awaited are. Their rows were counted, and are not counted again.
//!
//! **Not folded** is what the frontier has not passed, what no receipt covers, and the first chunk of which something in
//! quarantine may be released, with all behind it.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::frontier::{Frontier, Noted, advance};
use crate::ledger::{Entry, EntryState};
use crate::lineage::LaneState;
use crate::merge::Place;

/// The exchange's times are kept to the microsecond by some databases: a difference below this proves nothing.
const RESOLUTION: Duration = Duration::from_secs(1);

/// What stands for the entries that were folded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compaction {
    /// The frontier behind the last of them. Entries at or below its place are gone.
    pub base: Frontier,
    /// Up to this place rows are counted with the tables, and not with entries. Above the base: while chunks are stored again.
    pub counted: Place,
    /// When the exchange stored the latest of them.
    pub exchanged_at: Timestamp,
}

impl Compaction {
    /// Whether the exchange stored a chunk later than every chunk that was folded.
    #[must_use]
    pub fn is_younger(&self, exchanged_at: Timestamp) -> bool {
        self.exchanged_at
            .checked_add(RESOLUTION)
            .is_ok_and(|latest| exchanged_at > latest)
    }
}

/// Which entries a ledger keeps: the newest ones, and those that are young.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// So many entries of a lane.
    pub entries: u64,
    /// Every entry that is not older.
    pub age: Duration,
}

impl Default for Keep {
    fn default() -> Self {
        Self {
            entries: 10_000,
            age: Duration::from_hours(30 * 24),
        }
    }
}

/// An entry, as far as folding needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aged {
    /// As the frontier sees it.
    pub noted: Noted,
    /// Whether it is older than what is kept for its age.
    pub is_old: bool,
    /// When the exchange stored its chunk.
    pub exchanged_at: Timestamp,
}

/// Returns the last place that may be folded: `newest` is the newest entry that is not kept for the number of entries, and
/// `covered` what the last receipt covers.
#[must_use]
pub fn bound(frontier: &Frontier, newest: Option<Place>, covered: Place) -> Option<Place> {
    let last = frontier.place().min(covered).min(newest?);
    let Some(open) = frontier.lowest_quarantined else {
        return Some(last);
    };
    let before = Place {
        epoch: open.epoch,
        number: open.number.checked_sub(1)?,
    };
    Some(last.min(before))
}

/// Folds the first of `entries`, which begin behind the base, up to `last`; `None` where nothing is due.
#[must_use]
pub fn fold(lane: &LaneState, frontier: &Frontier, entries: &[Aged], last: Place) -> Option<Compaction> {
    let due = entries
        .iter()
        .take_while(|entry| entry.is_old && entry.noted.place <= last);
    let (noted, times): (Vec<Noted>, Vec<(Place, Timestamp)>) = due
        .map(|entry| (entry.noted.clone(), (entry.noted.place, entry.exchanged_at)))
        .unzip();
    let before = lane.base();
    let base = Frontier {
        // Nothing of a folded chunk may be released any more.
        lowest_quarantined: None,
        unremoved: None,
        ..advance(&before, lane, &noted).frontier
    };
    let place = base.place();
    if place <= before.place() || place > frontier.place() {
        return None;
    }
    let times = times.into_iter().filter(|(at, _)| *at <= place);
    let known = lane.compaction.as_ref();
    Some(Compaction {
        counted: known.map_or(place, |known| known.counted.max(place)),
        exchanged_at: times
            .map(|(_, at)| at)
            .chain(known.map(|known| known.exchanged_at))
            .max()
            .unwrap_or(Timestamp::UNIX_EPOCH),
        base,
    })
}

impl LaneState {
    /// Returns the frontier behind the entries that were folded: where counting anew begins.
    #[must_use]
    pub fn base(&self) -> Frontier {
        self.compaction
            .as_ref()
            .map_or_else(Frontier::default, |compaction| compaction.base.clone())
    }

    /// Whether the entry of a place was folded, or would have been.
    #[must_use]
    pub fn is_folded(&self, place: Place) -> bool {
        self.compaction
            .as_ref()
            .is_some_and(|compaction| place <= compaction.base.place())
    }

    /// Whether a chunk is stored again: its rows were counted before. `same` is the entry in its place.
    #[must_use]
    pub fn is_again(&self, place: Place, same: Option<&Entry>) -> bool {
        match (same, &self.compaction) {
            (Some(entry), _) => entry.is_awaited(),
            (None, Some(compaction)) => place > compaction.base.place() && place <= compaction.counted,
            (None, None) => false,
        }
    }

    /// Returns the last folded entry, where its chunk was verified: the next one has to follow it.
    #[must_use]
    pub fn folded_head(&self, place: Place) -> Option<Entry> {
        let base = &self.compaction.as_ref()?.base;
        let digest = base.head.filter(|_| base.head_trusted && base.place() == place)?;
        Some(Entry {
            digest,
            previous: None,
            state: EntryState::Stored,
        })
    }

    /// Takes the base back to the beginning, so that folded chunks from `from` on may be stored again; `false` where none of
    /// those was folded.
    pub fn unfold(&mut self, from: Place) -> bool {
        match &mut self.compaction {
            Some(compaction) if from <= compaction.base.place() => {
                compaction.base = Frontier::default();
                true
            }
            _ => false,
        }
    }

    /// Returns up to where folded chunks have to be stored again, while the frontier has not reached it.
    #[must_use]
    pub fn owed(&self, frontier: &Frontier) -> Option<Place> {
        let counted = self.compaction.as_ref()?.counted;
        (frontier.place() < counted).then_some(counted)
    }
}

#[cfg(test)]
mod tests;
