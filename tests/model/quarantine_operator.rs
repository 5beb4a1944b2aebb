//! A simulated operator at the quarantine. A message is retried in the product's steps, so that a kill fits between any two: the
//! ledger check, the store, the end of the entry. Rows are one transaction, whose answer may get lost.

use store::Outcome;
use store::quarantine::decide::{deferral, refusal};
use store::quarantine::{Kind, RetryOutcome};

use super::exchange::Chunk;
use super::store::{Id, Store};
use harness::rng::Rng;

#[derive(Default)]
enum Stage {
    #[default]
    Idle,
    /// The ledger would accept it.
    Judged(Id, Chunk),
    Stored(Id, Chunk),
}

#[derive(Default)]
pub(super) struct QuarantineOperator(Stage);

impl QuarantineOperator {
    pub(super) fn act(&mut self, store: &mut Store, rng: &mut Rng, faults: bool) {
        if faults && rng.percent(5) {
            self.0 = Stage::Idle; // killed
            return;
        }
        self.0 = match std::mem::take(&mut self.0) {
            Stage::Idle => begin(store, rng, faults),
            Stage::Judged(id, chunk) => {
                let stopped = store.stopped().is_some();
                let outcome: Option<Outcome> = store.store(&[&chunk]).pop();
                // After the ledger check only a race is left: another poller stored a contradicting chunk in between.
                store.must_not_stop(stopped || store.checks_ledger_first());
                match outcome.as_ref().and_then(deferral) {
                    Some(_) => Stage::Idle,
                    None => Stage::Stored(id, chunk),
                }
            }
            Stage::Stored(id, chunk) => {
                store.finish(&chunk, &id);
                Stage::Idle
            }
        };
    }
}

fn begin(store: &mut Store, rng: &mut Rng, faults: bool) -> Stage {
    let open = store.open();
    let Some((id, kind)) = open.get(rng.below(open.len())).copied() else {
        return Stage::Idle;
    };
    // Sometimes discarded: from here on the rows are missing on purpose.
    if kind == Kind::Row {
        if faults && rng.percent(4) {
            store.discard(&id);
            return Stage::Idle;
        }
        let rows = open.iter().filter(|(_, kind)| *kind == Kind::Row);
        let mut ids: Vec<Id> = rows.map(|(id, _)| *id).take(rng.below(4)).collect();
        ids.push(id);
        for (id, became) in ids.iter().zip(store.retry_rows(&ids)) {
            if matches!(became, RetryOutcome::Never { .. }) {
                store.discard(id);
            }
        }
        return Stage::Idle;
    }
    let Some(chunk) = store.message(&id) else {
        return Stage::Idle;
    };
    if !store.checks_ledger_first() {
        return Stage::Judged(id, chunk);
    }
    match refusal(&store.judgement_of(&chunk)) {
        None => Stage::Judged(id, chunk),
        Some(RetryOutcome::Contradicts { .. }) => {
            store.discard(&id);
            Stage::Idle
        }
        Some(_) => Stage::Idle,
    }
}
