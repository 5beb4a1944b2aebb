//! PURE: judges the chunks of one call against ledger and tables: which are stored, which wait for approval, and how
//! the tables must change first.
//!
//! The ledger decides first: a chunk that is known, superseded or a fork does not change the tables.

use std::collections::{BTreeMap, BTreeSet};

use schemas::column::RowSchema;
use schemas::manifest::Resync;
use schemas::name::Lane;
use serde::{Deserialize, Serialize};

use super::schema_change::{PendingChange, SchemaChange};
use super::shape::{Change, Fit, Shape, fit};
use crate::arrival::Arrival;
use crate::chunk_number::ChunkNumber;
use crate::frontier::Frontier;
use crate::layout::LaneTables;
use crate::ledger::{ChunkLinks, Entry, Judgement, LaneState, Plan, needed, plan};
use crate::naming;
use crate::outcome::Outcome;
use crate::refusal::Refusal;
use crate::resync::{Removal, is_next, removal};

/// The record of a lane, as judgements need it.
#[derive(Debug, Clone, Copy)]
pub struct LaneSnapshot<'a> {
    /// The lane.
    pub lane: &'a Lane,
    /// Its epochs and its stop.
    pub state: &'a LaneState,
    /// How far it is stored.
    pub frontier: &'a Frontier,
    /// The shape of its tables.
    pub shape: Option<&'a Shape>,
    /// The change that waits for approval.
    pub pending_change: Option<&'a PendingChange>,
    /// The refusal that blocks the lane until an operator acts.
    pub refused: Option<&'a Refused>,
    /// The tables of the lane.
    pub tables: &'a LaneTables,
}

/// The first refused chunk and its refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The number of the first refused chunk.
    pub chunk_number: ChunkNumber,
    /// The refusal.
    #[serde(flatten)]
    pub why: Refusal,
}

/// The fields of a chunk that decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incoming<'a> {
    /// Its number and its links.
    pub links: ChunkLinks,
    /// Its columns.
    pub schema: &'a RowSchema,
    /// The number of its rows.
    pub rows: u64,
    /// The progress of a resynchronisation.
    pub resync: Option<Resync>,
    /// Whether it repairs rows.
    pub is_repair: bool,
}

impl<'a> Incoming<'a> {
    /// Reads the fields of arrivals.
    #[must_use]
    pub fn all(arrivals: &'a [Arrival]) -> Vec<Self> {
        let one = |arrival: &'a Arrival| Self {
            links: ChunkLinks::of(arrival),
            schema: &arrival.chunk.manifest.content.schema,
            rows: arrival.chunk.manifest.content.totals.rows,
            resync: arrival.chunk.manifest.resync,
            is_repair: arrival.chunk.manifest.repair.is_some(),
        };
        arrivals.iter().map(one).collect()
    }

    /// Returns the ledger entries that judging these chunks needs.
    #[must_use]
    pub fn needed(incoming: &[Self]) -> BTreeSet<ChunkNumber> {
        let links: Vec<ChunkLinks> = incoming.iter().map(|one| one.links.clone()).collect();
        needed(&links)
    }
}

/// The plan for the chunks of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchPlan {
    /// One verdict for each chunk, in order.
    pub verdicts: Vec<Verdict>,
    /// The lane's state afterwards.
    pub state: LaneState,
    /// The change of the tables that must be made first.
    pub change: Option<Box<Change>>,
    /// The changes that need approval and are not recorded yet.
    pub asks: Option<(ChunkNumber, Vec<SchemaChange>)>,
    /// The new refusal of the record, if it differs.
    pub refused: Option<Option<Refused>>,
}

/// The verdict on one chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The ledger's judgement.
    Judged(Judgement),
    /// It waits. Contains the reason.
    Waits(String),
}

impl Verdict {
    /// Returns whether its rows are stored.
    #[must_use]
    pub fn stores(&self) -> bool {
        matches!(self, Self::Judged(Judgement::Store | Judgement::OpenEpoch { .. }))
    }

    /// Returns whether it is recorded as superseded.
    #[must_use]
    pub fn is_superseded(&self) -> bool {
        matches!(self, Self::Judged(Judgement::Superseded))
    }

    /// Returns the outcome after the verdict was carried out.
    #[must_use]
    pub fn outcome(&self, rows: u64, quarantined: u64) -> Outcome {
        match self {
            Self::Judged(judgement) => outcome(judgement, rows, quarantined),
            Self::Waits(reason) => Outcome::Stopped {
                reason: reason.clone(),
            },
        }
    }
}

/// Judges the chunks of one call. `entries` holds the ledger's entries of them and their neighbours.
#[must_use]
pub fn plan_batch(
    snapshot: &LaneSnapshot<'_>,
    entries: &BTreeMap<ChunkNumber, Entry>,
    arrivals: &[Incoming<'_>],
) -> BatchPlan {
    let links: Vec<ChunkLinks> = arrivals.iter().map(|arrival| arrival.links.clone()).collect();
    let mut order: Vec<usize> = (0..arrivals.len()).collect();
    order.sort_by_key(|index| links.get(*index).map(|link| link.chunk_number));
    let mut waits: BTreeMap<usize, String> = BTreeMap::new();
    let mut asks: Option<(ChunkNumber, Vec<SchemaChange>)> = None;
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
        } = plan(snapshot.state, entries, &chosen);
        let judged: BTreeMap<usize, Judgement> = going.into_iter().zip(judgements).collect();
        for index in &order {
            let (Some(Judgement::Store | Judgement::OpenEpoch { .. }), Some(arrival)) =
                (judged.get(index), arrivals.get(*index))
            else {
                continue;
            };
            match fit_of(snapshot, arrival) {
                Fit::Fits => {}
                Fit::Change(change) => {
                    return BatchPlan {
                        verdicts: Vec::new(),
                        state,
                        change: Some(change),
                        asks: None,
                        refused: None,
                    };
                }
                Fit::Asks(changes) => {
                    let chunk_number = arrival.links.chunk_number;
                    waits.insert(*index, describe_change(snapshot, chunk_number, &changes));
                    if snapshot
                        .pending_change
                        .is_none_or(|pending_change| chunk_number < pending_change.chunk_number)
                        && asks.as_ref().is_none_or(|(first, _)| chunk_number < *first)
                    {
                        asks = Some((chunk_number, changes));
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
                    let chunk_number = arrival.links.chunk_number;
                    if refused
                        .as_ref()
                        .is_none_or(|first| chunk_number < first.chunk_number)
                    {
                        refused = Some(Refused {
                            chunk_number,
                            why: *why,
                        });
                    }
                    continue 'judged;
                }
            }
        }
        let mut judged = judged;
        for (index, arrival) in arrivals.iter().enumerate() {
            let chunk_number = arrival.links.chunk_number;
            // What it removed was removed when it was stored first.
            let is_again = snapshot.state.is_again(chunk_number, entries.get(&chunk_number));
            if !is_again
                && let Some(judgement @ Judgement::Store) = judged.get_mut(&index)
                && let Some(reason) = awaited(arrival, snapshot.frontier)
            {
                *judgement = Judgement::Deferred {
                    reason: reason.to_owned(),
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
            .filter_map(|index| links.get(index).map(|link| link.chunk_number))
            .max();
        let refused = refusal(snapshot.refused, refused, stored);
        let verdict = |index| match (waits.remove(&index), judged.remove(&index)) {
            (None, Some(judgement)) => Verdict::Judged(judgement),
            (why, _) => Verdict::Waits(why.unwrap_or_default()),
        };
        return BatchPlan {
            verdicts: (0..arrivals.len()).map(verdict).collect(),
            state,
            change: None,
            asks,
            refused,
        };
    }
}

/// Returns the refusal to record after a call that refused `now` and stores up to `stored`; `None` if it is
/// unchanged. The first refused chunk is recorded until it, or a later one, is stored.
#[must_use]
pub fn refusal(
    before: Option<&Refused>,
    now: Option<Refused>,
    stored: Option<ChunkNumber>,
) -> Option<Option<Refused>> {
    match (before, now) {
        (Some(before), Some(now)) => {
            (now.chunk_number <= before.chunk_number && now != *before).then_some(Some(now))
        }
        (None, Some(now)) => Some(Some(now)),
        (Some(before), None) => stored
            .is_some_and(|stored| stored >= before.chunk_number)
            .then_some(None),
        (None, None) => None,
    }
}

/// Returns why a chunk must wait until every earlier chunk is stored, if so.
fn awaited(arrival: &Incoming<'_>, frontier: &Frontier) -> Option<&'static str> {
    let chunk_number = arrival.links.chunk_number;
    if arrival.is_repair && !is_next(chunk_number, frontier) {
        return Some("it repairs rows, and not every chunk before it is stored yet");
    }
    let waits = removal(arrival.resync, chunk_number, frontier) == Removal::Waits;
    waits.then_some("it completes a resynchronisation of which not every chunk is stored yet")
}

/// A chunk without rows needs nothing from the tables, unless its whole lane is refused.
fn fit_of(snapshot: &LaneSnapshot<'_>, arrival: &Incoming<'_>) -> Fit {
    if arrival.rows == 0 {
        return match naming::verdict(snapshot.tables) {
            Ok(()) => Fit::Fits,
            Err(why) => Fit::Never(Box::new(why)),
        };
    }
    fit(
        snapshot.shape,
        arrival.schema,
        arrival.links.chunk_number,
        snapshot.tables,
        snapshot.frontier.chunk_number(),
    )
}

fn describe_change(
    snapshot: &LaneSnapshot<'_>,
    chunk_number: ChunkNumber,
    changes: &[SchemaChange],
) -> String {
    let pending = PendingChange {
        chunk_number,
        changes: changes.to_vec(),
        since: jiff::Timestamp::UNIX_EPOCH,
    };
    snapshot
        .pending_change
        .unwrap_or(&pending)
        .describe(snapshot.lane)
}

/// Returns the outcome of a judgement that was carried out.
fn outcome(judgement: &Judgement, rows: u64, quarantined: u64) -> Outcome {
    match judgement {
        Judgement::Store | Judgement::OpenEpoch { .. } => Outcome::Stored { rows, quarantined },
        Judgement::AlreadyStored => Outcome::AlreadyStored,
        Judgement::Superseded => Outcome::Superseded,
        Judgement::Fork { reason }
        | Judgement::AlreadyStopped { reason }
        | Judgement::BadOpening { reason } => Outcome::Stopped {
            reason: reason.clone(),
        },
        Judgement::Deferred { reason } => Outcome::Deferred {
            reason: reason.clone(),
        },
    }
}
