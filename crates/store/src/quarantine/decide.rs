//! PURE: what may be tried again, what became of it, and the frontier counted anew.

use schemas::cursor::Cursor;
use schemas::digest::Digest;

use super::{Became, Ending, Kind};
use crate::frontier::Frontier;
use crate::ledger::{EntryState, Judgement};
use crate::lineage::LaneState;
use crate::merge::Place;
use crate::port::Outcome;

/// Whether an entry may be tried; otherwise what is to be answered.
#[must_use]
pub fn untried(kind: Kind, ended: Option<Ending>, lane: &LaneState, place: Option<Place>) -> Option<Became> {
    if let Some(how) = ended {
        return Some(Became::Ended { how });
    }
    let place = match (kind, place) {
        (Kind::Reject, _) => {
            return Some(Became::Never {
                reason:
                    "the row did not come: it is published again once it is repaired at the source and its \
                         cursor moves; then discard this note"
                        .to_owned(),
            });
        }
        (Kind::Row, Some(place)) => place,
        // A message's own manifest decides.
        (Kind::Message | Kind::Row, _) => return None,
    };
    if !counts(lane, place) {
        return Some(Became::LeftBehind);
    }
    lane.stopped.as_ref().map(|reason| Became::Waits {
        reason: format!("the lane is stopped: {reason}"),
    })
}

/// Whether a place counts along the lineage of the lane's epochs.
#[must_use]
pub fn counts(lane: &LaneState, place: Place) -> bool {
    lane.counts_up_to(place.epoch)
        .is_none_or(|last| place.number <= last)
}

/// Why a message that opens today is not stored, where the ledger would not take it.
///
/// A fork found by a retry is refused and does not stop the lane: what came first was stored by
/// the trust of its day, and the operator can still discard what does not fit.
#[must_use]
pub fn refusal(judgement: &Judgement) -> Option<Became> {
    match judgement {
        Judgement::Store | Judgement::Already | Judgement::Superseded | Judgement::OpenEpoch { .. } => None,
        Judgement::Fork { reason } | Judgement::BadOpening { reason } => Some(Became::Contradicts {
            reason: reason.clone(),
        }),
        Judgement::StoppedBefore { reason } => Some(Became::Waits {
            reason: format!("the lane is stopped: {reason}"),
        }),
        Judgement::Later { reason } => Some(Became::Waits {
            reason: reason.clone(),
        }),
    }
}

/// Whether the store put a chunk off; none: it is in the ledger.
#[must_use]
pub fn put_off(outcome: &Outcome) -> Option<Became> {
    match outcome {
        Outcome::Stored { .. } | Outcome::Already | Outcome::Superseded => None,
        Outcome::Stopped { reason } => Some(Became::Waits {
            reason: format!("the lane is stopped: {reason}"),
        }),
        Outcome::Later { reason } => Some(Became::Waits {
            reason: reason.clone(),
        }),
    }
}

/// The ledger's entry of a chunk that came out of quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noted {
    /// Its digest.
    pub digest: Digest,
    /// How it came to be.
    pub state: EntryState,
    /// Rows in it.
    pub rows: u64,
    /// Of these, rows in quarantine.
    pub refused: u64,
}

/// What became of a message whose chunk has this digest. The entry of a place that `is_folded` is not kept.
#[must_use]
pub fn message_became(digest: Digest, noted: Option<Noted>, is_folded: bool) -> Became {
    match noted {
        // Another chunk was stored there long ago: one of which something may be released is not folded.
        None if is_folded => Became::LeftBehind,
        Some(noted) if noted.state == EntryState::Stored && noted.digest == digest => Became::Released {
            rows: noted.rows,
            refused: noted.refused,
        },
        // Its place may hold another one: the lineage has decided between them.
        Some(noted) if noted.state != EntryState::Quarantined => Became::LeftBehind,
        _ => Became::Waits {
            reason: "its chunk is not in the ledger yet: repeat".to_owned(),
        },
    }
}

/// What stands at and below the frontier, read anew.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Below {
    /// The entry at the frontier: its digest, and whether it was verified.
    pub head: Option<(Digest, bool)>,
    /// The position after the last verified chunk of the frontier's epoch.
    pub cursor: Option<Cursor>,
    /// Rows of the verified chunks of the frontier's epoch.
    pub rows: u64,
    /// Places of chunks that are not stored whole, and whether any of it may still be released.
    pub marked: Vec<(Place, bool)>,
}

/// The same frontier, with what stands below it counted anew. What was discarded stays in the
/// list, for it is not stored, but no tombstone has to wait for it.
#[must_use]
pub fn recount(frontier: &Frontier, lane: &LaneState, below: &Below) -> Frontier {
    let at = frontier.place();
    // What was folded is counted with the base, as far as it is of the same epoch.
    let base = lane.base();
    let folded = Some(&base).filter(|base| base.epoch == at.epoch);
    let marked: Vec<(Place, bool)> = below
        .marked
        .iter()
        .copied()
        .filter(|(place, _)| *place <= at && counts(lane, *place))
        .collect();
    Frontier {
        head: below.head.map(|(digest, _)| digest).or(frontier.head),
        head_trusted: below.head.map_or(frontier.head_trusted, |(_, trusted)| trusted),
        cursor: below
            .cursor
            .clone()
            .or_else(|| folded.and_then(|base| base.cursor.clone())),
        rows: below.rows + folded.map_or(0, |base| base.rows),
        quarantined: folded
            .into_iter()
            .flat_map(|base| base.quarantined.iter().copied())
            .chain(
                marked
                    .iter()
                    .filter(|(place, _)| place.epoch == at.epoch)
                    .map(|(place, _)| place.number),
            )
            .collect(),
        lowest_quarantined: marked
            .iter()
            .filter(|(_, open)| *open)
            .map(|(place, _)| *place)
            .min(),
        ..frontier.clone()
    }
}

#[cfg(test)]
mod tests;
