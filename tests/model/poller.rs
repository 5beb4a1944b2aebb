//! A simulated process of the commercial agent. It compares the store with its receipts, fetches, stores, settles and signs in
//! separate steps, so that a crash fits between any two. The product's own functions decide the result of a comparison, the
//! settlement of a delivery and whether a receipt is due.

use std::sync::OnceLock;

use commercial::evidence::{behind, foreign, receipt_behind};
use commercial::step::{LastReceipt, ReceiptStep, batches, receipt_due, receipt_step, settlement};
use exchange::Settlement;
use schemas::name::{FeedName, Lane, RecipientName};
use schemas::sign::{PublicKey, SigningKey};
use store::{Identity, LaneReport, Outcome};

use super::exchange::{Chunk, Exchange, Receipt};
use super::faults::Env;
use super::store::Store;
use harness::rng::Rng;

/// Interval of comparing the store with its own receipts.
const COMPARE_EVERY: i64 = 300;

enum Stage {
    Idle,
    /// The last receipt was read; the store is read next.
    Comparing(Option<Receipt>),
    Fetched(Vec<(u64, Chunk)>),
    Stored(Vec<(u64, Settlement)>),
    Reported(LaneReport),
    Due(LaneReport, u64),
}

/// The result of the last comparison.
#[derive(Clone)]
struct Compared {
    at: i64,
    identity: Identity,
    /// A receipt named the lane's store.
    is_signed: bool,
    is_foreign: bool,
    is_behind: bool,
}

pub(super) struct Poller {
    stage: Stage,
    /// The exchange's incarnation of the deliveries.
    incarnation: u32,
    /// `None` before the first comparison, and after an error.
    compared: Option<Compared>,
    /// It is configured with another store than the lane's.
    pub(super) uses_other_store: bool,
    /// The chunk that it took away from the lane's store.
    pub(super) taken_chunk: Option<u64>,
}

pub(super) fn lane() -> Lane {
    Lane {
        recipient: RecipientName::new("insurer-a").unwrap(),
        feed: FeedName::new("f").unwrap(),
    }
}

fn last(receipt: Option<&Receipt>) -> LastReceipt {
    receipt.map_or(LastReceipt::none(), |receipt| {
        LastReceipt::of(&receipt.signed, receipt.sequence)
    })
}

/// Returns whether the store has more to acknowledge than the exchange holds.
pub(super) fn owes_receipt(exchange: &Exchange, store: &Store) -> bool {
    store
        .report()
        .is_some_and(|report| receipt_due(&report, &last(exchange.state.receipt.as_ref())))
}

fn key() -> &'static PublicKey {
    static KEY: OnceLock<PublicKey> = OnceLock::new();
    KEY.get_or_init(|| SigningKey::generate().public().clone())
}

fn receipt(report: &LaneReport, identity: &Identity) -> schemas::receipt::Receipt {
    schemas::receipt::Receipt {
        recipient: report.lane.recipient.clone(),
        feed: report.lane.feed.clone(),
        origin: None,
        epoch: report.epoch,
        from: report.from,
        to: report.to,
        head: report.head,
        cursor: report.cursor.clone(),
        rows: report.rows,
        quarantined: report.quarantined.clone(),
        stopped: report.shared_blocked_reason().map(str::to_owned),
        store: Some(identity.id.clone()),
        behind: None,
        is_incomplete: report.is_incomplete(),
        at: jiff::Timestamp::UNIX_EPOCH,
        key: key().clone(),
    }
}

impl Poller {
    pub(super) fn new() -> Self {
        Self {
            stage: Stage::Idle,
            incarnation: 0,
            compared: None,
            uses_other_store: false,
            taken_chunk: None,
        }
    }

    pub(super) fn act(
        &mut self,
        exchange: &mut Exchange,
        store: &mut Store,
        env: Env,
        rng: &mut Rng,
        now: i64,
        faults: bool,
    ) {
        if !env.stores {
            // There is one store, and nothing happens to it.
            self.compared.get_or_insert_with(|| Compared {
                at: i64::MAX,
                identity: store.identity.clone(),
                is_signed: true,
                is_foreign: false,
                is_behind: false,
            });
        }
        self.stage = match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Idle if self.is_due(now) => Stage::Comparing(exchange.state.receipt.clone()),
            Stage::Comparing(receipt) => {
                self.compare(exchange, store, receipt.as_ref(), env, now);
                Stage::Idle
            }
            Stage::Idle if self.compared.as_ref().is_some_and(|found| found.is_foreign) => Stage::Idle,
            Stage::Idle if rng.percent(30) => store.report().map_or(Stage::Idle, Stage::Reported),
            Stage::Idle => self.fetch(exchange, rng, now),
            Stage::Fetched(chunks) => {
                let stored = commit(store, &chunks, env, rng, faults);
                if matches!(&stored, Stage::Stored(settled) if settled.is_empty()) {
                    self.compared = None; // it failed
                }
                stored
            }
            Stage::Stored(settlements) => {
                for (sequence, how) in settlements {
                    let lost = faults && rng.percent(10);
                    match how {
                        _ if lost || self.incarnation != exchange.incarnation => {}
                        Settlement::Ack => {
                            exchange.done(sequence);
                            // Without a receipt the stores cannot be distinguished.
                            let is_signed = self.compared.as_ref().is_some_and(|found| found.is_signed);
                            let is_taken = self.uses_other_store && is_signed;
                            self.taken_chunk = self.taken_chunk.or(is_taken.then_some(sequence));
                        }
                        // Redelivery delays are long in reality and short here.
                        Settlement::Nak(_) => exchange.later(sequence, now + 100),
                    }
                }
                Stage::Idle
            }
            Stage::Reported(report) => {
                let last = last(exchange.state.receipt.as_ref());
                match self.identity(&last, env) {
                    Some(identity) if receipt_step(&report, &last, &identity) == ReceiptStep::Write => {
                        Stage::Due(report, last.sequence)
                    }
                    _ => Stage::Idle,
                }
            }
            Stage::Due(report, sequence) => {
                let Some(found) = &self.compared else { return };
                if exchange.write_receipt(receipt(&report, &found.identity), sequence) {
                    Stage::Idle
                } else {
                    Stage::Reported(report)
                }
            }
        };
    }

    fn is_due(&self, now: i64) -> bool {
        self.compared
            .as_ref()
            .is_none_or(|found| found.at <= now - COMPARE_EVERY)
    }

    /// Returns the store's identity. Without identities, every receipt counts as its own.
    fn identity(&self, last: &LastReceipt, env: Env) -> Option<Identity> {
        let mut identity = self.compared.as_ref()?.identity.clone();
        if !env.identity {
            identity.replaces.extend(last.store.clone());
        }
        Some(identity)
    }

    /// Compares. The receipt was read before the store, which can only be ahead: so what is behind is behind.
    fn compare(
        &mut self,
        exchange: &mut Exchange,
        store: &Store,
        receipt: Option<&Receipt>,
        env: Env,
        now: i64,
    ) {
        let identity = store.identity.clone();
        let signed: Vec<_> = receipt.iter().map(|receipt| receipt.signed.clone()).collect();
        let is_foreign = env.identity && foreign(&identity, &signed).is_some();
        let held = receipt
            .filter(|_| env.compares_receipts && !is_foreign)
            .and_then(|receipt| behind(&receipt.signed, store.report().as_ref()));
        if let (Some(receipt), Some(held)) = (receipt, held)
            && let Some(behind) = receipt_behind(&receipt.signed, held, &identity.id)
        {
            // Another poller may have written the same first.
            exchange.write_receipt(behind, receipt.sequence);
        }
        self.compared = Some(Compared {
            at: now,
            identity,
            is_signed: receipt.is_some(),
            is_foreign,
            is_behind: held.is_some(),
        });
    }

    /// Connections to the store broke: unfinished work is lost, and settled work stays settled.
    pub(super) fn lose_store(&mut self) {
        self.compared = None;
        if !matches!(self.stage, Stage::Stored(_)) {
            self.stage = Stage::Idle;
        }
    }

    pub(super) fn describe(&self) -> String {
        format!(
            "{:?} elsewhere {} stage {}",
            self.compared.as_ref().map(|c| (c.at, c.is_foreign, c.is_behind)),
            self.uses_other_store,
            match self.stage {
                Stage::Idle => "idle",
                Stage::Comparing(_) => "comparing",
                Stage::Fetched(_) => "fetched",
                Stage::Stored(_) => "stored",
                Stage::Reported(_) => "reported",
                Stage::Due(..) => "due",
            }
        )
    }

    /// Returns whether its store is shown as behind its receipts.
    pub(super) fn shows_behind(&self) -> bool {
        self.compared.as_ref().is_some_and(|found| found.is_behind)
    }

    /// Returns whether it shows that another store signed the receipts.
    pub(super) fn shows_foreign(&self) -> bool {
        self.compared.as_ref().is_some_and(|found| found.is_foreign)
    }

    /// Returns whether it has compared since then and found nothing.
    pub(super) fn is_verified(&self, since: i64) -> bool {
        let is_well = |found: &Compared| found.at >= since && !found.is_foreign && !found.is_behind;
        self.compared.as_ref().is_some_and(is_well)
    }

    fn fetch(&mut self, exchange: &mut Exchange, rng: &mut Rng, now: i64) -> Stage {
        self.incarnation = exchange.incarnation;
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
        // The message does not open now: an untrusted key, or an unreadable manifest.
        if !(env.quarantine && faults && rng.percent(6)) {
            chunks.push((*sequence, chunk.clone()));
            continue;
        }
        if rng.percent(95) {
            store.quarantine(chunk, rng.percent(80));
            settlements.push((*sequence, Settlement::Ack));
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
