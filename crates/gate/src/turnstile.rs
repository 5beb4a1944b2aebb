//! The one place where verdicts meet permits.
//!
//! Everything that must agree changes under one lock: the verdict, the generation of permits,
//! what is out, the journal, the counts. What is read in inner loops is outside it, in atomics.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use schemas::load::{GateState, Load, SignalLimit};
use tokio::sync::watch;

use crate::clock::{Clock, Moment};
use crate::journal::{Journal, Mark};
use crate::sample::Sample;
use crate::shut::ShutFlag;
use crate::tally::{GateStatus, Tally};
use crate::verdict::{Reason, Verdict};

pub(crate) struct Turnstile {
    pub(crate) clock: Clock,
    pub(crate) shut: ShutFlag,
    pub(crate) verdicts: watch::Sender<Verdict>,
    /// Revoked permits that are still out.
    pub(crate) revoked: watch::Sender<usize>,
    /// Goes up with every shut: a permit of an older generation is revoked.
    pub(crate) generation: AtomicU64,
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
}

/// What a permit takes through.
pub(crate) struct Pass {
    pub(crate) generation: u64,
    pub(crate) mark: Mark,
}

impl Turnstile {
    pub(crate) fn new(clock: Clock, limits: BTreeMap<String, SignalLimit>) -> Self {
        let now = clock.now();
        let first = Verdict {
            state: GateState::Shut,
            reason: Reason::NoSample,
            since: now,
            at: now,
            expires: None,
        };
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
        };
        Self {
            clock,
            shut,
            verdicts: watch::Sender::new(first),
            revoked: watch::Sender::new(0),
            generation: AtomicU64::new(0),
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
        let lapsed = Verdict {
            state: GateState::Shut,
            reason: stale(&verdict, now),
            since: now,
            at: now,
            expires: None,
        };
        self.turn(&mut inner, None, lapsed);
        true
    }

    fn turn(&self, inner: &mut Inner, sample: Option<&Sample>, verdict: Verdict) {
        let before = self.verdicts.borrow().clone();
        if let Some(sample) = sample {
            inner.tally.samples += 1;
            inner.journal.sample(sample.evidence());
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

    /// Lets one quantum through, if the gate is open and its verdict fresh.
    pub(crate) fn enter(&self) -> Option<Pass> {
        let mut inner = self.lock();
        let now = self.clock.now();
        let verdict = self.verdicts.borrow();
        if !verdict.lets_work() || verdict.is_expired(now.mono) {
            return None;
        }
        inner.valid += 1;
        inner.tally.permits += 1;
        Some(Pass {
            generation: self.generation.load(Ordering::SeqCst),
            mark: inner.journal.mark(),
        })
    }

    /// A permit came back.
    pub(crate) fn leave(&self, pass: &Pass) {
        let mut inner = self.lock();
        if pass.generation == self.generation.load(Ordering::SeqCst) {
            inner.valid = inner.valid.saturating_sub(1);
            return;
        }
        inner.revoked = inner.revoked.saturating_sub(1);
        if inner.revoked == 0
            && let Some(from) = inner.yielding.take()
        {
            let took = self.clock.now().mono.saturating_sub(from);
            inner.tally.yields.add(took);
        }
        self.revoked.send_replace(inner.revoked);
    }

    pub(crate) fn evidence(&self, mark: Mark) -> Load {
        self.lock().journal.since(mark)
    }

    /// What the gate says now, its verdict's age considered.
    pub(crate) fn verdict(&self) -> Verdict {
        let verdict = self.verdicts.borrow().clone();
        let now = self.clock.now();
        if verdict.lets_work() && verdict.is_expired(now.mono) {
            let reason = stale(&verdict, now);
            return Verdict {
                state: GateState::Shut,
                reason,
                since: now,
                at: now,
                expires: None,
            };
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
            permits: 0,
            permits_out: inner.valid + inner.revoked,
            yields: inner.tally.yields,
        };
        inner.tally.fill(&mut status, is_open, now);
        status
    }
}

/// The age of the sample behind a verdict is not known here; since the verdict is as good.
fn stale(verdict: &Verdict, now: Moment) -> Reason {
    Reason::Stale(now.mono.saturating_sub(verdict.at.mono))
}
