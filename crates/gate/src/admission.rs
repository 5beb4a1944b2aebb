//! Admission control: applies verdicts and grants permits.
//!
//! One lock protects what must stay consistent: the verdict, the generation of permits, outstanding permits, the
//! journal, the counters. Values read in inner loops are atomics outside the lock.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use schemas::load::{Load, SignalLimit};
use tokio::sync::{Notify, broadcast, watch};

use crate::clock::{Clock, Moment};
use crate::closed_flag::ClosedFlag;
use crate::journal::{Journal, Mark};
use crate::law::harm::Estimate;
use crate::limits::Limits;
use crate::orders::Orders;
use crate::plan::Plan;
use crate::priority_mode::PriorityMode;
use crate::sample::Sample;
use crate::stats::{GateStatus, HarmStatus, PolicyStatus, Stats};
use crate::verdict::{Reason, Verdict};

pub(crate) struct AdmissionControl {
    pub(crate) clock: Clock,
    pub(crate) closed: ClosedFlag,
    pub(crate) verdicts: watch::Sender<Verdict>,
    /// Revoked permits that are still outstanding.
    pub(crate) revoked: watch::Sender<usize>,
    /// Incremented by every closing; a permit of an older generation is revoked.
    pub(crate) generation: AtomicU64,
    /// Every sample with its verdict, for recorders.
    pub(crate) observations: broadcast::Sender<Arc<Observation>>,
    /// Notifies that a permit was returned while the duty allows only one.
    pub(crate) returned: Notify,
    plan: Mutex<Option<Plan>>,
    inner: Mutex<Inner>,
}

struct Inner {
    journal: Journal,
    stats: Stats,
    /// Outstanding permits of this generation.
    valid: usize,
    /// Outstanding permits of older generations.
    revoked: usize,
    /// When the sample was taken whose closing is still being yielded to.
    yielding: Option<Duration>,
    /// Whether the gate closed because no verdict arrived.
    is_expired: bool,
    /// Monotonic time before which the duty lets no quantum begin.
    next_at: Duration,
    /// Since when at least one permit has been outstanding, or since the last tick.
    busy_since: Option<Duration>,
    /// How long permits were outstanding since the last tick.
    worked: Duration,
    orders: Orders,
    priority_mode: PriorityMode,
    harm: Estimate,
    budget: f64,
    policy: PolicyStatus,
    alarm: Option<String>,
    /// The causes of failed readings, by signal.
    failures: BTreeMap<String, String>,
    /// Monotonic time of the next sample.
    due: Option<Duration>,
}

/// A sample and the verdict on it.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// The sample.
    pub sample: Sample,
    /// The verdict.
    pub verdict: Verdict,
}

/// Samples buffered for a slow recorder before it loses some.
const OBSERVATION_BUFFER: usize = 1_024;

/// Longest pause that the duty causes, so that one slow quantum cannot stop a feed for hours.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// The data of a granted permit.
pub(crate) struct Grant {
    pub(crate) generation: u64,
    pub(crate) mark: Mark,
    pub(crate) quantum: Duration,
    entered: Duration,
}

/// The outcome of a request for a permit.
pub(crate) enum Admission {
    /// The quantum may begin.
    Granted(Grant),
    /// The gate is open, but the duty defers the quantum to this monotonic time.
    NotBefore(Duration),
    /// The gate is open, but the duty allows only one quantum at a time, or this is a control tick.
    Wait,
    /// The gate is closed.
    Closed,
}

impl AdmissionControl {
    pub(crate) fn new(clock: Clock, limits: BTreeMap<String, SignalLimit>) -> Self {
        let now = clock.now();
        let first = Verdict::closed(Reason::NoSample, now, None);
        let closed = ClosedFlag::new(clock.clone());
        closed.close(now.mono);
        let mut journal = Journal::new(limits);
        journal.push_verdict(first.evidence());
        let inner = Inner {
            journal,
            stats: Stats::new(now),
            valid: 0,
            revoked: 0,
            yielding: None,
            is_expired: false,
            next_at: Duration::ZERO,
            busy_since: None,
            worked: Duration::ZERO,
            orders: Orders::default(),
            priority_mode: PriorityMode::default(),
            harm: Estimate::default(),
            budget: 0.0,
            policy: PolicyStatus {
                loaded_at: now.wall,
                refused: None,
            },
            alarm: None,
            failures: BTreeMap::new(),
            due: None,
        };
        Self {
            clock,
            closed,
            verdicts: watch::Sender::new(first),
            revoked: watch::Sender::new(0),
            generation: AtomicU64::new(0),
            observations: broadcast::Sender::new(OBSERVATION_BUFFER),
            returned: Notify::new(),
            plan: Mutex::new(None),
            inner: Mutex::new(inner),
        }
    }

    /// No code under the lock panics, so a poisoned lock is consistent.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes a verdict and the sample it is based on.
    pub(crate) fn publish(&self, sample: Option<&Sample>, verdict: Verdict) {
        let mut inner = self.lock();
        inner.is_expired = false;
        self.apply(&mut inner, sample, verdict);
    }

    /// Closes the gate if its verdict has expired. Returns whether it is closed for that reason.
    pub(crate) fn expire_stale(&self) -> bool {
        let mut inner = self.lock();
        let now = self.clock.now();
        let verdict = self.verdicts.borrow().clone();
        if !verdict.permits_work() || !verdict.is_expired(now.mono) {
            return inner.is_expired;
        }
        inner.is_expired = true;
        let stale_verdict = Verdict::closed(stale(&verdict, now), now, None);
        self.apply(&mut inner, None, stale_verdict);
        true
    }

    fn apply(&self, inner: &mut Inner, sample: Option<&Sample>, verdict: Verdict) {
        let before = self.verdicts.borrow().clone();
        if let Some(sample) = sample {
            let is_idle = inner.journal.is_idle(sample);
            inner.stats.record_sample(is_idle, sample.at);
            inner.journal.push_sample(sample.evidence());
            inner.failures = sample.failures();
            if self.observations.receiver_count() > 0 {
                // A missing receiver is not an error.
                let _ = self.observations.send(Arc::new(Observation {
                    sample: sample.clone(),
                    verdict: verdict.clone(),
                }));
            }
        }
        if before.state != verdict.state || before.reason.kind() != verdict.reason.kind() {
            inner.journal.push_verdict(verdict.evidence());
        }
        let now = self.clock.now();
        if before.permits_work() && !verdict.permits_work() {
            self.generation.fetch_add(1, Ordering::SeqCst);
            self.closed.close(now.mono);
            inner.stats.closed(verdict.reason.kind(), now);
            inner.revoked += inner.valid;
            inner.valid = 0;
            if inner.revoked > 0 && inner.yielding.is_none() {
                inner.yielding = Some(sample.map_or(verdict.at.mono, |sample| sample.at.mono));
            }
            self.revoked.send_replace(inner.revoked);
            tracing::info!(reason = %verdict.reason, permits_held = inner.revoked, "gate closed");
        } else if !before.permits_work() && verdict.permits_work() {
            self.closed.open();
            inner.stats.opened(now);
            tracing::info!(reason = %verdict.reason, "gate open");
        }
        self.verdicts.send_replace(verdict);
    }

    /// Grants a permit if the gate is open, its verdict fresh, and the duty leaves time.
    pub(crate) fn enter(&self) -> Admission {
        let mut inner = self.lock();
        let now = self.clock.now();
        let verdict = self.verdicts.borrow();
        if !verdict.permits_work() || verdict.is_expired(now.mono) {
            return Admission::Closed;
        }
        if verdict.duty < 1.0 {
            if verdict.is_control_tick || inner.valid > 0 {
                return Admission::Wait;
            }
            if now.mono < inner.next_at {
                return Admission::NotBefore(inner.next_at);
            }
        }
        inner.valid += 1;
        inner.stats.permits += 1;
        inner.busy_since.get_or_insert(now.mono);
        Admission::Granted(Grant {
            generation: self.generation.load(Ordering::SeqCst),
            mark: inner.journal.mark(),
            quantum: verdict.quantum,
            entered: now.mono,
        })
    }

    /// Takes a permit back.
    pub(crate) fn leave(&self, grant: &Grant) {
        let mut inner = self.lock();
        let now = self.clock.now().mono;
        let duty = self.verdicts.borrow().duty;
        if duty > 0.0 && duty < 1.0 {
            let held = now.saturating_sub(grant.entered);
            let pause = held.mul_f64((1.0 / duty - 1.0).min(1e6)).min(MAX_PAUSE);
            inner.next_at = now.saturating_add(pause);
        }
        if grant.generation == self.generation.load(Ordering::SeqCst) {
            inner.valid = inner.valid.saturating_sub(1);
        } else {
            inner.revoked = inner.revoked.saturating_sub(1);
            if inner.revoked == 0
                && let Some(from) = inner.yielding.take()
            {
                inner.stats.yields.add(now.saturating_sub(from));
            }
            self.revoked.send_replace(inner.revoked);
        }
        if inner.valid + inner.revoked == 0
            && let Some(since) = inner.busy_since.take()
        {
            inner.worked += now.saturating_sub(since);
        }
        drop(inner);
        self.returned.notify_one();
    }

    /// Returns how long permits were outstanding since the last call.
    pub(crate) fn take_worked(&self) -> Duration {
        let mut inner = self.lock();
        let now = self.clock.now().mono;
        if let Some(since) = &mut inner.busy_since {
            let more = now.saturating_sub(*since);
            *since = now;
            inner.worked += more;
        }
        std::mem::take(&mut inner.worked)
    }

    /// Returns the orders and whether the kernel schedules our work in idle time.
    pub(crate) fn orders_and_priority(&self) -> (Orders, bool) {
        let inner = self.lock();
        (inner.orders.clone(), inner.priority_mode.is_kernel_idle())
    }

    pub(crate) fn set_orders(&self, orders: Orders) {
        self.lock().orders = orders;
    }

    pub(crate) fn set_priority_mode(&self, priority_mode: PriorityMode) {
        let mut inner = self.lock();
        if inner.priority_mode != priority_mode {
            tracing::info!(mode = ?priority_mode, "priority mode changed");
            inner.priority_mode = priority_mode;
        }
    }

    pub(crate) fn set_estimate(&self, harm: Estimate, budget: f64, due: Duration) {
        let mut inner = self.lock();
        (inner.harm, inner.budget, inner.due) = (harm, budget, Some(due));
    }

    /// Sets the plan that the sampler takes over with the next sample.
    pub(crate) fn set_next_plan(&self, plan: Plan) {
        *self.plan.lock().unwrap_or_else(PoisonError::into_inner) = Some(plan);
    }

    pub(crate) fn take_next_plan(&self) -> Option<Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Records that other limits are in force.
    pub(crate) fn set_limits(&self, limits: &Limits) {
        let mut inner = self.lock();
        inner.journal.set_limits(limits.evidence());
        let loaded_at: Timestamp = self.clock.now().wall;
        inner.policy = PolicyStatus {
            loaded_at,
            refused: None,
        };
    }

    pub(crate) fn reject_policy(&self, why: String) {
        self.lock().policy.refused = Some(why);
    }

    pub(crate) fn set_alarm(&self, alarm: Option<String>) {
        self.lock().alarm = alarm;
    }

    pub(crate) fn evidence(&self, mark: Mark) -> Load {
        self.lock().journal.since(mark)
    }

    /// Returns the current verdict; an expired one reads as closed.
    pub(crate) fn verdict(&self) -> Verdict {
        let verdict = self.verdicts.borrow().clone();
        let now = self.clock.now();
        if verdict.permits_work() && verdict.is_expired(now.mono) {
            return Verdict::closed(stale(&verdict, now), now, None);
        }
        verdict
    }

    /// Returns since when the gate has been closed, by the wall clock; `None` while it is open.
    pub(crate) fn not_idle_since(&self) -> Option<Timestamp> {
        let inner = self.lock();
        inner.stats.not_idle_since(self.verdicts.borrow().permits_work())
    }

    pub(crate) fn status(&self) -> GateStatus {
        let inner = self.lock();
        let verdict = self.verdict();
        let now = self.clock.now();
        let is_open = self.verdicts.borrow().permits_work();
        let mut status = GateStatus {
            state: verdict.state,
            reason_kind: verdict.reason.kind(),
            reason: verdict.reason.to_string(),
            since: verdict.since.wall,
            at: verdict.at.wall,
            not_idle_since: None,
            readings_milli: inner.journal.readings(),
            samples: 0,
            closings: 0,
            closings_by_reason: BTreeMap::new(),
            openings: 0,
            open_ms: 0,
            closed_ms: 0,
            idle_ms: 0,
            permits: 0,
            permits_held: inner.valid + inner.revoked,
            yields: inner.stats.yields,
            duty_milli: verdict.duty_milli(),
            is_control_tick: verdict.is_control_tick,
            limits: inner.journal.limits(),
            failures: inner.failures.clone(),
            next_sample_in_ms: inner.due.map_or(0, |due| {
                u64::try_from(due.saturating_sub(now.mono).as_millis()).unwrap_or(u64::MAX)
            }),
            priority_mode: inner.priority_mode.clone(),
            harm: HarmStatus::new(inner.harm, inner.budget),
            orders: inner.orders.clone(),
            history: inner.journal.history(),
            policy: inner.policy.clone(),
            alarm: inner.alarm.clone(),
        };
        inner.stats.fill(&mut status, is_open, now);
        status
    }
}

/// The age of the sample is not known here; the time since the verdict is equivalent.
fn stale(verdict: &Verdict, now: Moment) -> Reason {
    Reason::Stale(now.mono.saturating_sub(verdict.at.mono))
}
