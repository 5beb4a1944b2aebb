//! A simulated operator of the receiver who refills the store, as `slacktide feed refill` does: what is awaited first, then
//! chunk by chunk from the exchange, so that a kill fits between any two steps. Where it begins and whether it is whole is
//! decided by the product's own functions.

use commercial::refill::{From, GapFinder, Progress, Refilled, needed};
use store::Outcome;
use store::merge::Place;

use super::exchange::{Chunk, Entry, Exchange};
use super::faults::Env;
use super::rng::Rng;
use super::store::{Store, place};

#[derive(Default)]
enum Stage {
    #[default]
    Idle,
    /// What is needed is awaited, and is read from this sequence on.
    Reading {
        from: From,
        next: u64,
        gaps: GapFinder,
        awaited_before: Vec<Place>,
        left: Vec<Place>,
    },
    /// Everything was read.
    Read {
        from: From,
        gaps: GapFinder,
        awaited_before: Vec<Place>,
        left: Vec<Place>,
    },
}

#[derive(Default)]
pub(super) struct Refiller {
    stage: Stage,
    /// The exchange does not keep what is missing: the bureau has to send it again.
    pub(super) asks_bureau: bool,
}

impl Refiller {
    /// The command was killed, or its store was taken away.
    pub(super) fn kill(&mut self) {
        self.stage = Stage::Idle;
    }

    pub(super) fn is_idle(&self) -> bool {
        matches!(self.stage, Stage::Idle)
    }

    /// Begins one, where the store may be refilled.
    pub(super) fn begin(&mut self, from: From, exchange: &Exchange, store: &mut Store, env: Env) {
        let owner = exchange.held.receipt.as_ref();
        let owner = owner.and_then(|receipt| receipt.signed.store.as_ref());
        let is_other = owner.is_some_and(|owner| !store.identity.owns(owner));
        if store.stopped().is_some() || env.identity && is_other {
            return;
        }
        let Some(tail) = exchange.tail().map(|entry| place(&entry.chunk)) else {
            return;
        };
        let needed = needed(from, store.report().as_ref());
        let begins = |entry: &&Entry| needed.is_none_or(|needed| place(&entry.chunk) >= needed);
        let Some(begin) = exchange.held.log.iter().find(begins) else {
            return;
        };
        let awaited_before = store.awaited();
        if from != From::Receipt {
            store.await_again(place(&begin.chunk), tail);
        }
        self.stage = Stage::Reading {
            from,
            next: begin.sequence,
            gaps: GapFinder::new(needed.unwrap_or(Place { epoch: 1, number: 1 })),
            awaited_before,
            left: Vec::new(),
        };
    }

    /// One piece of the work.
    pub(super) fn act(&mut self, exchange: &Exchange, store: &mut Store, rng: &mut Rng, faults: bool) {
        if faults && rng.percent(6) {
            return self.kill();
        }
        self.stage = match std::mem::take(&mut self.stage) {
            Stage::Idle => Stage::Idle,
            Stage::Reading {
                from,
                next,
                mut gaps,
                awaited_before,
                mut left,
            } => {
                let some = exchange.read(next, 1 + rng.below(4));
                match some.last().map(|entry| entry.sequence + 1) {
                    None => Stage::Read {
                        from,
                        gaps,
                        awaited_before,
                        left,
                    },
                    Some(next) => {
                        for chunk in some.iter().map(|entry| &entry.chunk) {
                            gaps.observe(place(chunk), chunk.opening);
                        }
                        left.extend(put(store, &some));
                        Stage::Reading {
                            from,
                            next,
                            gaps,
                            awaited_before,
                            left,
                        }
                    }
                }
            }
            Stage::Read {
                from,
                gaps,
                awaited_before,
                left,
            } => {
                self.asks_bureau |= finish(store, from, gaps, &awaited_before, left);
                Stage::Idle
            }
        };
    }
}

/// Stores chunks; what waits for the frontier is stored once the frontier has moved. Returns what could not be stored.
fn put(store: &mut Store, some: &[Entry]) -> Vec<Place> {
    let chunks: Vec<&Chunk> = some.iter().map(|entry| &entry.chunk).collect();
    let mut outcomes = store.store(&chunks);
    let waits = |outcome: &Outcome| matches!(outcome, Outcome::Later { .. });
    if outcomes.iter().any(waits) {
        for (outcome, again) in outcomes.iter_mut().zip(store.store(&chunks)) {
            if waits(outcome) {
                *outcome = again;
            }
        }
    }
    let is_left = |outcome: &Outcome| matches!(outcome, Outcome::Later { .. } | Outcome::Stopped { .. });
    let both = chunks.into_iter().zip(&outcomes);
    both.filter(|(_, outcome)| is_left(outcome))
        .map(|(chunk, _)| place(chunk))
        .collect()
}

/// Ends a refill. Returns whether the bureau has to send something again.
fn finish(
    store: &mut Store,
    from: From,
    mut gaps: GapFinder,
    awaited_before: &[Place],
    left: Vec<Place>,
) -> bool {
    let lineage_start = store
        .report()
        .map_or(Place::BEGINNING, |report| report.lineage_start);
    if store.stopped().is_none() {
        let awaited = store.awaited();
        gaps.observe_awaited(&awaited);
        let given_up = gaps.given_up(&awaited, awaited_before, &left);
        given_up.iter().for_each(|at| store.as_before(*at));
    }
    let report = store.report();
    if let Some(report) = report.as_ref()
        && left.is_empty()
        && store.awaited().is_empty()
    {
        gaps.observe_frontier(report.place(), lineage_start);
    }
    let refilled = Refilled {
        progress: Progress::default(),
        gaps: gaps.relevant(lineage_start),
        widened: None,
        left: left.into_iter().map(|at| (at, String::new())).collect(),
        awaited: store.awaited(),
        report,
        is_finished: true,
    };
    if from == From::Start && refilled.is_whole() {
        store.trust_rows();
    }
    !refilled.gaps.is_empty()
}
