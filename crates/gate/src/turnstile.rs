//! The one place where verdicts meet permits.
//!
//! Everything that must agree changes under one lock: the verdict, the generation of permits,
//! what is out, the journal, the counts. What is read in inner loops is outside it, in atomics.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use schemas::load::{Load, SignalLimit};
use tokio::sync::{Notify, broadcast, watch};

use crate::clock::{Clock, Moment};
use crate::journal::{Journal, Mark};
use crate::law::harm::Estimate;
use crate::limits::Limits;
use crate::orders::Orders;
use crate::plan::Plan;
use crate::regime::Regime;
use crate::sample::Sample;
use crate::shut::ShutFlag;
use crate::tally::{GateStatus, HarmStatus, PolicyStatus, Tally};
use crate::verdict::{Reason, Verdict};

pub(crate) struct Turnstile {
    pub(crate) clock: Clock,
    pub(crate) shut: ShutFlag,
    pub(crate) verdicts: watch::Sender<Verdict>,
    /// Revoked permits that are still out.
    pub(crate) revoked: watch::Sender<usize>,
    /// Goes up with every shut: a permit of an older generation is revoked.
    pub(crate) generation: AtomicU64,
    /// Every sample with its verdict, for whoever records them.
    pub(crate) observations: broadcast::Sender<Arc<Observation>>,
    /// A permit came back while the duty lets only one out.
    pub(crate) returned: Notify,
    plan: Mutex<Option<Plan>>,
    inner: Mutex<Inner>,
}

struct Inner {
    journal: Journal,
    tally: Tally,
    /// Permits out of this generation.
    valid: usize,
    /// Permits out of older generations.
    revoked: usize,
    /// When the sample was taken whose shut is still being yielded to.
    yielding: Option<Duration>,
    /// Whether the gate shut itself because no verdict came.
    lapsed: bool,
    /// Monotonic time before which the duty lets no quantum begin.
    next_at: Duration,
    /// Since when at least one permit has been out, or since the last tick.
    busy_since: Option<Duration>,
    /// How long permits were out since the last tick.
    worked: Duration,
    orders: Orders,
    regime: Regime,
    harm: Estimate,
    budget: f64,
    policy: PolicyStatus,
    alarm: Option<String>,
    /// Why signals could not be read.
    failures: BTreeMap<String, String>,
    /// When the next sample is due.
    due: Option<Duration>,
}

/// A sample and what the gate said to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// The sample.
    pub sample: Sample,
    /// The verdict.
    pub verdict: Verdict,
}

/// Samples that wait for a slow recorder before it loses some.
const OBSERVATIONS: usize = 1_024;

/// Longest pause that a duty makes, so that one slow quantum cannot stop a feed for hours.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What a permit takes through.
pub(crate) struct Pass {
    pub(crate) generation: u64,
    pub(crate) mark: Mark,
    pub(crate) quantum: Duration,
    entered: Duration,
}

/// Whether a quantum may begin now.
pub(crate) enum Entry {
    /// It may.
    In(Pass),
    /// The gate is open, and the duty says: not before this monotonic time.
    NotBefore(Duration),
    /// The gate is open, and the duty lets only one quantum run at a time, or this tick rests.
    Wait,
    /// The gate is shut.
    Shut,
}

impl Turnstile {
    pub(crate) fn new(clock: Clock, limits: BTreeMap<String, SignalLimit>) -> Self {
        let now = clock.now();
        let first = Verdict::shut(Reason::NoSample, now, None);
        let shut = ShutFlag::new(clock.clone());
        shut.shut(now.mono);
        let mut journal = Journal::new(limits);
        journal.verdict(first.evidence());
        let inner = Inner {
            journal,
            tally: Tally::new(now),
            valid: 0,
            revoked: 0,
            yielding: None,
            lapsed: false,
            next_at: Duration::ZERO,
            busy_since: None,
            worked: Duration::ZERO,
            orders: Orders::default(),
            regime: Regime::default(),
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
            shut,
            verdicts: watch::Sender::new(first),
            revoked: watch::Sender::new(0),
            generation: AtomicU64::new(0),
            observations: broadcast::Sender::new(OBSERVATIONS),
            returned: Notify::new(),
            plan: Mutex::new(None),
            inner: Mutex::new(inner),
        }
    }

    /// A panic while the lock was held cannot leave it inconsistent: nothing under it panics.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new verdict, and the sample that it was given on.
    pub(crate) fn publish(&self, sample: Option<&Sample>, verdict: Verdict) {
        let mut inner = self.lock();
        inner.lapsed = false;
        self.turn(&mut inner, sample, verdict);
    }

    /// Shuts the gate when its verdict is too old. Whether it is shut for that reason now.
    pub(crate) fn lapse(&self) -> bool {
        let mut inner = self.lock();
        let now = self.clock.now();
        let verdict = self.verdicts.borrow().clone();
        if !verdict.lets_work() || !verdict.is_expired(now.mono) {
            return inner.lapsed;
        }
        inner.lapsed = true;
        let lapsed = Verdict::shut(stale(&verdict, now), now, None);
        self.turn(&mut inner, None, lapsed);
        true
    }

    fn turn(&self, inner: &mut Inner, sample: Option<&Sample>, verdict: Verdict) {
        let before = self.verdicts.borrow().clone();
        if let Some(sample) = sample {
            let is_idle = inner.journal.is_idle(sample);
            inner.tally.looked(is_idle, sample.at);
            inner.journal.sample(sample.evidence());
            inner.failures = sample.failures();
            if self.observations.receiver_count() > 0 {
                // Nobody listening any more is no failure.
                let _ = self.observations.send(Arc::new(Observation {
                    sample: sample.clone(),
                    verdict: verdict.clone(),
                }));
            }
        }
        if before.state != verdict.state || before.reason.kind() != verdict.reason.kind() {
            inner.journal.verdict(verdict.evidence());
        }
        let now = self.clock.now();
        if before.lets_work() && !verdict.lets_work() {
            self.generation.fetch_add(1, Ordering::SeqCst);
            self.shut.shut(now.mono);
            inner.tally.shut(verdict.reason.kind(), now);
            inner.revoked += inner.valid;
            inner.valid = 0;
            if inner.revoked > 0 && inner.yielding.is_none() {
                inner.yielding = Some(sample.map_or(verdict.at.mono, |sample| sample.at.mono));
            }
            self.revoked.send_replace(inner.revoked);
            tracing::info!(reason = %verdict.reason, permits_out = inner.revoked, "gate shut");
        } else if !before.lets_work() && verdict.lets_work() {
            self.shut.open();
            inner.tally.opened(now);
            tracing::info!(reason = %verdict.reason, "gate open");
        }
        self.verdicts.send_replace(verdict);
    }

    /// Lets one quantum through, if the gate is open, its verdict fresh, and the duty leaves time.
    pub(crate) fn enter(&self) -> Entry {
        let mut inner = self.lock();
        let now = self.clock.now();
        let verdict = self.verdicts.borrow();
        if !verdict.lets_work() || verdict.is_expired(now.mono) {
            return Entry::Shut;
        }
        if verdict.duty < 1.0 {
            if verdict.rests || inner.valid > 0 {
                return Entry::Wait;
            }
            if now.mono < inner.next_at {
                return Entry::NotBefore(inner.next_at);
            }
        }
        inner.valid += 1;
        inner.tally.permits += 1;
        inner.busy_since.get_or_insert(now.mono);
        Entry::In(Pass {
            generation: self.generation.load(Ordering::SeqCst),
            mark: inner.journal.mark(),
            quantum: verdict.quantum,
            entered: now.mono,
        })
    }

    /// A permit came back.
    pub(crate) fn leave(&self, pass: &Pass) {
        let mut inner = self.lock();
        let now = self.clock.now().mono;
        let duty = self.verdicts.borrow().duty;
        if duty > 0.0 && duty < 1.0 {
            let held = now.saturating_sub(pass.entered);
            let pause = held.mul_f64((1.0 / duty - 1.0).min(1e6)).min(LONGEST_PAUSE);
            inner.next_at = now.saturating_add(pause);
        }
        if pass.generation == self.generation.load(Ordering::SeqCst) {
            inner.valid = inner.valid.saturating_sub(1);
        } else {
            inner.revoked = inner.revoked.saturating_sub(1);
            if inner.revoked == 0
                && let Some(from) = inner.yielding.take()
            {
                inner.tally.yields.add(now.saturating_sub(from));
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

    /// How long permits were out since the last call.
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

    /// What the law is told beside the sample.
    pub(crate) fn standing(&self) -> (Orders, bool) {
        let inner = self.lock();
        (inner.orders.clone(), inner.regime.is_kernel())
    }

    pub(crate) fn give(&self, orders: Orders) {
        self.lock().orders = orders;
    }

    pub(crate) fn regime(&self, regime: Regime) {
        let mut inner = self.lock();
        if inner.regime != regime {
            tracing::info!(?regime, "regime");
            inner.regime = regime;
        }
    }

    pub(crate) fn note(&self, harm: Estimate, budget: f64, due: Duration) {
        let mut inner = self.lock();
        (inner.harm, inner.budget, inner.due) = (harm, budget, Some(due));
    }

    /// Another plan for the sampler, from the next sample on.
    pub(crate) fn replace(&self, plan: Plan) {
        *self.plan.lock().unwrap_or_else(PoisonError::into_inner) = Some(plan);
    }

    pub(crate) fn next_plan(&self) -> Option<Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Another policy is in force.
    pub(crate) fn reloaded(&self, limits: &Limits) {
        let mut inner = self.lock();
        inner.journal.replace(limits.evidence());
        let loaded_at: Timestamp = self.clock.now().wall;
        inner.policy = PolicyStatus {
            loaded_at,
            refused: None,
        };
    }

    pub(crate) fn refused(&self, why: String) {
        self.lock().policy.refused = Some(why);
    }

    pub(crate) fn alarm(&self, alarm: Option<String>) {
        self.lock().alarm = alarm;
    }

    pub(crate) fn evidence(&self, mark: Mark) -> Load {
        self.lock().journal.since(mark)
    }

    /// What the gate says now, its verdict's age considered.
    pub(crate) fn verdict(&self) -> Verdict {
        let verdict = self.verdicts.borrow().clone();
        let now = self.clock.now();
        if verdict.lets_work() && verdict.is_expired(now.mono) {
            return Verdict::shut(stale(&verdict, now), now, None);
        }
        verdict
    }

    pub(crate) fn status(&self) -> GateStatus {
        let inner = self.lock();
        let verdict = self.verdict();
        let now = self.clock.now();
        let is_open = self.verdicts.borrow().lets_work();
        let mut status = GateStatus {
            state: verdict.state,
            reason_kind: verdict.reason.kind(),
            reason: verdict.reason.to_string(),
            since: verdict.since.wall,
            at: verdict.at.wall,
            not_idle_since: None,
            readings_milli: inner.journal.readings(),
            samples: 0,
            shuts: 0,
            shuts_by_reason: BTreeMap::new(),
            openings: 0,
            open_ms: 0,
            shut_ms: 0,
            idle_ms: 0,
            permits: 0,
            permits_out: inner.valid + inner.revoked,
            yields: inner.tally.yields,
            duty_milli: verdict.duty_milli(),
            rests: verdict.rests,
            limits: inner.journal.limits(),
            failures: inner.failures.clone(),
            next_sample_in_ms: inner.due.map_or(0, |due| {
                u64::try_from(due.saturating_sub(now.mono).as_millis()).unwrap_or(u64::MAX)
            }),
            regime: inner.regime.clone(),
            harm: HarmStatus::new(inner.harm, inner.budget),
            orders: inner.orders.clone(),
            history: inner.journal.history(),
            policy: inner.policy.clone(),
            alarm: inner.alarm.clone(),
        };
        inner.tally.fill(&mut status, is_open, now);
        status
    }
}

/// The age of the sample behind a verdict is not known here; since the verdict is as good.
fn stale(verdict: &Verdict, now: Moment) -> Reason {
    Reason::Stale(now.mono.saturating_sub(verdict.at.mono))
}
