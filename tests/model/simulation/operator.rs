//! Operators' actions: a change accepted, a new epoch opened, the quarantine emptied.

use std::rc::Rc;

use schemas::manifest::Resync;
use social::epoch::plan;
use social::stop::StopReason;
use social::tail::pending_resync;

use super::super::exchange::{Chunk, Receipt};
use super::super::poller::owes_receipt;
use super::Simulation;

impl Simulation {
    /// Reacts to a stopped lane and opens a new epoch, as `slacktide feed rewind` does.
    pub(super) fn operator(&mut self, chaos: bool) {
        if self.env.changes && self.store.has_pending_change() && self.rng.percent(30) {
            self.store.accept();
            self.accepted += 1;
        }
        let resend = self.env.changes && chaos && self.resent < 2 && self.rng.percent(4);
        let resend = resend || self.refiller.asks_bureau;
        let wants_resync = self.wants_resync(chaos);
        let receiver = self.store.stopped().is_some();
        let sender = self
            .publishers
            .iter()
            .any(|slot| slot.process.lane.stopped() == Some(&StopReason::Restored));
        let tail = self.exchange.tail();
        let (tail_epoch, expect) = tail.map_or((0, 0), |entry| (entry.chunk.link.epoch, entry.sequence));
        // The last epoch may continue from a chunk that the store lost and the exchange no longer keeps, so the store may have refused
        // the opening: the operator opens another epoch after a while.
        let is_patient = chaos || !self.rng.percent(5);
        let is_awaited = tail_epoch > self.store.epoch() && !self.refiller.asks_bureau && is_patient;
        if !(receiver || sender || resend || wants_resync) || is_awaited {
            return;
        }
        // No other epoch ends a resynchronisation early: it is ordered again.
        let is_under_way = tail.is_some_and(|entry| pending_resync(entry.chunk.resync).is_some());
        let resyncs = wants_resync || is_under_way;
        let source = tail.and_then(|entry| entry.chunk.source.clone());
        let receipt = self.exchange.state.receipt.as_ref().map(Receipt::basis);
        let owes = owes_receipt(&self.exchange, &self.store);
        let from_start = resyncs || resend || !owes && receipt.as_ref().is_none_or(|receipt| receipt.to == 0);
        // The stop may be older than the opening that resolves it.
        if !resend && !receiver && !wants_resync && tail_epoch > 1 && self.rng.percent(50) {
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
            resync: resyncs.then(Resync::default),
            source: source.filter(|_| !resyncs),
            accepts_source: resyncs,
            evidence: None,
            exchanged_at: 0,
        };
        self.exchange.publish(opening, expect, true, self.now);
        self.epochs += 1;
        self.resent += u32::from(resend);
        self.refiller.asks_bureau &= !from_start;
        if resyncs {
            self.endpoints.resyncs += 1;
            self.endpoints.must_resync = false;
        }
    }

    /// Lets one of two operators work on the quarantine.
    pub(super) fn step_quarantine(&mut self, chaos: bool) {
        let Self {
            quarantine_operators,
            store,
            rng,
            ..
        } = self;
        if let Some(operator) = quarantine_operators.get_mut(rng.below(2)) {
            operator.act(store, rng, chaos);
        }
    }
}
