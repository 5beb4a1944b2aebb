//! One schedule: who acts next, what goes wrong, when it is over, and whether it was right.

use std::rc::Rc;

use social::epoch::plan;
use social::stop::StopReason;

use super::core::{Core, Mode};
use super::exchange::{Chunk, Exchange, Held};
use super::faults::Env;
use super::poller::{Poller, owes_receipt};
use super::publisher::{Publisher, Sent};
use super::rng::Rng;
use super::store::Store;

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
    copy: Option<Held>,
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
        store: Store::new(env),
        copy: None,
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
        Publisher::new(format!("p{}", self.lives), self.now)
    }

    fn step(&mut self, chaos: bool) {
        self.now += self.rng.span(0, 9);
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
                env,
                rng,
                now,
                ..
            } = self;
            slot.process.act(core, exchange, net, *env, rng, *now, chaos);
        }
        let holders = self
            .publishers
            .iter()
            .filter(|slot| !slot.crashed && slot.process.holds(self.now))
            .count();
        // A restored lease record may be believed for the rest of its time; the data does not
        // depend on it.
        if holders > 1 && !self.env.restores {
            self.violation = Some(format!("{holders} processes hold the lease at once"));
        }
    }

    fn poll(&mut self, chaos: bool) {
        let which = self.rng.below(self.pollers.len());
        if let Some(slot) = self.pollers.get_mut(which).filter(|slot| slot.until <= self.now) {
            if std::mem::take(&mut slot.crashed) {
                slot.process = Poller::new();
            }
            slot.process.act(
                &mut self.exchange,
                &mut self.store,
                &mut self.rng,
                self.now,
                chaos,
            );
        }
    }

    /// A publish that is on its way arrives, perhaps long after its sender gave up.
    fn network(&mut self, chaos: bool) {
        let Self {
            net,
            exchange,
            env,
            rng,
            now,
            ..
        } = self;
        let which = rng.below(net.len());
        if chaos && rng.percent(3) && which < net.len() {
            net.remove(which); // it never arrives
            return;
        }
        if let Some(sent) = net.get_mut(which).filter(|sent| sent.answer.is_none()) {
            sent.answer = Some(exchange.publish(sent.chunk.clone(), sent.expect, env.compare_and_set, *now));
        }
        let lives: Vec<&str> = self
            .publishers
            .iter()
            .map(|slot| slot.process.instance.as_str())
            .collect();
        net.retain(|sent| sent.answer.is_none() || lives.contains(&sent.by.as_str()));
    }

    fn fault(&mut self) {
        let until = self.now + self.rng.span(10, 1_500);
        match self.rng.below(12) {
            0..=2 => {
                let which = self.rng.below(self.publishers.len());
                if let Some(slot) = self.publishers.get_mut(which) {
                    (slot.until, slot.crashed) = (until, true);
                }
            }
            // SIGSTOP, and SIGCONT later: nothing is forgotten and the clock went on.
            3..=5 => {
                let which = self.rng.below(self.publishers.len());
                if let Some(slot) = self.publishers.get_mut(which) {
                    slot.until = until;
                }
            }
            // A backlog: what comes next comes in any order.
            6 => self.pollers.iter_mut().for_each(|slot| slot.until = until),
            7 | 8 => {
                let which = self.rng.below(self.pollers.len());
                if let Some(slot) = self.pollers.get_mut(which) {
                    slot.until = until;
                    slot.crashed = self.rng.percent(60);
                }
            }
            9 | 10 if self.env.restores => self.copy = Some(self.exchange.held.clone()),
            11 if self.env.restores && self.restores < 2 => {
                if let Some(copy) = self.copy.clone() {
                    self.exchange.restore(copy);
                    self.net.clear();
                    self.restores += 1;
                }
            }
            _ => {}
        }
    }

    /// Sees a stopped lane and opens a new epoch, as `slacktide feed rewind` does.
    fn operator(&mut self, chaos: bool) {
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

    /// Business and faults end; whatever was down comes back.
    fn calm(&mut self) {
        self.core.end_all();
        for slot in &mut self.publishers {
            slot.until = slot.until.min(self.now);
        }
        for slot in &mut self.pollers {
            slot.until = slot.until.min(self.now);
        }
    }

    fn at_rest(&self) -> bool {
        self.net.iter().all(|sent| sent.answer.is_some())
            && self
                .publishers
                .iter()
                .any(|slot| !slot.crashed && slot.process.is_quiet(self.now))
            && self
                .publishers
                .iter()
                .all(|slot| slot.process.lane.stopped().is_none())
            && self.exchange.drained()
            && self.store.stopped().is_none()
            && !owes_receipt(&self.exchange, &self.store)
            && self.is_signed_for()
            && self.is_read()
    }

    /// The publisher's periodic look has seen the last receipt: nothing the receiver signed for
    /// is ahead of the tail.
    fn is_signed_for(&self) -> bool {
        let tail = self
            .exchange
            .tail()
            .map_or((0, 0), |entry| (entry.chunk.link.epoch, entry.chunk.link.number));
        let signed = self
            .exchange
            .held
            .receipt
            .as_ref()
            .map_or((0, 0), |r| (r.basis.epoch, r.basis.to));
        signed.1 == 0 || signed == tail
    }

    /// Nothing is left behind the tail. What was skipped before it is the oracle's to find.
    fn is_read(&self) -> bool {
        let after = self.exchange.tail().and_then(|entry| entry.chunk.after.as_ref());
        self.core.read(after, &self.core.everything(), 1).is_empty()
    }

    fn judge(&self) -> Result<(), String> {
        if let Some(violation) = &self.violation {
            return Err(violation.clone());
        }
        let (core, store) = (self.core.living(), self.store.living());
        let missing: Vec<_> = core.keys().filter(|key| !store.contains_key(key)).collect();
        let surplus: Vec<_> = store.keys().filter(|key| !core.contains_key(key)).collect();
        let differing: Vec<_> = core
            .iter()
            .filter(|(k, v)| store.get(k).is_some_and(|s| s != *v))
            .collect();
        if !(missing.is_empty() && surplus.is_empty() && differing.is_empty()) {
            return Err(format!(
                "missing {missing:?}, surplus {surplus:?}, differing {differing:?}"
            ));
        }
        self.store.judge(&core)?;
        for pair in self.exchange.held.log.windows(2) {
            let [before, after] = pair else { continue };
            follows(&before.chunk, &after.chunk)?;
        }
        let report = self.store.report();
        if report.as_ref().is_some_and(|report| report.pending > 0) {
            return Err(format!("the ledger has gaps: {report:?}"));
        }
        Ok(())
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
            publishers: publishers.len(),
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
                    slot.process.is_quiet(self.now),
                )
            })
            .collect();
        let tail = self
            .exchange
            .tail()
            .map(|entry| (entry.chunk.link.epoch, entry.chunk.link.number));
        format!(
            "publishers {states:?}, tail {tail:?}, drained {}, store {:?}, receipt {:?}",
            self.exchange.drained(),
            self.store.report(),
            self.exchange.held.receipt
        )
    }
}

/// The chain as an auditor sees it.
fn follows(before: &Chunk, after: &Chunk) -> Result<(), String> {
    let (b, a) = (before.link, after.link);
    let good = if a.epoch == b.epoch {
        a.number == b.number + 1 && after.previous == Some(b.digest) && after.before == before.after
    } else {
        a.epoch > b.epoch && a.number == 1 && after.opening.is_some()
    };
    if good {
        Ok(())
    } else {
        Err(format!(
            "{}.{} by {} stands behind {}.{} by {}",
            a.epoch, a.number, after.instance, b.epoch, b.number, before.instance
        ))
    }
}
