//! The site under test, and how faults are injected into it and removed.

use std::collections::BTreeSet;
use std::time::Duration;

use harness::{Postgres, PostgresOptions, Proxy, Shim, until};
use jiff::Timestamp;
use serde_json::Value;

use super::business::Business;
use super::copies::Copies;
use super::operator::{Operators, View};
use super::oracle;
use super::record::Record;
use super::schedule::{Fault, Link, Program, Step};
use crate::faults::fixture::{Fixture, LANE, OPEN};
use crate::faults::process::is_stopped_by_panic;
use crate::pipeline::site::Agent;

/// Deadline of a repair: of everything that the operators and the product need until both sides are caught up.
const DEADLINE: Duration = Duration::from_secs(240);

/// The margin of the feed's fence, and some more: rows that were committed before are within the fence afterwards.
const MARGIN: Duration = Duration::from_millis(600);

/// Transactions that a copy lacks at least, when it is restored.
const LOST: u64 = 60;

pub(super) struct World {
    fixture: Fixture,
    business: Business,
    bureau: Agent,
    insurer: Agent,
    core_clock: Shim,
    /// Of the bureau's and of the insurer's agent.
    agent_clocks: [Shim; 2],
    /// Faults that last.
    active: Vec<Fault>,
    copies: Copies,
    operators: Operators,
    pub(super) record: Record,
}

impl World {
    /// Starts a site whose core has this many rows, and the business.
    pub(super) async fn start(record: Record, seed: u64, rows: u32) -> Self {
        let (core_clock, agent_clocks) = (Shim::new(), [Shim::new(), Shim::new()]);
        let options = PostgresOptions::default;
        let (core, store) = tokio::join!(
            Postgres::with_shim(options(), &core_clock),
            Postgres::private(options())
        );
        let mut fixture = Fixture::with_databases(core, store, rows, OPEN).await;
        let bureau = start_agent(&mut fixture, &agent_clocks[0], Program::Bureau);
        let insurer = start_agent(&mut fixture, &agent_clocks[1], Program::Insurer);
        let business = Business::start(fixture.site.core.clone(), seed, rows);
        let world = Self {
            fixture,
            business,
            bureau,
            insurer,
            core_clock,
            agent_clocks,
            active: Vec::new(),
            copies: Copies::default(),
            operators: Operators::default(),
            record,
        };
        // The store is known to the exchange by the first receipt.
        let receipted = format!("{LANE}/receipted");
        world
            .insurer
            .wait_status("the first receipt", &receipted, |number| {
                number.as_u64() > Some(0)
            })
            .await;
        world
    }

    /// Makes the copies that later faults restore.
    pub(super) async fn make_copies(&mut self) {
        self.copies.make(&mut self.fixture, &self.business).await;
    }

    /// Injects the fault of a step and lets it last.
    pub(super) async fn run(&mut self, step: Step) {
        self.inject(step.fault).await;
        self.business.run(step.transactions).await;
        if !step.is_kept {
            self.remove_all().await;
        }
        if step.is_operated && self.active.is_empty() {
            self.operators.act(&self.fixture.site, &self.record).await;
        }
    }

    async fn inject(&mut self, fault: Fault) {
        let (excluded, kept) = self.active.drain(..).partition(|active| active.excludes(fault));
        self.active = kept;
        self.remove(excluded).await;
        if matches!(fault, Fault::StepClock(_) | Fault::RestoreCore) {
            // What happens to the source between two readings of the agent is not detected: docs/operate.md.
            self.remove_all().await;
            self.wait_reading().await;
        }
        self.record.fault(fault);
        match fault {
            Fault::Kill(Program::Exchange) => self.fixture.site.nats.kill9(),
            Fault::Kill(program) => self.agent(program).process.kill9(),
            Fault::Disconnect(link) => self.link(link).disconnect(),
            Fault::BlackHole(link) => self.link(link).black_hole(),
            Fault::Delay(link, ms) => self.link(link).set_delay(Duration::from_millis(ms.into())),
            Fault::Suspend(Program::Exchange) => self.fixture.site.nats.suspend(),
            Fault::Suspend(program) => self.agent(program).process.suspend(),
            Fault::StepClock(seconds) => self.step_clock(seconds).await,
            Fault::Panic(program, nth) => self.panic(program, nth).await,
            Fault::RestoreCore => self.restore_core().await,
            Fault::RestoreStore => {
                self.age_copies().await;
                self.copies.restore_store(&mut self.fixture).await;
            }
            Fault::RestoreExchange => {
                self.age_copies().await;
                self.copies.restore_exchange(&mut self.fixture).await;
            }
        }
        if fault.is_lasting() {
            self.active.push(fault);
        }
    }

    async fn remove_all(&mut self) {
        let active = std::mem::take(&mut self.active);
        self.remove(active).await;
    }

    async fn remove(&mut self, faults: Vec<Fault>) {
        for fault in faults {
            match fault {
                Fault::Kill(Program::Exchange) => self.fixture.site.nats.restart().await,
                Fault::Kill(program) => self.start_agent(program),
                Fault::Disconnect(link) | Fault::BlackHole(link) | Fault::Delay(link, _) => {
                    self.link(link).restore();
                }
                Fault::Suspend(Program::Exchange) => self.fixture.site.nats.resume(),
                Fault::Suspend(program) => self.agent(program).process.resume(),
                Fault::StepClock(_) => self.core_clock.shift_clock(0),
                _ => {}
            }
        }
    }

    fn link(&self, link: Link) -> &Proxy {
        match link {
            Link::BureauExchange => &self.fixture.bureau,
            Link::InsurerExchange => &self.fixture.insurer,
            Link::Core => &self.fixture.to_core,
            Link::Store => &self.fixture.to_store,
        }
    }

    fn agent(&mut self, program: Program) -> &mut Agent {
        match program {
            Program::Bureau => &mut self.bureau,
            _ => &mut self.insurer,
        }
    }

    fn clock(&self, program: Program) -> &Shim {
        let [bureau, insurer] = &self.agent_clocks;
        match program {
            Program::Bureau => bureau,
            _ => insurer,
        }
    }

    fn start_agent(&mut self, program: Program) {
        let [bureau, insurer] = &self.agent_clocks;
        let clock = match program {
            Program::Bureau => bureau,
            _ => insurer,
        };
        *self.agent(program) = start_agent(&mut self.fixture, clock, program);
    }

    /// Waits until the bureau's agent reads rows.
    async fn wait_reading(&mut self) {
        let mut first = None;
        self.operate_until("the bureau's agent to read", |[bureau, _]| {
            let quanta = bureau.page.pointer("/feeds/claim/quanta").and_then(Value::as_u64);
            match (quanta, first) {
                _ if is_stopped(bureau) => first = None,
                (Some(quanta), Some(first)) => return quanta > first,
                (quanta, _) => first = quanta,
            }
            false
        })
        .await;
    }

    /// Waits until the bureau's agent has published more rows.
    async fn wait_published(&mut self) {
        let mut first = None;
        self.operate_until("the bureau's agent to publish", |[bureau, _]| {
            let lane = bureau.page.pointer(LANE);
            let chunks = lane.and_then(|lane| lane["chunks"].as_u64());
            // The chunk after the next one was read later.
            chunks.is_some_and(|chunks| chunks > *first.get_or_insert(chunks) + 1)
        })
        .await;
    }

    /// Waits for what `slacktide status` shows, while the operators follow it.
    async fn operate_until(&mut self, what: &str, mut condition: impl FnMut(&[View; 2]) -> bool) {
        let what = self.record.describe(what);
        until(&what, DEADLINE, async || {
            let views = self.operators.act(&self.fixture.site, &self.record).await;
            if condition(&views) {
                return Ok(());
            }
            let [bureau, insurer] = views;
            Err(format!(
                "bureau {}; insurer {}; failed: {}",
                bureau.describe(),
                insurer.describe(),
                self.operators.failure()
            ))
        })
        .await;
    }

    /// Steps the core's clock, and waits until the agent has noticed it.
    async fn step_clock(&mut self, seconds: i64) {
        self.core_clock.shift_clock(seconds);
        let code = if seconds < 0 {
            "source_clock_behind"
        } else {
            "source_clock_ahead"
        };
        let what = self.record.describe(code);
        self.bureau
            .wait_status(
                &what,
                &format!("/feeds/claim/unverified/{code}"),
                Value::is_object,
            )
            .await;
    }

    /// Lets a task of an agent panic, and starts the agent again as a service manager does.
    async fn panic(&mut self, program: Program, nth: u32) {
        // Before its tasks run there is none to panic. An agent that starts may wait for what another fault withholds.
        if self.agent(program).status().await.is_none() {
            self.remove_all().await;
        }
        let what = self.record.describe("the agent's tasks to run");
        self.agent(program).wait_status(&what, "", Value::is_object).await;
        self.clock(program).fail_clock(nth.into());
        is_stopped_by_panic(self.agent(program)).await;
        self.clock(program).fail_clock(0);
        self.start_agent(program);
    }

    /// Waits until the copies lack some transactions.
    async fn age_copies(&mut self) {
        let since = self.business.committed() - self.copies.committed();
        self.business.run(LOST.saturating_sub(since)).await;
    }

    /// Replaces the core by its copy. The business stops first and continues on the copy when the agent has noticed it: a copy
    /// that has written more than was lost cannot be distinguished from the original.
    async fn restore_core(&mut self) {
        self.age_copies().await;
        self.wait_published().await;
        self.business.pause().await;
        self.copies.restore_core(&mut self.fixture).await;
        let what = self.record.describe("the restored core to be noticed");
        self.bureau
            .wait_status(&what, &format!("{LANE}/state"), |state| {
                state
                    .as_str()
                    .is_some_and(|state| state.contains("the source changed"))
            })
            .await;
        self.business.move_to(self.fixture.site.core.clone());
        self.business.resume();
        // An agent that starts later does not know of the stop, once the core has written as much as was lost. It knows of an epoch.
        self.operate_until("the restored core to be accepted", |[bureau, _]| {
            let adopted = bureau.page.pointer(LANE).and_then(|lane| lane["epoch"].as_u64());
            bureau.epoch > adopted || !is_stopped(bureau)
        })
        .await;
    }

    /// Pauses the business and removes every fault. When both sides show that they are caught up, core and store are equal.
    pub(super) async fn compare(&mut self) {
        self.remove_all().await;
        self.business.pause().await;
        let end = Timestamp::now() + MARGIN;
        self.record
            .event("paused; waiting until both sides are caught up");
        let mut readings = BTreeSet::new();
        self.operate_until("both sides to be caught up", |views| {
            readings.extend(caught_up_at(&views[0]).filter(|at| *at > end));
            // The second reading began after the business had ended.
            readings.len() >= 2 && views.iter().all(View::is_caught_up)
        })
        .await;
        let site = &self.fixture.site;
        match oracle::compare(&site.core, &site.store).await {
            Ok(rows) => self
                .record
                .event(&format!("caught up, and {rows} rows are equal")),
            Err(why) => panic!(
                "{}",
                self.record.describe(&format!(
                    "both sides are caught up, and core and store differ: {why}"
                ))
            ),
        }
        self.business.resume();
    }

    /// Asserts that the evidence is valid and nothing is in quarantine, and stops both agents.
    pub(super) async fn finish(self) {
        let verify = ["audit", "verify", "--config", "auditor.toml"];
        let (_, report) = self.fixture.site.command(&verify).await;
        // The restored exchange lacks entries of audit chains, which chunks prove. A resynchronisation after whole epochs were lost
        // declares no restore.
        let is_restored = |fault: &&str| {
            fault.contains("it was truncated, restored from an older copy or rewritten")
                || fault.contains("follows epoch")
        };
        let faults = report.lines().filter(|line| line.starts_with("FAULT"));
        let unexplained: Vec<&str> = faults.filter(|fault| !is_restored(fault)).collect();
        assert!(
            unexplained.is_empty() && report.contains("are valid"),
            "{}: {report}",
            self.record.describe("the evidence is not valid")
        );
        let quarantined = "SELECT count(*) FROM slacktide.quarantine";
        assert_eq!(self.fixture.site.store.number(quarantined).await, 0);
        self.bureau.stop().await;
        self.insurer.stop().await;
    }
}

fn start_agent(fixture: &mut Fixture, clock: &Shim, program: Program) -> Agent {
    fixture.site.links.env = clock.env();
    match program {
        Program::Bureau => fixture.site.social("social"),
        _ => fixture.site.poller("poller"),
    }
}

/// Returns whether the bureau's agent publishes nothing until an operator acts.
fn is_stopped(bureau: &View) -> bool {
    bureau
        .page
        .pointer(LANE)
        .is_none_or(|lane| lane["stopped"] != false)
}

/// Returns when everything within the fence was read last.
fn caught_up_at(bureau: &View) -> Option<Timestamp> {
    bureau
        .page
        .pointer("/feeds/claim/caught_up_at")?
        .as_str()?
        .parse()
        .ok()
}
