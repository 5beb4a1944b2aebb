//! What people do: a change accepted, a new epoch opened, the quarantine emptied.

use std::rc::Rc;

use social::epoch::plan;
use social::stop::StopReason;

use super::super::exchange::Chunk;
use super::super::poller::owes_receipt;
use super::World;

impl World {
    /// Sees a stopped lane and opens a new epoch, as `slacktide feed rewind` does.
    pub(super) fn operator(&mut self, chaos: bool) {
        if self.env.changes && self.store.asked() && self.rng.percent(30) {
            self.store.accept();
            self.accepted += 1;
        }
        let resend = self.env.changes && chaos && self.resent < 2 && self.rng.percent(4);
        let receiver = self.store.stopped().is_some();
        let sender = self
            .publishers
            .iter()
            .any(|slot| slot.process.lane.stopped() == Some(&StopReason::Restored));
        let (tail_epoch, expect) = self
            .exchange
            .tail()
            .map_or((0, 0), |entry| (entry.chunk.link.epoch, entry.sequence));
        if !(receiver || sender || resend) || tail_epoch > self.store.epoch() {
            return;
        }
        let receipt = self
            .exchange
            .held
            .receipt
            .as_ref()
            .map(|receipt| receipt.basis.clone());
        let owes = owes_receipt(&self.exchange, &self.store);
        let from_start = resend || !owes && receipt.as_ref().is_none_or(|receipt| receipt.to == 0);
        // What stopped may have been seen before the opening that lifts it.
        if !resend && !receiver && tail_epoch > 1 && self.rng.percent(50) {
            return;
        }
        let Some(plan) = plan(receipt.as_ref(), tail_epoch, from_start) else {
            return;
        };
        let previous = plan.continues.map(|link| link.digest);
        let digest = Chunk::digest_of(plan.epoch, 1, previous, "operator", &self.now.to_le_bytes());
        let opening = Chunk {
            link: schemas::manifest::Link {
                epoch: plan.epoch,
                number: 1,
                digest,
            },
            previous,
            opening: Some(plan.continues),
            instance: "operator".to_owned(),
            before: plan.cursor.clone(),
            after: plan.cursor,
            rows: Rc::new(Vec::new()),
            generation: 0,
        };
        self.exchange.publish(opening, expect, true, self.now);
        self.epochs += 1;
        self.resent += u32::from(resend);
    }

    /// One of two operators works at what is in quarantine.
    pub(super) fn keep_house(&mut self, chaos: bool) {
        let Self {
            keepers, store, rng, ..
        } = self;
        if let Some(keeper) = keepers.get_mut(rng.below(2)) {
            keeper.act(store, rng, chaos);
        }
    }
}
