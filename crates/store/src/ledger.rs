//! PURE: what a chunk is to its lane's ledger: new, known, superseded, a fork, too early.
//!
//! The ledger is keyed by `(epoch, number)` and keeps the digest, so links can be checked
//! against whichever neighbours are there; what is not there yet is checked when it comes, and
//! once more when the frontier passes.
//!
//! **A fork** (one place with two digests, or a link that does not hold) stops the lane. It is
//! not poison: the lane goes on when an operator opens a new epoch from the store's frontier.
//!
//! **Openings.** An epoch begins with a chunk that names the chunk it continues. It is accepted
//! when that chunk stands in our ledger with that digest, or when it continues none; then it
//! lifts a stop. Epochs and their openings form a lineage ([`LaneState::end`]): the chunks of an
//! old epoch that the lineage left behind are superseded.
//!
//! **Later.** With many pollers a chunk may overtake its epoch's opening, and an opening may
//! overtake the chunk it continues. Both are put off and not stored. That cannot deadlock: what
//! they wait for stands before them on the same subject, so the exchange has delivered it
//! already, delivers it again until it is settled, and a stop never puts an opening off.
//!
//! **Folded entries** ([`crate::compaction`]) are gone: their chunks are known by place, and by when the exchange stored them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use schemas::digest::Digest;
use schemas::manifest::Link;
use serde::{Deserialize, Serialize};

use crate::compaction::Compaction;
use crate::merge::Place;
use crate::port::Arrival;

pub use crate::lineage::{End, LaneState, SupersededRange};

/// How the reason of every stop by a fork begins.
pub const REWRITTEN: &str = "exchange restored or rewritten";

/// How an entry came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryState {
    /// Verified and stored, apart from rows that the receiver's constraints refused.
    Stored,
    /// Verified, and noted as left behind by a later epoch; its rows are not stored.
    Superseded,
    /// It could not be opened. What it claims is kept and not trusted.
    Quarantined,
    /// It was stored, and an operator ordered it to be fetched and stored again. The frontier does not pass it.
    Awaited,
}

impl EntryState {
    /// The word in the ledger's table.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Superseded => "superseded",
            Self::Quarantined => "quarantined",
            Self::Awaited => "awaited",
        }
    }

    /// Reads the word; what is not known is not trusted.
    #[must_use]
    pub fn of_word(word: &str) -> Self {
        match word {
            "stored" => Self::Stored,
            "superseded" => Self::Superseded,
            "awaited" => Self::Awaited,
            _ => Self::Quarantined,
        }
    }
}

/// A ledger entry, as far as links need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The chunk's digest.
    pub digest: Digest,
    /// The digest it names as the one before.
    pub previous: Option<Digest>,
    /// How it came to be.
    pub state: EntryState,
}

impl Entry {
    fn trusted(&self) -> bool {
        self.state != EntryState::Quarantined
    }

    /// Whether it is to be stored again.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        self.state == EntryState::Awaited
    }

    /// Whether nothing of it is to be stored any more.
    fn is_settled(&self) -> bool {
        matches!(self.state, EntryState::Stored | EntryState::Superseded)
    }
}

/// What of a chunk decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkLinks {
    /// Its place.
    pub place: Place,
    /// Its digest.
    pub digest: Digest,
    /// The digest it names as the one before.
    pub previous: Option<Digest>,
    /// Whether it opens its epoch, and what it continues.
    pub opening: Option<Option<Link>>,
    /// When the exchange stored it.
    pub exchanged_at: Timestamp,
}

impl ChunkLinks {
    /// Of a chunk as it arrived.
    #[must_use]
    pub fn of(arrival: &Arrival) -> Self {
        let (manifest, digest) = (&arrival.chunk.manifest, arrival.chunk.digest);
        Self {
            place: Place {
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
    /// The entry in the chunk's own place.
    pub same: Option<Entry>,
    /// The entry of the number before, in the same epoch.
    pub before: Option<Entry>,
    /// The entry of the number after, in the same epoch.
    pub after: Option<Entry>,
    /// For an opening: the entry of the chunk that it continues.
    pub continued: Option<Entry>,
}

/// What a chunk is to the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// New: its rows and its entry are stored.
    Store,
    /// Known: nothing changes.
    Already,
    /// Left behind by a later epoch: noted, not stored.
    Superseded,
    /// One of two histories. The lane stops.
    Fork {
        /// Begins with [`REWRITTEN`].
        reason: String,
    },
    /// The lane is stopped already.
    StoppedBefore {
        /// Why.
        reason: String,
    },
    /// An opening to be accepted: stored, the epoch becomes current, a stop is lifted.
    OpenEpoch {
        /// The chunk that it continues.
        continues: Option<Link>,
    },
    /// An opening that continues what is not ours. The lane stops.
    BadOpening {
        /// What does not match.
        reason: String,
    },
    /// Something that it builds on is on its way: it is put off.
    Later {
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
            _ => Judgement::Already,
        };
    }
    if view.same.is_none() && view.lane.is_folded(chunk.place) {
        return judge_folded(view, chunk);
    }
    let end = view.lane.end(chunk.place.epoch);
    match end {
        End::Unopened => judge_unopened(view, chunk),
        End::Void { .. } => Judgement::Superseded,
        End::At { link, .. } => {
            let number = chunk.place.number;
            let counts = number < link.number || (number == link.number && chunk.digest == link.digest);
            // The opening has decided between the histories: the other one does not stop us again.
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
                    chunk.place.number, chunk.place.epoch
                ),
            },
        },
    }
}

/// A chunk whose entry was folded: it was stored, unless the exchange shows that it is another one.
fn judge_folded(view: &LaneView<'_>, chunk: &ChunkLinks) -> Judgement {
    let Place { epoch, number } = chunk.place;
    let end = view.lane.end(epoch);
    let counts = match end {
        End::Void { .. } => false,
        End::At { link, .. } => {
            number < link.number || (number == link.number && chunk.digest == link.digest)
        }
        End::Open | End::Unopened => true,
    };
    let head = view.lane.folded_head(chunk.place);
    let is_younger = |compaction: &Compaction| compaction.is_younger(chunk.exchanged_at);
    let is_other = match head {
        Some(head) => head.digest != chunk.digest,
        None => view.lane.compaction.as_ref().is_some_and(is_younger),
    };
    match (counts, is_other, end, &view.lane.stopped) {
        (false, ..) | (true, true, End::At { .. }, _) => Judgement::Superseded,
        (true, false, ..) => Judgement::Already,
        (true, true, _, Some(reason)) => Judgement::StoppedBefore {
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
        Some(reason) => Judgement::StoppedBefore {
            reason: reason.clone(),
        },
        None => Judgement::Store,
    }
}

fn judge_unopened(view: &LaneView<'_>, chunk: &ChunkLinks) -> Judgement {
    let epoch = chunk.place.epoch;
    let Some(continues) = chunk.opening.filter(|_| chunk.place.number == 1) else {
        return match &view.lane.stopped {
            Some(reason) => Judgement::StoppedBefore {
                reason: reason.clone(),
            },
            None => Judgement::Later {
                reason: format!("the opening of epoch {epoch} has not come yet"),
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
        None if view.lane.is_folded(Place::of_link(&link)) => Judgement::OpenEpoch { continues },
        None => Judgement::Later {
            reason: format!(
                "epoch {epoch} continues chunk {} of epoch {}, which has not come yet",
                link.number, link.epoch
            ),
        },
    }
}

/// Which link does not hold. An entry in quarantine proves nothing, for it is not trusted.
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

/// The entries that judging these chunks needs, so that a store can read them at once.
#[must_use]
pub fn needed(chunks: &[ChunkLinks]) -> BTreeSet<Place> {
    let mut places = BTreeSet::new();
    for chunk in chunks {
        let Place { epoch, number } = chunk.place;
        places.extend(
            [number.saturating_sub(1), number, number.saturating_add(1)]
                .map(|number| Place { epoch, number }),
        );
        if let Some(Some(link)) = chunk.opening {
            places.insert(Place::of_link(&link));
        }
    }
    places
}

/// What to do with the chunks of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// One for each chunk, in the order they were given.
    pub judgements: Vec<Judgement>,
    /// The lane afterwards.
    pub lane: LaneState,
}

/// Judges chunks one after the other in the order of their places, each against the ledger as
/// the ones before leave it. `entries` holds what the ledger has of [`needed`].
#[must_use]
pub fn plan(lane: &LaneState, entries: &BTreeMap<Place, Entry>, chunks: &[ChunkLinks]) -> Plan {
    let (mut lane, mut entries) = (lane.clone(), entries.clone());
    let mut order: Vec<(usize, &ChunkLinks)> = chunks.iter().enumerate().collect();
    order.sort_by_key(|(_, chunk)| chunk.place);
    let mut judged: BTreeMap<usize, Judgement> = BTreeMap::new();
    for (index, chunk) in order {
        let at = |number: Option<u64>| {
            number.and_then(|number| {
                entries
                    .get(&Place {
                        number,
                        ..chunk.place
                    })
                    .copied()
            })
        };
        let view = LaneView {
            lane: &lane,
            same: at(Some(chunk.place.number)),
            before: at(chunk.place.number.checked_sub(1)).or_else(|| {
                lane.folded_head(Place {
                    number: chunk.place.number.checked_sub(1)?,
                    ..chunk.place
                })
            }),
            after: at(chunk.place.number.checked_add(1)),
            continued: chunk.opening.flatten().and_then(|link| {
                let place = Place::of_link(&link);
                entries.get(&place).copied().or_else(|| lane.folded_head(place))
            }),
        };
        let judgement = judge(&view, chunk);
        match &judgement {
            Judgement::Store => {
                entries.insert(chunk.place, chunk.entry(EntryState::Stored));
            }
            Judgement::OpenEpoch { continues } => {
                entries.insert(chunk.place, chunk.entry(EntryState::Stored));
                lane.epoch = chunk.place.epoch;
                lane.openings.insert(chunk.place.epoch, *continues);
                lane.stopped = None;
            }
            Judgement::Fork { reason } | Judgement::BadOpening { reason } => {
                lane.stopped.get_or_insert_with(|| reason.clone());
            }
            Judgement::Superseded => {
                entries
                    .entry(chunk.place)
                    .or_insert_with(|| chunk.entry(EntryState::Superseded));
            }
            Judgement::Already | Judgement::StoppedBefore { .. } | Judgement::Later { .. } => {}
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
