//! One schedule: who acts next, what goes wrong, when it is over, and whether it was right.

mod ends;
mod faults;
mod operator;
mod oracle;

use super::core::{Core, Mode};
use super::exchange::{Exchange, Held};
use super::faults::Env;
use super::keeper::Keeper;
use super::poller::Poller;
use super::publisher::{Publisher, Sent};
use super::refiller::Refiller;
use super::rng::Rng;
use super::store::Store;
use ends::Ends;
use store::quarantine::Ending;

/// Steps with business and faults; then they end and the world has to come to rest.
const CHAOS: usize = 2_000;
const REST: usize = 20_000;

struct Slot<T> {
    process: T,
    /// Suspended, or down, until then.
    until: i64,
    /// It lost its memory and comes back as a new process.
    crashed: bool,
}

pub(super) struct World {
    env: Env,
    rng: Rng,
    now: i64,
    core: Core,
    exchange: Exchange,
    net: Vec<Sent>,
    publishers: Vec<Slot<Publisher>>,
    pollers: Vec<Slot<Poller>>,
    store: Store,
    keepers: [Keeper; 2],
    refiller: Refiller,
    copy: Option<Held>,
    ends: Ends,
    lives: u32,
    violation: Option<String>,
    pub(super) restores: u32,
    pub(super) epochs: u32,
    accepted: u32,
    resent: u32,
}

/// What a schedule came to, for counting that the simulation does something.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Count {
    pub(super) rows: usize,
    pub(super) restores: u32,
    pub(super) epochs: u32,
    pub(super) publishers: usize,
    /// How often a change was accepted.
    pub(super) accepted: u32,
    /// How often everything was sent again.
    pub(super) resent: u32,
    /// What was kept aside, and how much of it was stored after all or given up.
    pub(super) kept: usize,
    pub(super) released: usize,
    pub(super) discarded: usize,
    /// How often the store was put back, altered, lost or doubled, and refilled.
    pub(super) stores: u32,
    pub(super) refills: u32,
    /// How often another core took the place of the core, and everything was resynchronised.
    pub(super) cores: u32,
    pub(super) resyncs: u32,
}

/// Runs a schedule.
///
/// # Errors
/// The first violation, in words.
pub(super) fn run(seed: u64, env: Env) -> Result<Count, String> {
    let mut rng = Rng::new(seed);
    let mode = [Mode::Transaction, Mode::Statement, Mode::Sequence][rng.below(3)];
    let mut world = World {
        env,
        now: 1_000,
        core: Core::new(mode),
        exchange: Exchange::default(),
        net: Vec::new(),
        publishers: Vec::new(),
        pollers: Vec::new(),
        store: Store::new(env, seed, 1),
        keepers: [Keeper::default(), Keeper::default()],
        refiller: Refiller::default(),
        copy: None,
        ends: Ends::default(),
        lives: 0,
        violation: None,
        restores: 0,
        epochs: 0,
        accepted: 0,
        resent: 0,
        rng,
    };
    for _ in 0..=world.rng.below(3) {
        let process = world.publisher();
        world.publishers.push(Slot {
            process,
            until: 0,
            crashed: false,
        });
    }
    for _ in 0..=world.rng.below(3) {
        world.pollers.push(Slot {
            process: Poller::new(),
            until: 0,
            crashed: false,
        });
    }
    (0..CHAOS).for_each(|_| world.step(true));
    world.calm();
    for _ in 0..REST {
        world.step(false);
        if world.at_rest() {
            world.judge()?;
            return Ok(world.count());
        }
    }
    Err(format!("the world does not come to rest: {}", world.describe()))
}

impl World {
    fn publisher(&mut self) -> Publisher {
        self.lives += 1;
        Publisher::new(format!("p{}", self.lives), self.env, self.now)
    }

    fn step(&mut self, chaos: bool) {
        self.now += self.rng.span(0, 9);
        if self.env.quarantine && self.rng.percent(if chaos { 3 } else { 10 }) {
            self.keep_house(chaos);
        }
        self.tend_ends(chaos);
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
                net,
                rng,
                now,
                ..
            } = self;
            slot.process.act(core, exchange, net, rng, *now, chaos);
        }
        let holders = self
            .publishers
            .iter()
            .filter(|slot| !slot.crashed && slot.process.holds(self.now))
            .count();
        // A restored lease record may be believed for the rest of its time; the data does not
        // depend on it.
        if holders > 1 && !self.env.restores {
            self.violated(format!("{holders} processes hold the lease at once"));
        }
    }

    fn poll(&mut self, chaos: bool) {
        let which = self.rng.below(self.pollers.len());
        if let Some(slot) = self.pollers.get_mut(which).filter(|slot| slot.until <= self.now) {
            if std::mem::take(&mut slot.crashed) {
                let is_elsewhere = slot.process.is_elsewhere;
                slot.process = Poller::new();
                slot.process.is_elsewhere = is_elsewhere;
            }
            let store = match &mut self.ends.second {
                Some(second) if slot.process.is_elsewhere => second,
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
            if let Some(sequence) = slot.process.took {
                self.violated(format!("another store took chunk {sequence} away"));
            }
        }
    }

    fn violated(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }

    fn count(&self) -> Count {
        let log = &self.exchange.held.log;
        let publishers: std::collections::BTreeSet<&str> =
            log.iter().map(|entry| entry.chunk.instance.as_str()).collect();
        Count {
            rows: log.iter().map(|entry| entry.chunk.rows.len()).sum(),
            restores: self.restores,
            epochs: self.epochs,
            accepted: self.accepted,
            resent: self.resent,
            kept: self.store.ended(None),
            released: self.store.ended(Some(Ending::Released)),
            discarded: self.store.ended(Some(Ending::Discarded)),
            publishers: publishers.len(),
            stores: self.ends.stores,
            refills: self.ends.refills,
            cores: self.ends.cores,
            resyncs: self.ends.resyncs,
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
                    slot.process.is_quiet(self.core.life, self.now),
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
            "pollers {pollers:?} ends {:?} publishers {states:?}, tail {tail:?}, drained {}, store {:?}, receipt {:?}, ends at rest {}",
            self.describe_ends(),
            self.exchange.drained(),
            self.store.report(),
            self.exchange.held.receipt,
            self.are_ends_at_rest()
        )
    }
}
