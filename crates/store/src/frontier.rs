//! PURE: the frontier, the last number below which the receiver has everything.
//!
//! Receipts are made of it and of nothing else. It passes over what is in quarantine and
//! counts it, and it moves on to the next epoch only when it has reached the chunk that the
//! next one continues; so a receipt never claims more than is there.
//!
//! Links are checked once more on the way: two pollers that stored neighbours at the same time
//! did not see each other's entry.

use schemas::cursor::Cursor;
use schemas::digest::Digest;
use serde::{Deserialize, Serialize};

use crate::ledger::{End, EntryState, LaneState, REWRITTEN};
use crate::merge::Place;

/// How far a lane is stored without a gap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frontier {
    /// The epoch that `number` counts in.
    pub epoch: u32,
    /// First number covered.
    pub from: u64,
    /// Last number covered; 0: none yet.
    pub number: u64,
    /// Digest of the last chunk covered.
    pub head: Option<Digest>,
    /// Whether that chunk was verified: a digest out of quarantine proves nothing.
    pub head_trusted: bool,
    /// The position after the last verified chunk covered. A new epoch from here sends again
    /// what is in quarantine at the head.
    pub cursor: Option<Cursor>,
    /// Rows of the covered chunks of this epoch.
    pub rows: u64,
    /// Covered numbers of this epoch whose chunk, or part of it, is in quarantine.
    pub quarantined: Vec<u64>,
    /// The lowest place in quarantine of any epoch.
    pub lowest_quarantined: Option<Place>,
    /// The end of a resynchronisation that could not remove the rows which did not come again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unremoved: Option<Place>,
}

impl Default for Frontier {
    fn default() -> Self {
        Self::begin(1, None)
    }
}

impl Frontier {
    /// At the beginning of an epoch.
    #[must_use]
    pub fn begin(epoch: u32, lowest_quarantined: Option<Place>) -> Self {
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
            unremoved: None,
        }
    }

    /// Behind the entries that were folded, to be advanced again because chunks are stored again. What no chunk tells is kept.
    #[must_use]
    pub fn restart(&self, lane: &LaneState) -> Self {
        Self {
            unremoved: self.unremoved,
            ..lane.base()
        }
    }

    /// The place of the last chunk covered.
    #[must_use]
    pub fn place(&self) -> Place {
        Place {
            epoch: self.epoch,
            number: self.number,
        }
    }
}

/// A ledger entry, as far as the frontier needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    /// Its place.
    pub place: Place,
    /// Its digest.
    pub digest: Digest,
    /// The digest it names as the one before.
    pub previous: Option<Digest>,
    /// How it came to be.
    pub state: EntryState,
    /// Rows in the chunk; 0 where it could not be opened.
    pub rows: u64,
    /// Of these, rows in quarantine.
    pub rows_quarantined: u64,
    /// The position after it.
    pub cursor_after: Option<Cursor>,
}

/// How far it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advance {
    /// The frontier now.
    pub frontier: Frontier,
    /// Set when a link does not hold: the lane must stop with this reason. The frontier stays
    /// before that chunk.
    pub broken: Option<String>,
}

/// Advances over `entries` (of one lane, sorted by place, from the frontier's place on; more
/// or fewer do no harm) as far as they are gapless. Call again with what follows while it
/// moves.
#[must_use]
pub fn advance(frontier: &Frontier, lane: &LaneState, entries: &[Noted]) -> Advance {
    let mut frontier = frontier.clone();
    let mut broken = None;
    let mut rest = entries;
    loop {
        if let Some(next) = next_epoch(&frontier, lane) {
            frontier = Frontier {
                unremoved: frontier.unremoved,
                ..Frontier::begin(next, frontier.lowest_quarantined)
            };
        }
        // Everything up to the frontier is behind us.
        let behind = rest.partition_point(|entry| entry.place <= frontier.place());
        rest = rest.get(behind..).unwrap_or_default();
        let Some(entry) = rest.first() else { break };
        let follows = Place {
            epoch: frontier.epoch,
            number: frontier.number + 1,
        };
        if entry.place != follows || matches!(entry.state, EntryState::Superseded | EntryState::Awaited) {
            // A gap. Entries of a later epoch are not reached over it.
            break;
        }
        let trusted = entry.state == EntryState::Stored;
        if trusted && frontier.head_trusted && entry.previous != frontier.head {
            broken = Some(format!(
                "{REWRITTEN}: chunk {} of epoch {} does not follow the stored chunk before it",
                entry.place.number, entry.place.epoch
            ));
            break;
        }
        pass(&mut frontier, entry, trusted);
    }
    Advance { frontier, broken }
}

fn pass(frontier: &mut Frontier, entry: &Noted, trusted: bool) {
    frontier.number = entry.place.number;
    frontier.head = Some(entry.digest);
    frontier.head_trusted = trusted;
    if trusted {
        frontier.cursor.clone_from(&entry.cursor_after);
        frontier.rows += entry.rows;
    }
    if !trusted || entry.rows_quarantined > 0 {
        frontier.quarantined.push(entry.place.number);
        frontier.lowest_quarantined.get_or_insert(entry.place);
    }
}

/// The epoch to go on in, once everything that counts of this one is covered.
fn next_epoch(frontier: &Frontier, lane: &LaneState) -> Option<u32> {
    match lane.end(frontier.epoch) {
        End::At { link, next } if frontier.number >= link.number => Some(next),
        End::Void { next } => Some(next),
        End::At { .. } | End::Open | End::Unopened => None,
    }
}

#[cfg(test)]
mod tests;
