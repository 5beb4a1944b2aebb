//! A simulated process of the commercial agent: fetch, store, settle, sign, each apart from
//! the other, so that a crash fits between any two. What becomes of a delivery and whether a
//! receipt is due is decided by the product's own functions.

use commercial::step::{LastReceipt, batches, receipt_due, settlement};
use exchange::Settlement;
use schemas::name::{FeedName, Lane, RecipientName};
use social::epoch::Basis;
use store::{LaneReport, Outcome};

use super::exchange::{Chunk, Exchange, Receipt};
use super::faults::Env;
use super::rng::Rng;
use super::store::Store;

enum Stage {
    Idle,
    Fetched(Vec<(u64, Chunk)>),
    Stored(Vec<(u64, Settlement)>),
    Reported(LaneReport),
    Compared(LaneReport, LastReceipt),
}

pub(super) struct Poller {
    stage: Stage,
    /// The exchange's life that the deliveries came from.
    life: u32,
}

pub(super) fn lane() -> Lane {
    Lane {
        recipient: RecipientName::new("insurer-a").unwrap(),
        feed: FeedName::new("f").unwrap(),
    }
}

fn last(receipt: Option<&Receipt>) -> LastReceipt {
    receipt.map_or(LastReceipt::none(), |receipt| LastReceipt {
        sequence: receipt.sequence,
        epoch: receipt.basis.epoch,
        from: receipt.from,
        to: receipt.basis.to,
        head: receipt.basis.head,
        quarantined: receipt.quarantined.clone(),
        stopped: receipt.stopped.clone(),
        ..LastReceipt::none()
    })
}

/// Whether the store has more to sign for than the exchange holds.
pub(super) fn owes_receipt(exchange: &Exchange, store: &Store) -> bool {
    store
        .report()
        .is_some_and(|report| receipt_due(&report, &last(exchange.held.receipt.as_ref())))
}

impl Poller {
    pub(super) fn new() -> Self {
        Self {
            stage: Stage::Idle,
            life: 0,
        }
    }

    /// One piece of its work.
    pub(super) fn act(
        &mut self,
        exchange: &mut Exchange,
        store: &mut Store,
        env: Env,
        rng: &mut Rng,
        now: i64,
        faults: bool,
    ) {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Idle if rng.percent(30) => store.report().map_or(Stage::Idle, Stage::Reported),
            Stage::Idle => self.fetch(exchange, rng, now),
            Stage::Fetched(chunks) => commit(store, &chunks, env, rng, faults),
            Stage::Stored(settlements) => {
                for (sequence, how) in settlements {
                    let lost = faults && rng.percent(10);
                    match how {
                        _ if lost || self.life != exchange.life => {}
                        Settlement::Done => exchange.done(sequence),
                        // Rests are long in life and short here.
                        Settlement::Later(_) => exchange.later(sequence, now + 100),
                    }
                }
                Stage::Idle
            }
            Stage::Reported(report) => {
                let last = last(exchange.held.receipt.as_ref());
                if receipt_due(&report, &last) {
                    Stage::Compared(report, last)
                } else {
                    Stage::Idle
                }
            }
            Stage::Compared(report, last) => {
                let basis = Basis {
                    epoch: report.epoch,
                    to: report.to,
                    head: report.head,
                    cursor: report.cursor.clone(),
                };
                let receipt = Receipt {
                    sequence: 0,
                    from: report.from,
                    basis,
                    quarantined: report.quarantined.clone(),
                    stopped: report.stopped.clone(),
                };
                if exchange.write_receipt(receipt, last.sequence) {
                    Stage::Idle
                } else {
                    Stage::Reported(report)
                }
            }
        };
    }

    fn fetch(&mut self, exchange: &mut Exchange, rng: &mut Rng, now: i64) -> Stage {
        self.life = exchange.life;
        let mut chunks = Vec::new();
        for _ in 0..=rng.below(3) {
            let ready = exchange.deliverable(now);
            // Mostly the oldest, sometimes any.
            let which = if rng.percent(60) {
                0
            } else {
                rng.below(ready.len())
            };
            let Some(sequence) = ready.get(which) else { break };
            chunks.extend(exchange.deliver(*sequence, now).map(|chunk| (*sequence, chunk)));
        }
        if chunks.is_empty() {
            Stage::Idle
        } else {
            Stage::Fetched(chunks)
        }
    }
}

fn commit(store: &mut Store, fetched: &[(u64, Chunk)], env: Env, rng: &mut Rng, faults: bool) -> Stage {
    let mut settlements = Vec::new();
    let mut chunks = Vec::new();
    for (sequence, chunk) in fetched {
        // It does not open today: a key that is not trusted yet, or its manifest does not read.
        if !(env.quarantine && faults && rng.percent(6)) {
            chunks.push((*sequence, chunk.clone()));
            continue;
        }
        if rng.percent(95) {
            store.quarantine(chunk, rng.percent(80));
            settlements.push((*sequence, Settlement::Done));
        }
    }
    let chunks = chunks.as_slice();
    let sizes: Vec<_> = chunks
        .iter()
        .map(|(_, chunk)| (lane(), 1 + chunk.rows.len()))
        .collect();
    for batch in batches(&sizes, 12) {
        let members: Vec<&(u64, Chunk)> = batch
            .members
            .iter()
            .filter_map(|member| chunks.get(*member))
            .collect();
        if faults && rng.percent(5) {
            continue; // rolled back
        }
        let arrivals: Vec<&Chunk> = members.iter().map(|(_, chunk)| chunk).collect();
        let outcomes: Vec<Outcome> = store.store(&arrivals);
        if faults && rng.percent(5) {
            continue; // committed, and the answer was lost
        }
        settlements.extend(
            members
                .iter()
                .map(|(sequence, _)| *sequence)
                .zip(outcomes.iter().map(settlement)),
        );
    }
    Stage::Stored(settlements)
}
