//! PURE: the chunks of one call against ledger and tables: which are stored, which wait for an
//! operator's word, and how the tables have to change first.
//!
//! The ledger is asked first: what is known, superseded or a fork asks nothing of the tables.

use std::collections::{BTreeMap, BTreeSet};

use schemas::column::RowSchema;
use schemas::manifest::Resync;
use schemas::name::Lane;
use serde::{Deserialize, Serialize};

use super::asked::{Asked, Question};
use super::shape::{Change, Fit, Shape, fit};
use crate::frontier::Frontier;
use crate::layout::LaneTables;
use crate::ledger::{ChunkLinks, Entry, Judgement, LaneState, Plan, needed, plan};
use crate::merge::Place;
use crate::naming::{self, Refusal};
use crate::port::{Arrival, Outcome};
use crate::resync::{Removal, removal};

/// What a lane's record says.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// The lane.
    pub lane: &'a Lane,
    /// Its epochs and its stop.
    pub state: &'a LaneState,
    /// How far it is stored.
    pub frontier: &'a Frontier,
    /// What its tables look like.
    pub shape: Option<&'a Shape>,
    /// What it waits for.
    pub asked: Option<&'a Question>,
    /// What was refused until somebody acts.
    pub refused: Option<&'a Refused>,
    /// Where its rows go.
    pub tables: &'a LaneTables,
}

/// A chunk that is not stored until somebody acts, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The first one that was refused.
    pub place: Place,
    /// Why.
    #[serde(flatten)]
    pub why: Refusal,
}

/// What of a chunk decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incoming<'a> {
    /// Its place and its links.
    pub links: ChunkLinks,
    /// Its columns.
    pub schema: &'a RowSchema,
    /// How many rows it has.
    pub rows: u64,
    /// The progress of a resynchronisation.
    pub resync: Option<Resync>,
}

impl<'a> Incoming<'a> {
    /// Of chunks as they arrived.
    #[must_use]
    pub fn all(arrivals: &'a [Arrival]) -> Vec<Self> {
        let one = |arrival: &'a Arrival| Self {
            links: ChunkLinks::of(arrival),
            schema: &arrival.chunk.manifest.schema,
            rows: arrival.chunk.manifest.totals.rows,
            resync: arrival.chunk.manifest.resync,
        };
        arrivals.iter().map(one).collect()
    }

    /// The entries of the ledger that judging these needs.
    #[must_use]
    pub fn needed(incoming: &[Self]) -> BTreeSet<Place> {
        let links: Vec<ChunkLinks> = incoming.iter().map(|one| one.links.clone()).collect();
        needed(&links)
    }
}

/// What to do with the chunks of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intake {
    /// One for each chunk, in order.
    pub verdicts: Vec<Verdict>,
    /// The lane afterwards.
    pub state: LaneState,
    /// How the tables have to change before any of it is done.
    pub change: Option<Box<Change>>,
    /// What somebody has to be asked, where the record does not say so yet.
    pub asks: Option<(Place, Vec<Asked>)>,
    /// What the record has to say of chunks that are refused, where that is something else than it says.
    pub refused: Option<Option<Refused>>,
}

/// What to do with one chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// As the ledger says.
    Judged(Judgement),
    /// It waits: why.
    Waits(String),
}

impl Verdict {
    /// Whether its rows are stored.
    #[must_use]
    pub fn stores(&self) -> bool {
        matches!(self, Self::Judged(Judgement::Store | Judgement::OpenEpoch { .. }))
    }

    /// Whether it is noted as left behind.
    #[must_use]
    pub fn is_superseded(&self) -> bool {
        matches!(self, Self::Judged(Judgement::Superseded))
    }

    /// What a caller is told once it was carried out.
    #[must_use]
    pub fn outcome(&self, rows: u64, quarantined: u64) -> Outcome {
        match self {
            Self::Judged(judgement) => crate::record::outcome(judgement, rows, quarantined),
            Self::Waits(reason) => Outcome::Stopped {
                reason: reason.clone(),
            },
        }
    }
}

/// Judges the chunks of one call. `entries` holds what the ledger has of them and their
/// neighbours.
#[must_use]
pub fn intake(given: &Given<'_>, entries: &BTreeMap<Place, Entry>, arrivals: &[Incoming<'_>]) -> Intake {
    let links: Vec<ChunkLinks> = arrivals.iter().map(|arrival| arrival.links.clone()).collect();
    let mut order: Vec<usize> = (0..arrivals.len()).collect();
    order.sort_by_key(|index| links.get(*index).map(|link| link.place));
    let mut waits: BTreeMap<usize, String> = BTreeMap::new();
    let mut asks: Option<(Place, Vec<Asked>)> = None;
    let mut refused: Option<Refused> = None;
    'judged: loop {
        let going: Vec<usize> = (0..arrivals.len())
            .filter(|index| !waits.contains_key(index))
            .collect();
        let chosen: Vec<ChunkLinks> = going
            .iter()
            .filter_map(|index| links.get(*index).cloned())
            .collect();
        let Plan {
            judgements,
            lane: state,
        } = plan(given.state, entries, &chosen);
        let judged: BTreeMap<usize, Judgement> = going.into_iter().zip(judgements).collect();
        for index in &order {
            let (Some(Judgement::Store | Judgement::OpenEpoch { .. }), Some(arrival)) =
                (judged.get(index), arrivals.get(*index))
            else {
                continue;
            };
            match fit_of(given, arrival) {
                Fit::Fits => {}
                Fit::Change(change) => {
                    return Intake {
                        verdicts: Vec::new(),
                        state,
                        change: Some(change),
                        asks: None,
                        refused: None,
                    };
                }
                Fit::Asks(changes) => {
                    let place = arrival.links.place;
                    waits.insert(*index, told(given, place, &changes));
                    if given.asked.is_none_or(|asked| place < asked.place)
                        && asks.as_ref().is_none_or(|(first, _)| place < *first)
                    {
                        asks = Some((place, changes));
                    }
                    continue 'judged;
                }
                Fit::Waits => {
                    let why =
                        "its change of key was accepted, and waits until every chunk before it is stored";
                    waits.insert(*index, why.to_owned());
                    continue 'judged;
                }
                Fit::Never(why) => {
                    waits.insert(*index, why.to_string());
                    let place = arrival.links.place;
                    if refused.as_ref().is_none_or(|first| place < first.place) {
                        refused = Some(Refused { place, why: *why });
                    }
                    continue 'judged;
                }
            }
        }
        let mut judged = judged;
        for (index, arrival) in arrivals.iter().enumerate() {
            let place = arrival.links.place;
            // What it removed was removed when it was stored first.
            let is_again = given.state.is_again(place, entries.get(&place));
            if !is_again
                && let Some(judgement @ Judgement::Store) = judged.get_mut(&index)
                && removal(arrival.resync, place, given.frontier) == Removal::Waits
            {
                *judgement = Judgement::Later {
                    reason: "it completes a resynchronisation of which not every chunk is stored yet"
                        .to_owned(),
                };
            }
        }
        let stored = (0..arrivals.len())
            .filter(|index| {
                matches!(
                    judged.get(index),
                    Some(Judgement::Store | Judgement::OpenEpoch { .. })
                )
            })
            .filter_map(|index| links.get(index).map(|link| link.place))
            .max();
        let refused = refusal(given.refused, refused, stored);
        let verdict = |index| match (waits.remove(&index), judged.remove(&index)) {
            (None, Some(judgement)) => Verdict::Judged(judgement),
            (why, _) => Verdict::Waits(why.unwrap_or_default()),
        };
        return Intake {
            verdicts: (0..arrivals.len()).map(verdict).collect(),
            state,
            change: None,
            asks,
            refused,
        };
    }
}

/// What the record has to say of refused chunks after a call that refused `now` and stores up to `stored`;
/// `None` where it stays as it is. The first refused chunk has the word until it, or one behind it, is stored.
#[must_use]
pub fn refusal(
    before: Option<&Refused>,
    now: Option<Refused>,
    stored: Option<Place>,
) -> Option<Option<Refused>> {
    match (before, now) {
        (Some(before), Some(now)) => (now.place <= before.place && now != *before).then_some(Some(now)),
        (None, Some(now)) => Some(Some(now)),
        (Some(before), None) => stored
            .is_some_and(|stored| stored >= before.place)
            .then_some(None),
        (None, None) => None,
    }
}

/// A chunk without rows asks nothing of the tables, but for what keeps its whole lane waiting.
fn fit_of(given: &Given<'_>, arrival: &Incoming<'_>) -> Fit {
    if arrival.rows == 0 {
        return match naming::verdict(given.tables) {
            Ok(()) => Fit::Fits,
            Err(why) => Fit::Never(Box::new(why)),
        };
    }
    fit(
        given.shape,
        arrival.schema,
        arrival.links.place,
        given.tables,
        given.frontier.place(),
    )
}

fn told(given: &Given<'_>, place: Place, changes: &[Asked]) -> String {
    let question = Question {
        place,
        changes: changes.to_vec(),
        since: jiff::Timestamp::UNIX_EPOCH,
    };
    given.asked.unwrap_or(&question).told(given.lane)
}
