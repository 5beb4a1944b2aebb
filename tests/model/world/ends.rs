//! What happens to the two ends, and what their operators do then: stores that are put back, altered, lost or doubled, and
//! refilled; cores that are restored or replaced, rows that vanish, and the feed resynchronised.

use commercial::refill::From;
use social::stop::StopReason;
use social::tail::under_way;

use super::super::core::{Core, Restore};
use super::super::poller::Poller;
use super::super::publisher::Publisher;
use super::super::store::Store;
use super::{Slot, World};

/// The tail, what is signed for, and how many chunks are stored above the frontier.
type Waits = ((u32, u64), (u32, u64), u64);

/// What the two ends have been through.
#[derive(Default)]
pub(super) struct Ends {
    store_copy: Option<Store>,
    core_copy: Option<Core>,
    /// Another store that a process with the same credentials works for.
    pub(super) second: Option<Store>,
    /// When the store became another one, or what it was before.
    disturbed: i64,
    /// What no check can find was done to the table, by somebody who knows it.
    must_refill: bool,
    /// The same of the core.
    pub(super) must_resync: bool,
    lost: u8,
    /// Since when what waits is as it is.
    waits: (i64, Waits),
    pub(super) stores: u32,
    pub(super) refills: u32,
    pub(super) cores: u32,
    pub(super) resyncs: u32,
}

/// A minute of the operator's, here.
const MISSED: i64 = 1_500;

/// So often each end is hurt, at most.
const MOST: u32 = 3;

impl World {
    /// Now and then something happens to an end, and somebody looks after it.
    pub(super) fn tend_ends(&mut self, chaos: bool) {
        if self.env.stores && chaos && self.rng.percent(1) {
            self.hurt_store();
        }
        if self.env.cores && chaos && self.rng.percent(1) {
            self.hurt_core();
        }
        if self.env.vanishing && chaos && self.rng.percent(2) {
            self.ends.must_resync |= self.core.vanish(&mut self.rng);
        }
        let is_refilled = self.env.stores || self.env.restores && !self.store.awaited().is_empty();
        if is_refilled && self.rng.percent(if chaos { 4 } else { 20 }) {
            self.refill(chaos);
        }
        for (key, evidence) in self.store.take_removed() {
            let is_there = evidence.life == self.core.life && self.core.has_since(key, evidence.since);
            if is_there {
                self.violated(format!("row {key} was removed although it is there"));
            }
        }
    }

    fn hurt_store(&mut self) {
        let copy = self.ends.store_copy.clone();
        match self.rng.below(10) {
            0..=3 => self.ends.store_copy = Some(self.store.clone()),
            _ if self.ends.stores >= MOST => {}
            4..=5 => {
                let Some(copy) = copy else { return };
                self.store.restore(&copy);
                self.store_changed();
            }
            // The end of a refill takes the rows that are there for those that were stored, so nobody alters them meanwhile.
            6 if self.refiller.is_idle() => {
                let before = self.store.living().len();
                self.store.truncate(&mut self.rng);
                self.ends.stores += u32::from(self.store.living().len() < before);
            }
            7 if self.refiller.is_idle() => {
                let Some(copy) = copy else { return };
                self.store.put_table_back(&copy);
                (self.ends.must_refill, self.ends.stores) = (true, self.ends.stores + 1);
            }
            8 if self.ends.lost < 2 => {
                self.ends.lost += 1;
                self.store = Store::new(self.env, self.rng.next(), 10 + self.ends.lost);
                self.ends.store_copy = None;
                self.store_changed();
            }
            _ => self.double_store(),
        }
    }

    /// Connections break: nothing that was in hand is done to the new one.
    fn store_changed(&mut self) {
        self.ends.stores += 1;
        self.ends.disturbed = self.now;
        self.refiller.kill();
        let own = self.pollers.iter_mut().filter(|slot| !slot.process.is_elsewhere);
        own.for_each(|slot| slot.process.lose_store());
    }

    /// A process is pointed at another store, once the lane's store has signed for something.
    fn double_store(&mut self) {
        let is_signed = self.exchange.held.receipt.is_some();
        if !is_signed || self.ends.second.is_some() || self.pollers.len() < 2 {
            return;
        }
        let which = self.rng.below(self.pollers.len());
        if let Some(slot) = self.pollers.get_mut(which) {
            slot.process = Poller::new();
            slot.process.is_elsewhere = true;
            self.ends.second = Some(Store::new(self.env, self.rng.next(), 99));
            self.ends.stores += 1;
        }
    }

    fn point_back(&mut self) {
        for slot in self.pollers.iter_mut().filter(|slot| slot.process.is_elsewhere) {
            slot.process = Poller::new();
        }
        self.ends.second = None;
    }

    fn hurt_core(&mut self) {
        let how = [Restore::Copy, Restore::PointInTime, Restore::Replaced][self.rng.below(3)];
        match (self.rng.below(3), self.ends.core_copy.take()) {
            (0, Some(copy)) if self.ends.cores < MOST => {
                self.core.restore(&copy, how, &mut self.rng);
                self.ends.cores += 1;
                // One that writes more than was lost before anybody looks is told from nothing.
                self.ends.must_resync |= how == Restore::Copy;
            }
            (1, _) => self.ends.core_copy = Some(self.core.clone()),
            (_, copy) => self.ends.core_copy = copy,
        }
    }

    /// The operator of the receiver acts on what is shown.
    fn refill(&mut self, chaos: bool) {
        if self.ends.second.is_some() && self.rng.percent(10) {
            self.point_back();
        }
        self.accept_store();
        if self.refiller.is_idle() {
            let Some(from) = self.wanted_refill() else { return };
            self.refiller
                .begin(from, &self.exchange, &mut self.store, self.env);
            if !self.refiller.is_idle() {
                self.ends.refills += 1;
                self.ends.must_refill &= from != From::Start;
            }
            return;
        }
        self.refiller
            .act(&self.exchange, &mut self.store, &mut self.rng, chaos);
    }

    /// A new store takes the place of one that is lost.
    fn accept_store(&mut self) {
        let owner = self.exchange.held.receipt.as_ref();
        let owner = owner.and_then(|receipt| receipt.signed.store.clone());
        let is_shown = self.pollers.iter().any(|slot| {
            let process = &slot.process;
            !process.is_elsewhere && process.shows_foreign()
        });
        if let Some(owner) = owner.filter(|owner| is_shown && !self.store.identity.owns(owner)) {
            self.store.identity.replaces.push(owner);
        }
    }

    fn wanted_refill(&mut self) -> Option<From> {
        if self.ends.must_refill || self.store.difference().is_some() {
            return Some(From::Start);
        }
        let is_thorough = self.rng.percent(30);
        let from = if is_thorough { From::Start } else { From::Receipt };
        (self.misses_chunks() || self.shows_behind()).then_some(from)
    }

    fn shows_behind(&self) -> bool {
        let shows = |slot: &Slot<Poller>| !slot.process.is_elsewhere && slot.process.shows_behind();
        self.pollers.iter().any(shows)
    }

    /// It is shown that chunks are missing below others, or that the receiver has not signed for them for a while.
    fn misses_chunks(&mut self) -> bool {
        let waits = self.waits();
        if self.ends.waits.1 != waits {
            self.ends.waits = (self.now, waits);
        }
        !self.is_all_signed() && self.now - self.ends.waits.0 > MISSED
    }

    fn is_all_signed(&self) -> bool {
        let (tail, signed, pending) = self.waits();
        signed >= tail && pending == 0
    }

    fn waits(&self) -> Waits {
        let tail = self.exchange.tail().map(|entry| entry.chunk.link);
        let signed = self.exchange.held.receipt.as_ref().map(|receipt| &receipt.signed);
        (
            tail.map_or((0, 0), |link| (link.epoch, link.number)),
            signed.map_or((0, 0), |receipt| (receipt.epoch, receipt.to)),
            self.store.report().map_or(0, |report| report.pending),
        )
    }

    /// Whether the operator of the bureau resynchronises now.
    pub(super) fn wants_resync(&mut self, chaos: bool) -> bool {
        let is_stopped = |slot: &Slot<Publisher>| {
            matches!(slot.process.lane.stopped(), Some(StopReason::SourceChanged(_)))
        };
        let at_will = self.env.resyncs && chaos && self.ends.resyncs < 3 && self.rng.percent(6);
        self.publishers.iter().any(is_stopped)
            || at_will
            || !chaos && (self.ends.must_resync || self.can_remove_now())
    }

    /// An end that had to keep rows has come, and nothing keeps them any more. One that never came is nobody's to end.
    fn can_remove_now(&self) -> bool {
        let has_ended = self.store.unremoved().is_some_and(|at| at.number > 1);
        has_ended && !self.store.keeps_rows() && !self.is_resync_under_way()
    }

    fn is_resync_under_way(&self) -> bool {
        let tail = self.exchange.tail();
        tail.is_some_and(|entry| under_way(entry.chunk.resync).is_some())
    }

    pub(super) fn calm_ends(&mut self) {
        self.point_back();
    }

    pub(super) fn describe_ends(&self) -> String {
        format!(
            "refiller idle {} must_refill {} diff {:?} awaited {:?} must_resync {} under way {} can remove {} disturbed {} now {} stores {} lost {} core life {}",
            self.refiller.is_idle(),
            self.ends.must_refill,
            self.store.difference(),
            self.store.awaited(),
            self.ends.must_resync,
            self.is_resync_under_way(),
            self.can_remove_now(),
            self.ends.disturbed,
            self.now,
            self.ends.stores,
            self.ends.lost,
            self.core.life
        )
    }

    /// Nothing is shown of either end, and nobody has anything left to do there.
    pub(super) fn are_ends_at_rest(&self) -> bool {
        let is_verified = |slot: &Slot<Poller>| slot.process.is_verified(self.ends.disturbed);
        let is_store_well = self.pollers.iter().all(is_verified)
            && self.is_all_signed()
            && self.refiller.is_idle()
            && !self.refiller.asks_bureau
            && !self.ends.must_refill
            && self.store.difference().is_none()
            && self.store.awaited().is_empty();
        (is_store_well || !self.env.stores)
            && !self.ends.must_resync
            && !self.is_resync_under_way()
            && !self.can_remove_now()
    }
}
