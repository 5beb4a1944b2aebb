//! A simulated operator at the quarantine. A message goes the product's own way, each verb apart
//! from the other so that a kill fits between any two: what the ledger would say, the store, the
//! end of the entry. Rows are one transaction, whose answer may get lost.

use store::Outcome;
use store::quarantine::decide::{put_off, refusal};
use store::quarantine::{Became, Kind};

use super::exchange::Chunk;
use super::rng::Rng;
use super::store::{Id, Store};

#[derive(Default)]
enum Stage {
    #[default]
    Idle,
    /// The ledger would take it.
    Judged(Id, Chunk),
    /// It is stored.
    Stored(Id, Chunk),
}

#[derive(Default)]
pub(super) struct Keeper(Stage);

impl Keeper {
    /// One piece of the work.
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
                // Asked first, only a race is left: another poller stored what contradicts in between.
                store.must_not_stop(stopped || store.asks_first());
                match outcome.as_ref().and_then(put_off) {
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
    // Given up, now and then: the rows are missed on purpose from here on.
    if kind == Kind::Row {
        if faults && rng.percent(4) {
            store.discard(&id);
            return Stage::Idle;
        }
        let rows = open.iter().filter(|(_, kind)| *kind == Kind::Row);
        let mut ids: Vec<Id> = rows.map(|(id, _)| *id).take(rng.below(4)).collect();
        ids.push(id);
        for (id, became) in ids.iter().zip(store.retry_rows(&ids)) {
            if matches!(became, Became::Never { .. }) {
                store.discard(id);
            }
        }
        return Stage::Idle;
    }
    let Some(chunk) = store.message(&id) else {
        return Stage::Idle;
    };
    if !store.asks_first() {
        return Stage::Judged(id, chunk);
    }
    match refusal(&store.judged(&chunk)) {
        None => Stage::Judged(id, chunk),
        Some(Became::Contradicts { .. }) => {
            store.discard(&id);
            Stage::Idle
        }
        Some(_) => Stage::Idle,
    }
}
