//! One schedule: which process acts next, faults, the idle state, and the oracle.

mod endpoints;
mod faults;
mod operator;
mod oracle;

use super::core::{Core, Mode};
use super::exchange::{Exchange, ExchangeState};
use super::faults::Env;
use super::poller::Poller;
use super::publisher::{PendingPublish, Publisher};
use super::quarantine_operator::QuarantineOperator;
use super::refiller::Refiller;
use super::store::Store;
use endpoints::Endpoints;
use harness::rng::Rng;
use social::stop::StopReason;
use store::quarantine::Ending;

/// Steps with business and faults. After them the simulation must become idle.
const CHAOS: usize = 2_000;
const REST: usize = 20_000;

struct Slot<T> {
    process: T,
    /// Suspended or down until then.
    until: i64,
    /// It lost its memory and restarts as a new process.
    crashed: bool,
}

pub(super) struct Simulation {
    env: Env,
    rng: Rng,
    now: i64,
    core: Core,
    exchange: Exchange,
    in_flight: Vec<PendingPublish>,
    publishers: Vec<Slot<Publisher>>,
    pollers: Vec<Slot<Poller>>,
    store: Store,
    quarantine_operators: [QuarantineOperator; 2],
    refiller: Refiller,
    copy: Option<ExchangeState>,
    endpoints: Endpoints,
    incarnations: u32,
    violation: Option<String>,
    pub(super) restores: u32,
    pub(super) epochs: u32,
    accepted: u32,
    resent: u32,
}

/// Counts of a schedule, to check that the simulation does something.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Count {
    pub(super) rows: usize,
    pub(super) restores: u32,
    pub(super) epochs: u32,
    pub(super) publishers: usize,
    pub(super) accepted: u32,
    /// How often everything was sent again.
    pub(super) resent: u32,
    /// Quarantined entries, and those released or discarded.
    pub(super) quarantined: usize,
    pub(super) released: usize,
    pub(super) discarded: usize,
    /// How often the store was restored, altered, lost or duplicated, and refilled.
    pub(super) stores: u32,
    pub(super) refills: u32,
    /// How often another core took the place of the core, and everything was resynchronised.
    pub(super) cores: u32,
    pub(super) resyncs: u32,
}

/// Runs a schedule.
///
/// # Errors
/// The first violation, as text.
pub(super) fn run(seed: u64, env: Env) -> Result<Count, String> {
    let mut rng = Rng::new(seed);
    let mode = [Mode::Transaction, Mode::Statement, Mode::Sequence][rng.below(3)];
    let mut simulation = Simulation {
        env,
        now: 1_000,
        core: Core::new(mode),
        exchange: Exchange::default(),
        in_flight: Vec::new(),
        publishers: Vec::new(),
        pollers: Vec::new(),
        store: Store::new(env, seed, 1),
        quarantine_operators: [QuarantineOperator::default(), QuarantineOperator::default()],
        refiller: Refiller::default(),
        copy: None,
        endpoints: Endpoints::default(),
        incarnations: 0,
        violation: None,
        restores: 0,
        epochs: 0,
        accepted: 0,
        resent: 0,
        rng,
    };
    for _ in 0..=simulation.rng.below(3) {
        let process = simulation.publisher();
        simulation.publishers.push(Slot {
            process,
            until: 0,
            crashed: false,
        });
    }
    for _ in 0..=simulation.rng.below(3) {
        simulation.pollers.push(Slot {
            process: Poller::new(),
            until: 0,
            crashed: false,
        });
    }
    (0..CHAOS).for_each(|_| simulation.step(true));
    simulation.end_faults();
    for _ in 0..REST {
        simulation.step(false);
        if simulation.is_idle() {
            simulation.check()?;
            return Ok(simulation.count());
        }
    }
    Err(format!(
        "the simulation does not come to rest: {}",
        simulation.describe()
    ))
}

impl Simulation {
    fn publisher(&mut self) -> Publisher {
        self.incarnations += 1;
        Publisher::new(format!("p{}", self.incarnations), self.env, self.now)
    }

    fn step(&mut self, chaos: bool) {
        self.now += self.rng.span(0, 9);
        if self.env.quarantine && self.rng.percent(if chaos { 3 } else { 10 }) {
            self.step_quarantine(chaos);
        }
        self.step_endpoints(chaos);
        match self.rng.below(100) {
            0..=17 if chaos => self.core.act(&mut self.rng, self.now),
            18..=19 if chaos => {
                if self.env.changes && self.rng.percent(8) {
                    self.core.alter();
                }
                self.fault();
            }
            20..=34 => self.network(chaos),
            35..=36 => self.operator(chaos),
            37..=82 => self.publish(chaos),
            _ => self.poll(chaos),
        }
    }

    fn publish(&mut self, chaos: bool) {
        let which = self.rng.below(self.publishers.len());
        if self
            .publishers
            .get(which)
            .is_some_and(|slot| slot.crashed && slot.until <= self.now)
        {
            let process = self.publisher();
            if let Some(slot) = self.publishers.get_mut(which) {
                *slot = Slot {
                    process,
                    until: 0,
                    crashed: false,
                };
            }
        }
        if let Some(slot) = self
            .publishers
            .get_mut(which)
            .filter(|slot| slot.until <= self.now)
        {
            let Self {
                core,
                exchange,
                in_flight,
                rng,
                now,
                ..
            } = self;
            slot.process.act(core, exchange, in_flight, rng, *now, chaos);
        }
        let is_restored = |slot: &Slot<Publisher>| slot.process.lane.stopped() == Some(&StopReason::Restored);
        if self.restores == 0
            && !self.env.stores
            && !self.env.cores
            && self.publishers.iter().any(is_restored)
        {
            self.record_violation("a lane is stopped as restored, and nothing was restored".to_owned());
        }
        let holders = self
            .publishers
            .iter()
            .filter(|slot| !slot.crashed && slot.process.holds(self.now))
            .count();
        // A restored lease record may be valid for the rest of its time; the data does not depend on it.
        if holders > 1 && !self.env.restores {
            self.record_violation(format!("{holders} processes hold the lease at once"));
        }
    }

    fn poll(&mut self, chaos: bool) {
        let which = self.rng.below(self.pollers.len());
        if let Some(slot) = self.pollers.get_mut(which).filter(|slot| slot.until <= self.now) {
            if std::mem::take(&mut slot.crashed) {
                let uses_other_store = slot.process.uses_other_store;
                slot.process = Poller::new();
                slot.process.uses_other_store = uses_other_store;
            }
            let store = match &mut self.endpoints.second {
                Some(second) if slot.process.uses_other_store => second,
                _ => &mut self.store,
            };
            slot.process.act(
                &mut self.exchange,
                store,
                self.env,
                &mut self.rng,
                self.now,
                chaos,
            );
            if let Some(sequence) = slot.process.taken_chunk {
                self.record_violation(format!("another store took chunk {sequence} away"));
            }
        }
    }

    fn record_violation(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }

    fn count(&self) -> Count {
        let log = &self.exchange.state.log;
        let publishers: std::collections::BTreeSet<&str> =
            log.iter().map(|entry| entry.chunk.instance.as_str()).collect();
        Count {
            rows: log.iter().map(|entry| entry.chunk.rows.len()).sum(),
            restores: self.restores,
            epochs: self.epochs,
            accepted: self.accepted,
            resent: self.resent,
            quarantined: self.store.ended(None),
            released: self.store.ended(Some(Ending::Released)),
            discarded: self.store.ended(Some(Ending::Discarded)),
            publishers: publishers.len(),
            stores: self.endpoints.stores,
            refills: self.endpoints.refills,
            cores: self.endpoints.cores,
            resyncs: self.endpoints.resyncs,
        }
    }

    fn describe(&self) -> String {
        let states: Vec<_> = self
            .publishers
            .iter()
            .map(|slot| {
                (
                    slot.process.lane.state(),
                    slot.process.lane.stopped(),
                    slot.process.is_quiet(self.core.incarnation, self.now),
                )
            })
            .collect();
        let tail = self
            .exchange
            .tail()
            .map(|entry| (entry.chunk.link.epoch, entry.chunk.link.number));
        let pollers: Vec<_> = self
            .pollers
            .iter()
            .map(|slot| (slot.until - self.now, slot.crashed, slot.process.describe()))
            .collect();
        format!(
            "pollers {pollers:?} endpoints {:?} publishers {states:?}, tail {tail:?}, drained {}, store {:?}, receipt {:?}, endpoints at rest {}",
            self.describe_endpoints(),
            self.exchange.is_drained(),
            self.store.report(),
            self.exchange.state.receipt,
            self.are_endpoints_idle()
        )
    }
}
