//! PURE: which entries may be retried, the outcomes, and the recounted frontier.

use schemas::cursor::Cursor;
use schemas::digest::Digest;

use super::{Ending, Kind, RetryOutcome};
use crate::chunk_number::ChunkNumber;
use crate::frontier::Frontier;
use crate::ledger::{EntryState, Judgement};
use crate::lineage::LaneState;
use crate::outcome::Outcome;

/// Returns the outcome if an entry may not be retried; `None` if it may.
#[must_use]
pub fn blocked_outcome(
    kind: Kind,
    ended: Option<Ending>,
    lane: &LaneState,
    chunk_number: Option<ChunkNumber>,
) -> Option<RetryOutcome> {
    if let Some(ending) = ended {
        return Some(RetryOutcome::Ended { ending });
    }
    let chunk_number = match (kind, chunk_number) {
        (Kind::Reject, _) => {
            return Some(RetryOutcome::Never {
                reason:
                    "the row did not come: it is published again once it is repaired at the source and its \
                         cursor moves; then discard this note"
                        .to_owned(),
            });
        }
        (Kind::Row, Some(chunk_number)) => chunk_number,
        // The message's own manifest decides.
        (Kind::Message | Kind::Row, _) => return None,
    };
    if !counts(lane, chunk_number) {
        return Some(RetryOutcome::LeftBehind);
    }
    lane.stopped.as_ref().map(|reason| RetryOutcome::Waits {
        reason: format!("the lane is stopped: {reason}"),
    })
}

/// Returns whether a chunk counts in the lineage of the lane's epochs.
#[must_use]
pub fn counts(lane: &LaneState, chunk_number: ChunkNumber) -> bool {
    lane.counts_up_to(chunk_number.epoch)
        .is_none_or(|last| chunk_number.number <= last)
}

/// Returns why a message that can be opened now is not stored, if the ledger does not accept it.
///
/// A fork found by a retry is refused and does not stop the lane: the stored chunk was verified when it was stored,
/// and the operator can discard the message.
#[must_use]
pub fn refusal(judgement: &Judgement) -> Option<RetryOutcome> {
    match judgement {
        Judgement::Store | Judgement::AlreadyStored | Judgement::Superseded | Judgement::OpenEpoch { .. } => {
            None
        }
        Judgement::Fork { reason } | Judgement::BadOpening { reason } => Some(RetryOutcome::Contradicts {
            reason: reason.clone(),
        }),
        Judgement::AlreadyStopped { reason } => Some(RetryOutcome::Waits {
            reason: format!("the lane is stopped: {reason}"),
        }),
        Judgement::Deferred { reason } => Some(RetryOutcome::Waits {
            reason: reason.clone(),
        }),
    }
}

/// Returns why the store deferred a chunk; `None` if the ledger contains it.
#[must_use]
pub fn deferral(outcome: &Outcome) -> Option<RetryOutcome> {
    match outcome {
        Outcome::Stored { .. } | Outcome::AlreadyStored | Outcome::Superseded => None,
        Outcome::Stopped { reason } => Some(RetryOutcome::Waits {
            reason: format!("the lane is stopped: {reason}"),
        }),
        Outcome::Deferred { reason } => Some(RetryOutcome::Waits {
            reason: reason.clone(),
        }),
    }
}

/// The ledger entry of a chunk that left the quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReleasedEntry {
    /// The digest.
    pub digest: Digest,
    /// The state.
    pub state: EntryState,
    /// Rows in the chunk.
    pub rows: u64,
    /// Of these, rows in quarantine.
    pub refused: u64,
}

/// Returns the outcome of a message whose chunk has this digest. The entry of a folded chunk is not kept.
#[must_use]
pub fn message_outcome(
    digest: Digest,
    released_entry: Option<ReleasedEntry>,
    is_folded: bool,
) -> RetryOutcome {
    match released_entry {
        // Another chunk was stored under this number: a chunk with releasable content is not folded.
        None if is_folded => RetryOutcome::LeftBehind,
        Some(released_entry)
            if released_entry.state == EntryState::Stored && released_entry.digest == digest =>
        {
            RetryOutcome::Released {
                rows: released_entry.rows,
                refused: released_entry.refused,
            }
        }
        // The number may hold another chunk: the lineage has decided between them.
        Some(released_entry) if released_entry.state != EntryState::Quarantined => RetryOutcome::LeftBehind,
        _ => RetryOutcome::Waits {
            reason: "its chunk is not in the ledger yet: repeat".to_owned(),
        },
    }
}

/// The ledger's contents up to the frontier, for a recount.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Below {
    /// The entry at the frontier: its digest, and whether it was verified.
    pub head: Option<(Digest, bool)>,
    /// The cursor after the last verified chunk of the frontier's epoch.
    pub cursor: Option<Cursor>,
    /// Rows of the verified chunks of the frontier's epoch.
    pub rows: u64,
    /// Numbers of chunks that are not stored completely, and whether any of it may still be released.
    pub marked: Vec<(ChunkNumber, bool)>,
}

/// Returns the frontier with its quarantined numbers recounted. Discarded content stays in the list because it is not
/// stored, but no tombstone waits for it.
#[must_use]
pub fn recount(frontier: &Frontier, lane: &LaneState, below: &Below) -> Frontier {
    let at = frontier.chunk_number();
    // Folded entries are counted with the base, if they are of the same epoch.
    let base = lane.base();
    let folded = Some(&base).filter(|base| base.epoch == at.epoch);
    let marked: Vec<(ChunkNumber, bool)> = below
        .marked
        .iter()
        .copied()
        .filter(|(chunk_number, _)| *chunk_number <= at && counts(lane, *chunk_number))
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
                    .filter(|(chunk_number, _)| chunk_number.epoch == at.epoch)
                    .map(|(chunk_number, _)| chunk_number.number),
            )
            .collect(),
        lowest_quarantined: marked
            .iter()
            .filter(|(_, open)| *open)
            .map(|(chunk_number, _)| *chunk_number)
            .min(),
        ..frontier.clone()
    }
}

#[cfg(test)]
mod tests;
