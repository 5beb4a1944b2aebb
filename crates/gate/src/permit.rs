//! The gate's API and its permits.
//!
//! A permit covers one quantum. A closing revokes it permanently, even if the gate opens again a moment later: the worker
//! stops, drops it and requests another.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use schemas::load::Load;
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;

use crate::admission::{Admission, AdmissionControl, Grant, Observation};
use crate::clock::Clock;
use crate::closed_flag::ClosedFlag;
use crate::limits::Limits;
use crate::orders::Orders;
use crate::priority_mode::PriorityMode;
use crate::run_queue;
use crate::stats::GateStatus;
use crate::verdict::Verdict;

/// Interval of the run queue checks before a quantum.
const RUN_QUEUE_POLL: Duration = Duration::from_millis(1);

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// The gate. Clones share one gate.
#[derive(Clone)]
pub struct Gate {
    pub(crate) admission: Arc<AdmissionControl>,
}

impl Gate {
    /// Creates a gate that is closed until the first verdict.
    pub(crate) fn new_closed(clock: Clock, limits: Option<&Limits>) -> Self {
        let limits = limits.map(Limits::evidence).unwrap_or_default();
        Self {
            admission: Arc::new(AdmissionControl::new(clock, limits)),
        }
    }

    /// Waits until the gate is open, then grants a permit for one quantum. Cancel-safe: dropping the future leaves no
    /// state behind.
    pub async fn permit(&self) -> Permit {
        let mut verdicts = self.subscribe();
        let mut max_deferral = self.max_deferral();
        loop {
            let returned = self.admission.returned.notified();
            verdicts.mark_unchanged();
            if !max_deferral.is_zero() && self.is_business_running() {
                max_deferral = max_deferral.saturating_sub(RUN_QUEUE_POLL);
                tokio::time::sleep(RUN_QUEUE_POLL).await;
                continue;
            }
            let wait = match self.admission.enter() {
                Admission::Granted(grant) => return self.permit_for(grant),
                Admission::NotBefore(mono) => Some(self.admission.clock.instant(mono)),
                Admission::Wait | Admission::Closed => None,
            };
            if wait.is_some() {
                max_deferral = self.max_deferral();
            }
            tokio::select! {
                // The sender lives as long as this gate, so this neither fails nor spins.
                changed = verdicts.changed() => if changed.is_err() { std::future::pending::<()>().await },
                () = returned => {}
                () = until(wait) => {}
            }
        }
    }

    /// Whether another process is running where our backend would compete as an equal.
    fn is_business_running(&self) -> bool {
        // This thread is one of the runnable tasks.
        self.verdict().permits_work() && run_queue::runnable_tasks().is_some_and(|running| running > 1)
    }

    fn max_deferral(&self) -> Duration {
        self.admission.verdicts.borrow().max_deferral
    }

    fn permit_for(&self, grant: Grant) -> Permit {
        Permit {
            admission: Arc::clone(&self.admission),
            grant,
        }
    }

    /// Grants a permit for one quantum if the gate is open now.
    #[must_use]
    pub fn try_permit(&self) -> Option<Permit> {
        match self.admission.enter() {
            Admission::Granted(grant) => Some(self.permit_for(grant)),
            Admission::NotBefore(_) | Admission::Wait | Admission::Closed => None,
        }
    }

    /// Sets operators' orders; they take effect with the next sample.
    pub fn set_orders(&self, orders: Orders) {
        self.admission.set_orders(orders);
    }

    /// Sets the priority mode; it takes effect with the next sample.
    pub fn set_priority_mode(&self, priority_mode: PriorityMode) {
        self.admission.set_priority_mode(priority_mode);
    }

    /// Subscribes to every sample with its verdict. A receiver that lags by more than a thousand samples loses some and
    /// receives their count.
    #[must_use]
    pub fn observe(&self) -> broadcast::Receiver<Arc<Observation>> {
        self.admission.observations.subscribe()
    }

    /// Reports that a changed policy was refused; the old one stays in force.
    pub fn reject_policy(&self, why: String) {
        self.admission.reject_policy(why);
    }

    /// Raises or clears the alarm in the status.
    pub fn set_alarm(&self, alarm: Option<String>) {
        self.admission.set_alarm(alarm);
    }

    /// Returns the current verdict. An expired open verdict reads as closed.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.admission.verdict()
    }

    /// Returns since when the core has not been idle, by the wall clock; `None` while the gate is open.
    #[must_use]
    pub fn not_idle_since(&self) -> Option<Timestamp> {
        self.admission.not_idle_since()
    }

    /// Subscribes to the verdicts, one per sample.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Verdict> {
        self.admission.verdicts.subscribe()
    }

    /// Completes when the gate is closed.
    pub async fn until_closed(&self) {
        let mut verdicts = self.subscribe();
        // The sender lives as long as this gate.
        let _ = verdicts.wait_for(|verdict| !verdict.permits_work()).await;
    }

    /// Completes when a signal is at its critical level: connections must be dropped now.
    pub async fn until_critical(&self) {
        let mut verdicts = self.subscribe();
        let _ = verdicts.wait_for(|verdict| verdict.critical).await;
    }

    /// Completes when no revoked permit is outstanding: all interrupted work has stopped.
    pub async fn until_yielded(&self) {
        let mut revoked = self.admission.revoked.subscribe();
        // The sender lives as long as this gate.
        let _ = revoked.wait_for(|count| *count == 0).await;
    }

    /// Returns the closed flag for a database driver.
    #[must_use]
    pub fn closed_flag(&self) -> ClosedFlag {
        self.admission.closed.clone()
    }

    /// Returns the gate's status.
    #[must_use]
    pub fn status(&self) -> GateStatus {
        self.admission.status()
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("verdict", &self.verdict())
            .finish_non_exhaustive()
    }
}

/// Permission for one quantum. Drop it when the work on the source has ended.
#[must_use = "work on the source is permitted while the permit lives"]
pub struct Permit {
    admission: Arc<AdmissionControl>,
    grant: Grant,
}

impl Permit {
    /// Returns the target duration of the quantum: a few milliseconds while the business is active.
    #[must_use]
    pub fn quantum(&self) -> Duration {
        self.grant.quantum
    }

    /// Whether the gate has closed since the grant: the worker must stop. One atomic load.
    #[must_use]
    pub fn is_revoked(&self) -> bool {
        self.admission.generation.load(Ordering::SeqCst) != self.grant.generation
    }

    /// Completes when the permit is revoked; used to cancel a statement in flight.
    pub async fn revoked(&self) {
        let mut verdicts = self.admission.verdicts.subscribe();
        while !self.is_revoked() {
            if verdicts.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Returns the limits, samples and verdicts in force from the grant until now, each once. Combine several quanta
    /// with [`merge`](crate::journal::merge).
    #[must_use]
    pub fn load_evidence(&self) -> Load {
        self.admission.evidence(self.grant.mark)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.admission.leave(&self.grant);
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
    async fn permit_waits_for_the_gate_and_closing_revokes_it() {
        let (gate, script) = Gate::scripted();
        assert!(gate.try_permit().is_none());
        let waiting = tokio::spawn({
            let gate = gate.clone();
            async move { gate.permit().await }
        });
        script.open();
        let Ok(permit) = waiting.await else {
            return assert!(!gate.verdict().permits_work());
        };
        assert!(!permit.is_revoked());
        script.close("load");
        script.open();
        assert!(permit.is_revoked());
        permit.revoked().await;
        assert!(gate.try_permit().is_some_and(|permit| !permit.is_revoked()));
    }

    #[tokio::test]
    async fn permit_revoked_wakes_a_waiting_task() {
        let (gate, script) = Gate::scripted();
        script.open();
        let permit = gate.permit().await;
        let waiting = tokio::spawn(async move { permit.revoked().await });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        script.close("load");
        assert!(waiting.await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn yield_time_ends_with_the_last_revoked_permit() {
        let (gate, script) = Gate::scripted();
        script.open();
        let (first, second) = (gate.permit().await, gate.permit().await);
        script.close("load");
        assert_eq!(gate.status().permits_held, 2);
        tokio::time::advance(Duration::from_millis(5)).await;
        drop(first);
        script.open();
        // A permit of the new generation is not waited for.
        let third = gate.permit().await;
        tokio::time::advance(Duration::from_millis(7)).await;
        drop(second);
        gate.until_yielded().await;
        let yields = gate.status().yields;
        assert_eq!((yields.count, yields.last_us, yields.max_us), (1, 12_000, 12_000));
        drop(third);
        script.close("again, with nothing under way");
        assert_eq!(gate.status().yields.count, 1);
        assert_eq!(gate.status().permits_held, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn until_yielded_waits_for_interrupted_work() {
        let (gate, script) = Gate::scripted();
        gate.until_yielded().await;
        script.open();
        let permit = gate.permit().await;
        gate.until_yielded().await;
        script.close("load");
        let waiting = tokio::spawn({
            let gate = gate.clone();
            async move { gate.until_yielded().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(permit);
        assert!(waiting.await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn status_counts_advance_while_closed() {
        let (gate, script) = Gate::scripted();
        script.open();
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(gate.status().not_idle_since, None);
        script.close("load");
        tokio::time::advance(Duration::from_secs(3)).await;
        let status = gate.status();
        assert_eq!((status.open_ms, status.closed_ms), (2_000, 3_000));
        assert_eq!((status.closings, status.openings), (1, 1));
        assert_eq!(status.closings_by_reason.get(&ReasonKind::Scripted), Some(&1));
        assert_eq!(
            (status.state, status.reason.as_str()),
            (GateState::Closed, "load")
        );
        assert!(status.not_idle_since.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn closed_flag_returns_the_time_since_closing() {
        let (gate, script) = Gate::scripted();
        let flag = gate.closed_flag();
        assert!(flag.is_closed());
        script.open();
        assert_eq!((flag.is_closed(), flag.closed_for()), (false, None));
        script.close("load");
        tokio::time::advance(Duration::from_millis(30)).await;
        assert_eq!(
            (flag.is_closed(), flag.closed_for()),
            (true, Some(Duration::from_millis(30)))
        );
        // Another reason is not another closing.
        script.close("more load");
        assert_eq!(flag.closed_for(), Some(Duration::from_millis(30)));
    }

    #[tokio::test]
    async fn evidence_contains_each_sample_in_force_once() {
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
    async fn evidence_of_a_fixed_open_gate_names_the_reason() {
        let gate = Gate::fixed_open();
        let load = gate.permit().await.load_evidence();
        assert_eq!(load.verdicts[0].reason, "fixed open by configuration");
        assert!(load.samples.is_empty() && load.limits.is_empty());
    }
}
