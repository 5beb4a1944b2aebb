//! A simulated operator who refills the store, as `slacktide feed refill` does: first the needed chunks are marked as awaited,
//! then they are read one by one from the exchange, so that a kill fits between any two steps. The product's own functions
//! decide the start and whether the refill is complete.

use commercial::refill::{From, GapFinder, Progress, Refilled, needed};
use store::Outcome;
use store::merge::ChunkNumber;

use super::exchange::{Chunk, Entry, Exchange};
use super::faults::Env;
use super::store::{Store, chunk_number};
use harness::rng::Rng;

#[derive(Default)]
enum Stage {
    #[default]
    Idle,
    /// The needed chunks are awaited, and are read from this sequence on.
    Reading {
        from: From,
        next: u64,
        gaps: GapFinder,
        awaited_before: Vec<ChunkNumber>,
        left: Vec<ChunkNumber>,
    },
    Read {
        from: From,
        gaps: GapFinder,
        awaited_before: Vec<ChunkNumber>,
        left: Vec<ChunkNumber>,
    },
}

#[derive(Default)]
pub(super) struct Refiller {
    stage: Stage,
    /// The exchange no longer keeps the missing chunks: the bureau has to send them again.
    pub(super) asks_bureau: bool,
}

impl Refiller {
    /// Ends the refill: the command was killed, or its store was replaced.
    pub(super) fn kill(&mut self) {
        self.stage = Stage::Idle;
    }

    pub(super) fn is_idle(&self) -> bool {
        matches!(self.stage, Stage::Idle)
    }

    /// Begins a refill, if the store may be refilled.
    pub(super) fn begin(&mut self, from: From, exchange: &Exchange, store: &mut Store, env: Env) {
        let owner = exchange.state.receipt.as_ref();
        let owner = owner.and_then(|receipt| receipt.signed.store.as_ref());
        let is_other = owner.is_some_and(|owner| !store.identity.owns(owner));
        if store.stopped().is_some() || env.identity && is_other {
            return;
        }
        let Some(tail) = exchange.tail().map(|entry| chunk_number(&entry.chunk)) else {
            return;
        };
        let needed = needed(from, store.report().as_ref());
        let begins = |entry: &&Entry| needed.is_none_or(|needed| chunk_number(&entry.chunk) >= needed);
        let Some(begin) = exchange.state.log.iter().find(begins) else {
            return;
        };
        let awaited_before = store.awaited();
        if from != From::Receipt {
            store.mark_awaited(chunk_number(&begin.chunk), tail);
        }
        self.stage = Stage::Reading {
            from,
            next: begin.sequence,
            gaps: GapFinder::new(needed.unwrap_or(ChunkNumber { epoch: 1, number: 1 })),
            awaited_before,
            left: Vec::new(),
        };
    }

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
                            gaps.observe(chunk_number(chunk), chunk.opening);
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

/// Stores chunks; those that wait for the frontier are stored once it has moved. Returns the chunks that could not be stored.
fn put(store: &mut Store, some: &[Entry]) -> Vec<ChunkNumber> {
    let chunks: Vec<&Chunk> = some.iter().map(|entry| &entry.chunk).collect();
    let mut outcomes = store.store(&chunks);
    let waits = |outcome: &Outcome| matches!(outcome, Outcome::Deferred { .. });
    if outcomes.iter().any(waits) {
        for (outcome, again) in outcomes.iter_mut().zip(store.store(&chunks)) {
            if waits(outcome) {
                *outcome = again;
            }
        }
    }
    let is_left = |outcome: &Outcome| matches!(outcome, Outcome::Deferred { .. } | Outcome::Stopped { .. });
    let both = chunks.into_iter().zip(&outcomes);
    both.filter(|(_, outcome)| is_left(outcome))
        .map(|(chunk, _)| chunk_number(chunk))
        .collect()
}

/// Ends a refill. Returns whether the bureau has to send something again.
fn finish(
    store: &mut Store,
    from: From,
    mut gaps: GapFinder,
    awaited_before: &[ChunkNumber],
    left: Vec<ChunkNumber>,
) -> bool {
    let lineage_start = store
        .report()
        .map_or(ChunkNumber::BEGINNING, |report| report.lineage_start);
    if store.stopped().is_none() {
        let awaited = store.awaited();
        gaps.observe_awaited(&awaited);
        let given_up = gaps.given_up(&awaited, awaited_before, &left);
        given_up.iter().for_each(|at| store.mark_stored(*at));
    }
    let report = store.report();
    if let Some(report) = report.as_ref()
        && left.is_empty()
        && store.awaited().is_empty()
    {
        gaps.observe_frontier(report.chunk_number(), lineage_start);
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
        store.accept_row_count();
    }
    !refilled.gaps.is_empty()
}
