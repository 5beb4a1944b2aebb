//! Events at core and store, and their operators' actions: stores are restored, altered, lost or duplicated, and refilled; cores
//! are restored or replaced, rows vanish, and the feed is resynchronised.

use commercial::refill::From;
use social::stop::StopReason;
use social::tail::pending_resync;

use super::super::core::{Core, Restore};
use super::super::poller::Poller;
use super::super::publisher::Publisher;
use super::super::store::Store;
use super::{Simulation, Slot};

/// The tail, the acknowledged number, and how many chunks are stored above the frontier.
type Waits = ((u32, u64), (u32, u64), u64);

/// The state of both endpoints.
#[derive(Default)]
pub(super) struct Endpoints {
    store_copy: Option<Store>,
    core_copy: Option<Core>,
    /// Another store, used by a process with the same credentials.
    pub(super) second: Option<Store>,
    /// When the store was last replaced or restored.
    disturbed: i64,
    /// The table was altered in a way that no check can detect, and the operator knows it.
    must_refill: bool,
    /// The same for the core.
    pub(super) must_resync: bool,
    lost: u8,
    /// The pending chunks, and since when they are the same.
    waits: (i64, Waits),
    pub(super) stores: u32,
    pub(super) refills: u32,
    pub(super) cores: u32,
    pub(super) resyncs: u32,
}

/// A minute of the operator, in simulated time.
const MISSED: i64 = 1_500;

/// Most damages of each endpoint.
const MOST: u32 = 3;

impl Simulation {
    /// Damages an endpoint now and then, and lets its operator act.
    pub(super) fn step_endpoints(&mut self, chaos: bool) {
        if self.env.stores && chaos && self.rng.percent(1) {
            self.damage_store();
        }
        if self.env.cores && chaos && self.rng.percent(1) {
            self.damage_core();
        }
        if self.env.vanishing && chaos && self.rng.percent(2) {
            self.endpoints.must_resync |= self.core.vanish(&mut self.rng);
        }
        let is_refilled = self.env.stores || self.env.restores && !self.store.awaited().is_empty();
        if is_refilled && self.rng.percent(if chaos { 4 } else { 20 }) {
            self.refill(chaos);
        }
        for (key, evidence) in self.store.take_removed() {
            let is_there =
                evidence.incarnation == self.core.incarnation && self.core.has_since(key, evidence.since);
            if is_there {
                self.record_violation(format!("row {key} was removed although it is there"));
            }
        }
    }

    fn damage_store(&mut self) {
        let copy = self.endpoints.store_copy.clone();
        match self.rng.below(10) {
            0..=3 => self.endpoints.store_copy = Some(self.store.clone()),
            _ if self.endpoints.stores >= MOST => {}
            4..=5 => {
                let Some(copy) = copy else { return };
                self.store.restore(&copy);
                self.store_changed();
            }
            // The end of a refill accepts the existing rows as stored, so the table is not altered during one.
            6 if self.refiller.is_idle() => {
                let before = self.store.live_rows().len();
                self.store.truncate(&mut self.rng);
                self.endpoints.stores += u32::from(self.store.live_rows().len() < before);
            }
            7 if self.refiller.is_idle() => {
                let Some(copy) = copy else { return };
                self.store.restore_table(&copy);
                (self.endpoints.must_refill, self.endpoints.stores) = (true, self.endpoints.stores + 1);
            }
            8 if self.endpoints.lost < 2 => {
                self.endpoints.lost += 1;
                self.store = Store::new(self.env, self.rng.next(), 10 + self.endpoints.lost);
                self.endpoints.store_copy = None;
                self.store_changed();
            }
            _ => self.double_store(),
        }
    }

    /// Connections break: unfinished work does not reach the new store.
    fn store_changed(&mut self) {
        self.endpoints.stores += 1;
        self.endpoints.disturbed = self.now;
        self.refiller.kill();
        let own = self
            .pollers
            .iter_mut()
            .filter(|slot| !slot.process.uses_other_store);
        own.for_each(|slot| slot.process.lose_store());
    }

    /// Configures a process with another store, once the lane's store has signed a receipt.
    fn double_store(&mut self) {
        let is_signed = self.exchange.state.receipt.is_some();
        if !is_signed || self.endpoints.second.is_some() || self.pollers.len() < 2 {
            return;
        }
        let which = self.rng.below(self.pollers.len());
        if let Some(slot) = self.pollers.get_mut(which) {
            slot.process = Poller::new();
            slot.process.uses_other_store = true;
            self.endpoints.second = Some(Store::new(self.env, self.rng.next(), 99));
            self.endpoints.stores += 1;
        }
    }

    fn point_back(&mut self) {
        for slot in self
            .pollers
            .iter_mut()
            .filter(|slot| slot.process.uses_other_store)
        {
            slot.process = Poller::new();
        }
        self.endpoints.second = None;
    }

    fn damage_core(&mut self) {
        let restore = [Restore::Copy, Restore::PointInTime, Restore::Replaced][self.rng.below(3)];
        match (self.rng.below(3), self.endpoints.core_copy.take()) {
            (0, Some(copy)) if self.endpoints.cores < MOST => {
                self.core.restore(&copy, restore, &mut self.rng);
                self.endpoints.cores += 1;
                // A copy that writes more than was lost before the next check cannot be detected.
                self.endpoints.must_resync |= restore == Restore::Copy;
            }
            (1, _) => self.endpoints.core_copy = Some(self.core.clone()),
            (_, copy) => self.endpoints.core_copy = copy,
        }
    }

    /// The operator of the receiver acts on what is shown.
    fn refill(&mut self, chaos: bool) {
        if self.endpoints.second.is_some() && self.rng.percent(10) {
            self.point_back();
        }
        self.accept_store();
        if self.refiller.is_idle() {
            let Some(from) = self.wanted_refill() else { return };
            self.refiller
                .begin(from, &self.exchange, &mut self.store, self.env);
            if !self.refiller.is_idle() {
                self.endpoints.refills += 1;
                self.endpoints.must_refill &= from != From::Start;
            }
            return;
        }
        self.refiller
            .act(&self.exchange, &mut self.store, &mut self.rng, chaos);
    }

    /// Accepts a new store in place of a lost one.
    fn accept_store(&mut self) {
        let owner = self.exchange.state.receipt.as_ref();
        let owner = owner.and_then(|receipt| receipt.signed.store.clone());
        let is_shown = self.pollers.iter().any(|slot| {
            let process = &slot.process;
            !process.uses_other_store && process.shows_foreign()
        });
        if let Some(owner) = owner.filter(|owner| is_shown && !self.store.identity.owns(owner)) {
            self.store.identity.replaces.push(owner);
        }
    }

    fn wanted_refill(&mut self) -> Option<From> {
        if self.endpoints.must_refill || self.store.difference().is_some() {
            return Some(From::Start);
        }
        let is_thorough = self.rng.percent(30);
        let from = if is_thorough { From::Start } else { From::Receipt };
        (self.misses_chunks() || self.shows_behind()).then_some(from)
    }

    fn shows_behind(&self) -> bool {
        let shows = |slot: &Slot<Poller>| !slot.process.uses_other_store && slot.process.shows_behind();
        self.pollers.iter().any(shows)
    }

    /// Returns whether chunks are shown as missing below others, or as unacknowledged for a while.
    fn misses_chunks(&mut self) -> bool {
        let waits = self.waits();
        if self.endpoints.waits.1 != waits {
            self.endpoints.waits = (self.now, waits);
        }
        !self.is_all_signed() && self.now - self.endpoints.waits.0 > MISSED
    }

    fn is_all_signed(&self) -> bool {
        let (tail, signed, pending) = self.waits();
        signed >= tail && pending == 0
    }

    fn waits(&self) -> Waits {
        let tail = self.exchange.tail().map(|entry| entry.chunk.link);
        let signed = self
            .exchange
            .state
            .receipt
            .as_ref()
            .map(|receipt| &receipt.signed);
        (
            tail.map_or((0, 0), |link| (link.epoch, link.number)),
            signed.map_or((0, 0), |receipt| (receipt.epoch, receipt.to)),
            self.store.report().map_or(0, |report| report.pending),
        )
    }

    /// Returns whether the operator of the bureau resynchronises now.
    pub(super) fn wants_resync(&mut self, chaos: bool) -> bool {
        let is_stopped = |slot: &Slot<Publisher>| {
            matches!(slot.process.lane.stopped(), Some(StopReason::SourceChanged(_)))
        };
        let at_will = self.env.resyncs && chaos && self.endpoints.resyncs < 3 && self.rng.percent(6);
        self.publishers.iter().any(is_stopped)
            || at_will
            || !chaos && (self.endpoints.must_resync || self.can_remove_now())
    }

    /// Returns whether a tail that had to keep rows has arrived and nothing keeps them any more. A tail that never arrived does not
    /// count.
    fn can_remove_now(&self) -> bool {
        let has_ended = self.store.unfinished_removal().is_some_and(|at| at.number > 1);
        has_ended && !self.store.keeps_rows() && !self.is_resync_under_way()
    }

    fn is_resync_under_way(&self) -> bool {
        let tail = self.exchange.tail();
        tail.is_some_and(|entry| pending_resync(entry.chunk.resync).is_some())
    }

    pub(super) fn restore_endpoints(&mut self) {
        self.point_back();
    }

    pub(super) fn describe_endpoints(&self) -> String {
        format!(
            "refiller idle {} must_refill {} diff {:?} awaited {:?} must_resync {} under way {} can remove {} disturbed {} now {} stores {} lost {} core incarnation {}",
            self.refiller.is_idle(),
            self.endpoints.must_refill,
            self.store.difference(),
            self.store.awaited(),
            self.endpoints.must_resync,
            self.is_resync_under_way(),
            self.can_remove_now(),
            self.endpoints.disturbed,
            self.now,
            self.endpoints.stores,
            self.endpoints.lost,
            self.core.incarnation
        )
    }

    /// Returns whether neither endpoint shows anything, and no operator has anything left to do.
    pub(super) fn are_endpoints_idle(&self) -> bool {
        let is_verified = |slot: &Slot<Poller>| slot.process.is_verified(self.endpoints.disturbed);
        let is_store_well = self.pollers.iter().all(is_verified)
            && self.is_all_signed()
            && self.refiller.is_idle()
            && !self.refiller.asks_bureau
            && !self.endpoints.must_refill
            && self.store.difference().is_none()
            && self.store.awaited().is_empty();
        (is_store_well || !self.env.stores)
            && !self.endpoints.must_resync
            && !self.is_resync_under_way()
            && !self.can_remove_now()
    }
}
