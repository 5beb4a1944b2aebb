//! What a worker holds while it touches the source.
//!
//! A permit is for one quantum. It is revoked for good when the gate shuts, even if the gate
//! opens again a moment later: the worker stops, gives it back, and asks for another.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use schemas::load::Load;
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;

use crate::clock::Clock;
use crate::limits::Limits;
use crate::orders::Orders;
use crate::preempt;
use crate::regime::Regime;
use crate::shut::ShutFlag;
use crate::tally::GateStatus;
use crate::turnstile::{Entry, Observation, Pass, Turnstile};
use crate::verdict::Verdict;

/// How often the run queue is looked at before a quantum.
const LOOK_EVERY: Duration = Duration::from_millis(1);

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// The gate, to its users. Copies are the same gate.
#[derive(Clone)]
pub struct Gate {
    pub(crate) turnstile: Arc<Turnstile>,
}

impl Gate {
    /// A gate that is shut until verdicts come.
    pub(crate) fn shut(clock: Clock, limits: Option<&Limits>) -> Self {
        let limits = limits.map(Limits::evidence).unwrap_or_default();
        Self {
            turnstile: Arc::new(Turnstile::new(clock, limits)),
        }
    }

    /// Waits until the gate is open, then lets one quantum through. Dropping the future while
    /// it waits leaves nothing behind, so it may be raced against a stop.
    pub async fn permit(&self) -> Permit {
        let mut verdicts = self.subscribe();
        let mut patience = self.patience();
        loop {
            let returned = self.turnstile.returned.notified();
            verdicts.mark_unchanged();
            if !patience.is_zero() && self.is_business_running() {
                patience = patience.saturating_sub(LOOK_EVERY);
                tokio::time::sleep(LOOK_EVERY).await;
                continue;
            }
            let wait = match self.turnstile.enter() {
                Entry::In(pass) => return self.permit_for(pass),
                Entry::NotBefore(mono) => Some(self.turnstile.clock.instant(mono)),
                Entry::Wait | Entry::Shut => None,
            };
            if wait.is_some() {
                patience = self.patience();
            }
            tokio::select! {
                // The sender lives as long as this gate, so this cannot fail and spin.
                changed = verdicts.changed() => if changed.is_err() { std::future::pending::<()>().await },
                () = returned => {}
                () = until(wait) => {}
            }
        }
    }

    /// Whether somebody else runs where our backend is about to compete as an equal.
    fn is_business_running(&self) -> bool {
        // This thread runs, or it could not look.
        self.verdict().lets_work() && preempt::running().is_some_and(|running| running > 1)
    }

    fn patience(&self) -> Duration {
        self.turnstile.verdicts.borrow().patience
    }

    fn permit_for(&self, pass: Pass) -> Permit {
        Permit {
            turnstile: Arc::clone(&self.turnstile),
            pass,
        }
    }

    /// Lets one quantum through if the gate is open now.
    #[must_use]
    pub fn try_permit(&self) -> Option<Permit> {
        match self.turnstile.enter() {
            Entry::In(pass) => Some(self.permit_for(pass)),
            Entry::NotBefore(_) | Entry::Wait | Entry::Shut => None,
        }
    }

    /// What operators ordered, from the next sample on.
    pub fn give(&self, orders: Orders) {
        self.turnstile.give(orders);
    }

    /// Whether the kernel helps, from the next sample on.
    pub fn regime(&self, regime: Regime) {
        self.turnstile.regime(regime);
    }

    /// Every sample with its verdict from now on. Whoever is slower than a thousand samples
    /// loses some, and is told how many.
    #[must_use]
    pub fn observe(&self) -> broadcast::Receiver<Arc<Observation>> {
        self.turnstile.observations.subscribe()
    }

    /// Shows that a changed policy was refused; the old one stays in force.
    pub fn refused(&self, why: String) {
        self.turnstile.refused(why);
    }

    /// Raises an alarm in the status, or ends it.
    pub fn alarm(&self, alarm: Option<String>) {
        self.turnstile.alarm(alarm);
    }

    /// What the gate says now. An open verdict that is too old reads as shut.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.turnstile.verdict()
    }

    /// Every verdict from now on, one per sample.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Verdict> {
        self.turnstile.verdicts.subscribe()
    }

    /// Completes when the gate is shut.
    pub async fn shuts(&self) {
        let mut verdicts = self.subscribe();
        // The sender lives as long as this gate.
        let _ = verdicts.wait_for(|verdict| !verdict.lets_work()).await;
    }

    /// Completes when a signal is at its critical level: drop connections now.
    pub async fn is_critical(&self) {
        let mut verdicts = self.subscribe();
        let _ = verdicts.wait_for(|verdict| verdict.critical).await;
    }

    /// Completes when no revoked permit is out: all work that a shut interrupted has stopped.
    pub async fn yielded(&self) {
        let mut revoked = self.turnstile.revoked.subscribe();
        // The sender lives as long as this gate.
        let _ = revoked.wait_for(|count| *count == 0).await;
    }

    /// The handle for a database driver's trace.
    #[must_use]
    pub fn shut_flag(&self) -> ShutFlag {
        self.turnstile.shut.clone()
    }

    /// The gate at a glance.
    #[must_use]
    pub fn status(&self) -> GateStatus {
        self.turnstile.status()
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("verdict", &self.verdict())
            .finish_non_exhaustive()
    }
}

/// Leave to do one quantum. Given back by dropping it, when the work on the source has ended.
#[must_use = "work on the source is permitted while the permit lives"]
pub struct Permit {
    turnstile: Arc<Turnstile>,
    pass: Pass,
}

impl Permit {
    /// How long the quantum should take: a few milliseconds beside a business.
    #[must_use]
    pub fn quantum(&self) -> Duration {
        self.pass.quantum
    }

    /// Whether the gate has shut since: stop now. One atomic load.
    #[must_use]
    pub fn is_revoked(&self) -> bool {
        self.turnstile.generation.load(Ordering::SeqCst) != self.pass.generation
    }

    /// Completes when the permit is revoked; for cancelling a statement in flight.
    pub async fn revoked(&self) {
        let mut verdicts = self.turnstile.verdicts.subscribe();
        while !self.is_revoked() {
            if verdicts.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// The limits, and the samples and verdicts in force from the grant until now, each once.
    /// Join those of several quanta with [`merge`](crate::journal::merge).
    #[must_use]
    pub fn load_evidence(&self) -> Load {
        self.turnstile.evidence(self.pass.mark)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.turnstile.leave(&self.pass);
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("is_revoked", &self.is_revoked())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use schemas::load::GateState;

    use super::*;
    use crate::verdict::ReasonKind;

    #[tokio::test]
    async fn a_permit_waits_for_the_gate_and_is_lost_for_good_when_it_shuts() {
        let (gate, script) = Gate::scripted();
        assert!(gate.try_permit().is_none());
        let waiting = tokio::spawn({
            let gate = gate.clone();
            async move { gate.permit().await }
        });
        script.open();
        let Ok(permit) = waiting.await else {
            return assert!(!gate.verdict().lets_work());
        };
        assert!(!permit.is_revoked());
        script.shut("load");
        script.open();
        assert!(permit.is_revoked());
        permit.revoked().await;
        assert!(gate.try_permit().is_some_and(|permit| !permit.is_revoked()));
    }

    #[tokio::test]
    async fn revocation_reaches_one_who_waits_for_it() {
        let (gate, script) = Gate::scripted();
        script.open();
        let permit = gate.permit().await;
        let waiting = tokio::spawn(async move { permit.revoked().await });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        script.shut("load");
        assert!(waiting.await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn time_to_yield_runs_from_the_shut_to_the_last_revoked_permit() {
        let (gate, script) = Gate::scripted();
        script.open();
        let (first, second) = (gate.permit().await, gate.permit().await);
        script.shut("load");
        assert_eq!(gate.status().permits_out, 2);
        tokio::time::advance(Duration::from_millis(5)).await;
        drop(first);
        script.open();
        // A permit of the new generation is not waited for.
        let third = gate.permit().await;
        tokio::time::advance(Duration::from_millis(7)).await;
        drop(second);
        gate.yielded().await;
        let yields = gate.status().yields;
        assert_eq!((yields.count, yields.last_us, yields.max_us), (1, 12_000, 12_000));
        drop(third);
        script.shut("again, with nothing under way");
        assert_eq!(gate.status().yields.count, 1);
        assert_eq!(gate.status().permits_out, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn yielded_waits_for_work_that_a_shut_interrupted() {
        let (gate, script) = Gate::scripted();
        gate.yielded().await;
        script.open();
        let permit = gate.permit().await;
        gate.yielded().await;
        script.shut("load");
        let waiting = tokio::spawn({
            let gate = gate.clone();
            async move { gate.yielded().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(permit);
        assert!(waiting.await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn counts_keep_moving_while_shut() {
        let (gate, script) = Gate::scripted();
        script.open();
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(gate.status().not_idle_since, None);
        script.shut("load");
        tokio::time::advance(Duration::from_secs(3)).await;
        let status = gate.status();
        assert_eq!((status.open_ms, status.shut_ms), (2_000, 3_000));
        assert_eq!((status.shuts, status.openings), (1, 1));
        assert_eq!(status.shuts_by_reason.get(&ReasonKind::Scripted), Some(&1));
        assert_eq!((status.state, status.reason.as_str()), (GateState::Shut, "load"));
        assert!(status.not_idle_since.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn the_shut_flag_tells_since_when() {
        let (gate, script) = Gate::scripted();
        let flag = gate.shut_flag();
        assert!(flag.is_shut());
        script.open();
        assert_eq!((flag.is_shut(), flag.shut_for()), (false, None));
        script.shut("load");
        tokio::time::advance(Duration::from_millis(30)).await;
        assert_eq!(
            (flag.is_shut(), flag.shut_for()),
            (true, Some(Duration::from_millis(30)))
        );
        // Another reason is not another shut.
        script.shut("more load");
        assert_eq!(flag.shut_for(), Some(Duration::from_millis(30)));
    }

    #[tokio::test]
    async fn evidence_holds_what_was_in_force_each_once() {
        let (gate, script) = Gate::scripted();
        script.sample("host_cpu", 90.0);
        script.open();
        script.sample("host_cpu", 10.0);
        let permit = gate.permit().await;
        script.sample("host_cpu", 20.5);
        let load = permit.load_evidence();
        let readings: Vec<_> = load
            .samples
            .iter()
            .map(|sample| sample.readings_milli["host_cpu"])
            .collect();
        assert_eq!(readings, [Some(10_000), Some(20_500)]);
        let verdicts: Vec<_> = load.verdicts.iter().map(|verdict| verdict.state).collect();
        assert_eq!(verdicts, [GateState::Open]);
        assert_eq!(permit.load_evidence(), load);
    }

    #[tokio::test]
    async fn fixed_open_says_so_in_the_evidence() {
        let gate = Gate::fixed_open();
        let load = gate.permit().await.load_evidence();
        assert_eq!(load.verdicts[0].reason, "fixed open by configuration");
        assert!(load.samples.is_empty() && load.limits.is_empty());
    }
}
