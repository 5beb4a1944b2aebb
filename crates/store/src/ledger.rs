//! PURE: decides what a chunk is for its lane's ledger: new, known, superseded, a fork, or too early.
//!
//! The ledger is keyed by `(epoch, number)` and keeps the digest, so links are checked against the neighbours that
//! are stored. Links to missing chunks are checked when these arrive, and again when the frontier passes.
//!
//! **A fork** (one chunk number with two digests, or a link that does not hold) stops the lane. The chunk is not
//! quarantined: the lane continues when an operator opens a new epoch from the store's frontier.
//!
//! **Openings.** An epoch begins with a chunk that names the chunk it continues. It is accepted if the ledger holds
//! that chunk with that digest, or if it continues none; then it ends a stop. Epochs and their openings form a
//! lineage ([`LaneState::end`]): chunks of an old epoch outside of the lineage are superseded.
//!
//! **Deferred.** With many pollers a chunk may arrive before its epoch's opening, and an opening before the chunk it
//! continues. Both are deferred and not stored. This cannot deadlock: the chunk that they wait for is before them on
//! the same subject, so the exchange redelivers it until it is settled, and a stop never defers an opening.
//!
//! **Folded entries** ([`crate::compaction`]) are deleted: their chunks are recognised by number and by the time of
//! the exchange.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use schemas::digest::Digest;
use schemas::manifest::Link;

use crate::arrival::Arrival;
use crate::chunk_number::ChunkNumber;
use crate::compaction::Compaction;

pub use crate::entry::{Entry, EntryState, REWRITTEN};
pub use crate::lineage::{End, LaneState, SupersededRange};

/// The fields of a chunk that a judgement needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkLinks {
    /// The chunk number.
    pub chunk_number: ChunkNumber,
    /// Its digest.
    pub digest: Digest,
    /// The digest of the previous chunk, as the chunk names it.
    pub previous: Option<Digest>,
    /// Set if it opens its epoch, with the chunk that it continues.
    pub opening: Option<Option<Link>>,
    /// When the exchange stored it.
    pub exchanged_at: Timestamp,
}

impl ChunkLinks {
    /// Reads the fields of an arrival.
    #[must_use]
    pub fn of(arrival: &Arrival) -> Self {
        let (manifest, digest) = (&arrival.chunk.manifest, arrival.chunk.digest);
        Self {
            chunk_number: ChunkNumber {
                epoch: manifest.epoch,
                number: manifest.number,
            },
            digest,
            previous: manifest.previous,
            opening: manifest.opening.as_ref().map(|opening| opening.continues),
            exchanged_at: arrival.exchanged_at,
        }
    }

    fn entry(&self, state: EntryState) -> Entry {
        Entry {
            digest: self.digest,
            previous: self.previous,
            state,
        }
    }
}

/// The part of a lane that a judgement needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneView<'a> {
    /// The lane.
    pub lane: &'a LaneState,
    /// The entry with the chunk's own number.
    pub same: Option<Entry>,
    /// The entry of the previous number of the epoch.
    pub before: Option<Entry>,
    /// The entry of the next number of the epoch.
    pub after: Option<Entry>,
    /// For an opening: the entry of the chunk that it continues.
    pub continued: Option<Entry>,
}

/// What a chunk is for the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// New: its rows and its entry are stored.
    Store,
    /// Known: nothing changes.
    AlreadyStored,
    /// Superseded by a later epoch: recorded, not stored.
    Superseded,
    /// Another history. The lane stops.
    Fork {
        /// Begins with [`REWRITTEN`].
        reason: String,
    },
    /// The lane is stopped already.
    AlreadyStopped {
        /// The reason of the stop.
        reason: String,
    },
    /// An opening to accept: it is stored, its epoch becomes current, and a stop ends.
    OpenEpoch {
        /// The chunk that it continues.
        continues: Option<Link>,
    },
    /// An opening that continues a chunk that the store does not hold. The lane stops.
    BadOpening {
        /// The mismatch.
        reason: String,
    },
    /// A chunk that it depends on has not arrived: it is deferred.
    Deferred {
        /// What it waits for.
        reason: String,
    },
}

/// Judges one chunk.
#[must_use]
pub fn judge(view: &LaneView<'_>, chunk: &ChunkLinks) -> Judgement {
    if let Some(same) = view
        .same
        .filter(|same| same.is_settled() && same.digest == chunk.digest)
    {
        return match same.state {
            EntryState::Superseded => Judgement::Superseded,
            _ => Judgement::AlreadyStored,
        };
    }
    if view.same.is_none() && view.lane.is_folded(chunk.chunk_number) {
        return judge_folded(view, chunk);
    }
    let end = view.lane.end(chunk.chunk_number.epoch);
    match end {
        End::Unopened => judge_unopened(view, chunk),
        End::Void { .. } => Judgement::Superseded,
        End::At { link, .. } => {
            let number = chunk.chunk_number.number;
            let counts = number < link.number || (number == link.number && chunk.digest == link.digest);
            // The opening has decided between the histories: the other history does not stop the lane again.
            if !counts || contradiction(view, chunk).is_some() {
                Judgement::Superseded
            } else {
                store_unless_stopped(view)
            }
        }
        End::Open => match (&view.lane.stopped, contradiction(view, chunk)) {
            (Some(_), _) | (None, None) => store_unless_stopped(view),
            (None, Some(what)) => Judgement::Fork {
                reason: format!(
                    "{REWRITTEN}: chunk {} of epoch {} {what}",
                    chunk.chunk_number.number, chunk.chunk_number.epoch
                ),
            },
        },
    }
}

/// Judges a chunk with a folded entry: it is stored, unless its time or digest shows another chunk.
fn judge_folded(view: &LaneView<'_>, chunk: &ChunkLinks) -> Judgement {
    let ChunkNumber { epoch, number } = chunk.chunk_number;
    let end = view.lane.end(epoch);
    let counts = match end {
        End::Void { .. } => false,
        End::At { link, .. } => {
            number < link.number || (number == link.number && chunk.digest == link.digest)
        }
        End::Open | End::Unopened => true,
    };
    let head = view.lane.folded_head(chunk.chunk_number);
    let is_younger = |compaction: &Compaction| compaction.is_younger(chunk.exchanged_at);
    let is_other = match head {
        Some(head) => head.digest != chunk.digest,
        None => view.lane.compaction.as_ref().is_some_and(is_younger),
    };
    match (counts, is_other, end, &view.lane.stopped) {
        (false, ..) | (true, true, End::At { .. }, _) => Judgement::Superseded,
        (true, false, ..) => Judgement::AlreadyStored,
        (true, true, _, Some(reason)) => Judgement::AlreadyStopped {
            reason: reason.clone(),
        },
        (true, true, _, None) => Judgement::Fork {
            reason: format!(
                "{REWRITTEN}: chunk {number} of epoch {epoch} was stored before, and the exchange holds another one there"
            ),
        },
    }
}

fn store_unless_stopped(view: &LaneView<'_>) -> Judgement {
    match &view.lane.stopped {
        Some(reason) => Judgement::AlreadyStopped {
            reason: reason.clone(),
        },
        None => Judgement::Store,
    }
}

fn judge_unopened(view: &LaneView<'_>, chunk: &ChunkLinks) -> Judgement {
    let epoch = chunk.chunk_number.epoch;
    let Some(continues) = chunk.opening.filter(|_| chunk.chunk_number.number == 1) else {
        return match &view.lane.stopped {
            Some(reason) => Judgement::AlreadyStopped {
                reason: reason.clone(),
            },
            None => Judgement::Deferred {
                reason: format!("the opening of epoch {epoch} has not arrived yet"),
            },
        };
    };
    let Some(link) = continues else {
        return Judgement::OpenEpoch { continues };
    };
    let bad = |what: &str| Judgement::BadOpening {
        reason: format!(
            "epoch {epoch} continues chunk {} of epoch {}, {what}; open a new epoch from the last receipt",
            link.number, link.epoch
        ),
    };
    if chunk.previous != Some(link.digest) {
        return bad("but its link names another chunk");
    }
    match view.continued {
        Some(entry) if entry.digest == link.digest => Judgement::OpenEpoch { continues },
        Some(_) => bad("but the store holds another chunk there"),
        // Its digest is not kept. The bureau signed the link.
        None if view.lane.is_folded(ChunkNumber::from_link(&link)) => Judgement::OpenEpoch { continues },
        None => Judgement::Deferred {
            reason: format!(
                "epoch {epoch} continues chunk {} of epoch {}, which has not arrived yet",
                link.number, link.epoch
            ),
        },
    }
}

/// Returns which link does not hold. A quarantined entry is not trusted and proves nothing.
fn contradiction(view: &LaneView<'_>, chunk: &ChunkLinks) -> Option<&'static str> {
    let trusted = |entry: Option<Entry>| entry.filter(Entry::trusted);
    if trusted(view.same).is_some_and(|same| same.digest != chunk.digest) {
        return Some("was stored with another digest");
    }
    if trusted(view.before).is_some_and(|before| chunk.previous != Some(before.digest)) {
        return Some("does not follow the stored chunk before it");
    }
    trusted(view.after)
        .is_some_and(|after| after.previous != Some(chunk.digest))
        .then_some("is not the one that the stored chunk after it follows")
}

/// Returns the entries that a judgement of these chunks needs, so that a store can read them in one query.
#[must_use]
pub fn needed(chunks: &[ChunkLinks]) -> BTreeSet<ChunkNumber> {
    let mut chunk_numbers = BTreeSet::new();
    for chunk in chunks {
        let ChunkNumber { epoch, number } = chunk.chunk_number;
        chunk_numbers.extend(
            [number.saturating_sub(1), number, number.saturating_add(1)]
                .map(|number| ChunkNumber { epoch, number }),
        );
        if let Some(Some(link)) = chunk.opening {
            chunk_numbers.insert(ChunkNumber::from_link(&link));
        }
    }
    chunk_numbers
}

/// The result of judging the chunks of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// One judgement for each chunk, in the given order.
    pub judgements: Vec<Judgement>,
    /// The lane's state afterwards.
    pub lane: LaneState,
}

/// Judges chunks in the order of their numbers, each against the ledger after the previous one. `entries` holds the
/// ledger's entries of [`needed`].
#[must_use]
pub fn plan(lane: &LaneState, entries: &BTreeMap<ChunkNumber, Entry>, chunks: &[ChunkLinks]) -> Plan {
    let (mut lane, mut entries) = (lane.clone(), entries.clone());
    let mut order: Vec<(usize, &ChunkLinks)> = chunks.iter().enumerate().collect();
    order.sort_by_key(|(_, chunk)| chunk.chunk_number);
    let mut judged: BTreeMap<usize, Judgement> = BTreeMap::new();
    for (index, chunk) in order {
        let at = |number: Option<u64>| {
            number.and_then(|number| {
                entries
                    .get(&ChunkNumber {
                        number,
                        ..chunk.chunk_number
                    })
                    .copied()
            })
        };
        let view = LaneView {
            lane: &lane,
            same: at(Some(chunk.chunk_number.number)),
            before: at(chunk.chunk_number.number.checked_sub(1)).or_else(|| {
                lane.folded_head(ChunkNumber {
                    number: chunk.chunk_number.number.checked_sub(1)?,
                    ..chunk.chunk_number
                })
            }),
            after: at(chunk.chunk_number.number.checked_add(1)),
            continued: chunk.opening.flatten().and_then(|link| {
                let chunk_number = ChunkNumber::from_link(&link);
                entries
                    .get(&chunk_number)
                    .copied()
                    .or_else(|| lane.folded_head(chunk_number))
            }),
        };
        let judgement = judge(&view, chunk);
        match &judgement {
            Judgement::Store => {
                entries.insert(chunk.chunk_number, chunk.entry(EntryState::Stored));
            }
            Judgement::OpenEpoch { continues } => {
                entries.insert(chunk.chunk_number, chunk.entry(EntryState::Stored));
                lane.epoch = chunk.chunk_number.epoch;
                lane.openings.insert(chunk.chunk_number.epoch, *continues);
                lane.stopped = None;
            }
            Judgement::Fork { reason } | Judgement::BadOpening { reason } => {
                lane.stopped.get_or_insert_with(|| reason.clone());
            }
            Judgement::Superseded => {
                entries
                    .entry(chunk.chunk_number)
                    .or_insert_with(|| chunk.entry(EntryState::Superseded));
            }
            Judgement::AlreadyStored | Judgement::AlreadyStopped { .. } | Judgement::Deferred { .. } => {}
        }
        judged.insert(index, judgement);
    }
    Plan {
        judgements: judged.into_values().collect(),
        lane,
    }
}

#[cfg(test)]
mod tests;
