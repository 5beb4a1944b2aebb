//! PURE: whether the gate is open, and for how much of the time.
//!
//! [`policy`](crate::policy) decides whether to work at all; this decides the rest. A gate that
//! opens beside a business works on probation first, then for a share of the time (the duty)
//! that grows by addition and shrinks by multiplication, so that the harm done to the business
//! stays within the budget. Where there is no business to disturb, it works all of the time.
//! What operators ordered binds it, and a long time without any idleness may loosen it.
//!
//! - [`harm`] what our work costs the business: working ticks against our own rests
//! - [`duty`] additive increase, multiplicative decrease
//! - [`relief`] a trickle or a window for those who never are idle

pub mod duty;
pub mod harm;
pub mod relief;

use std::time::Duration;

use schemas::load::GateState;

use self::duty::{DutyLaw, DutyState};
use self::relief::Relief;
use crate::clock::Moment;
use crate::foreground::Strain;
use crate::limits::Limits;
use crate::orders::Orders;
use crate::policy::{self, PolicyState};
use crate::sample::{Reading, Sample};
use crate::verdict::{Measure, Reason, ReasonKind, Verdict};

/// What happened since the step before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tick {
    /// How long the business's processes ran and waited; none where that cannot be seen.
    pub strain: Option<Strain>,
    /// How long permits were out.
    pub worked: Duration,
    /// Whether the kernel puts our work behind the business's.
    pub kernel: bool,
}

/// What the law remembers from one step to the next.
#[derive(Debug, Clone, PartialEq)]
pub struct LawState {
    policy: PolicyState,
    duty: DutyState,
    /// The last verdict's state and since when.
    state: GateState,
    since: Moment,
    /// Since when no sample was good enough to work under.
    not_idle_since: Moment,
}

impl LawState {
    /// At the start: shut, with the whole hold ahead. The seed places the rests.
    #[must_use]
    pub fn new(now: Moment, seed: u64) -> Self {
        Self {
            policy: PolicyState::new(now),
            duty: DutyState::new(seed),
            state: GateState::Shut,
            since: now,
            not_idle_since: now,
        }
    }

    /// After something outside the samples shut the gate: the hold begins anew.
    #[must_use]
    pub fn interrupted(mut self, now: Moment) -> Self {
        self.policy = self.policy.interrupted(now);
        self.duty.shut();
        self.enter(GateState::Shut, now);
        self
    }

    /// What is known of the harm that is done.
    #[must_use]
    pub fn harm(&self) -> harm::Estimate {
        self.duty.harm()
    }

    /// Since when the state holds.
    #[must_use]
    pub fn since(&self) -> Moment {
        self.since
    }

    fn enter(&mut self, state: GateState, now: Moment) {
        if self.state != state {
            self.state = state;
            self.since = now;
        }
    }
}

/// One step: what the gate says after this sample, at this moment.
#[must_use]
pub fn step(
    state: LawState,
    sample: &Sample,
    tick: &Tick,
    orders: &Orders,
    limits: &Limits,
    now: Moment,
) -> (LawState, Verdict) {
    let LawState {
        policy,
        duty,
        state: before,
        since,
        not_idle_since,
    } = state;
    let (policy, verdict) = policy::step(policy, sample, limits, now);
    let mut state = LawState {
        policy,
        duty,
        state: before,
        since,
        not_idle_since,
    };
    if verdict.lets_work() {
        state.not_idle_since = now;
    }
    let mut verdict = state.decide(verdict, sample, tick, orders, limits, now);
    let entered = if !verdict.lets_work() {
        GateState::Shut
    } else if verdict.duty < 1.0 {
        GateState::Limited
    } else {
        GateState::Open
    };
    state.enter(entered, now);
    verdict.state = entered;
    verdict.since = state.since;
    (state, verdict)
}

impl LawState {
    fn decide(
        &mut self,
        verdict: Verdict,
        sample: &Sample,
        tick: &Tick,
        orders: &Orders,
        limits: &Limits,
        now: Moment,
    ) -> Verdict {
        let law = &limits.law;
        let stop = |reason: Reason, is_critical: bool| Verdict {
            critical: is_critical,
            ..Verdict::shut(reason, now, verdict.expires)
        };
        if let Some(measure) = critical(sample, limits) {
            self.duty.shut();
            return stop(Reason::Critical(measure), true);
        }
        if let Some(why) = &orders.unread {
            self.duty.shut();
            return stop(Reason::NoOrders(why.clone()), false);
        }
        if let Some(standing) = orders.paused(now.wall) {
            self.duty.shut();
            return stop(Reason::Paused(standing.clone()), false);
        }
        if !verdict.lets_work() {
            self.duty.shut();
            let relief = is_load(verdict.reason.kind())
                .then(|| limits.relief.at(self.not_idle_since, now))
                .flatten();
            return match relief {
                Some(relief) => relieved(relief, &verdict, law, now),
                None => verdict,
            };
        }
        let is_quiet = is_quiet(sample, limits);
        let share = self.duty.step(tick, is_quiet, law, now);
        let Some(share) = share else {
            return stop(self.duty.over_budget(law, now), false);
        };
        let ordered = orders.limited(now.wall);
        let most = ordered.map_or(1.0, |(most, _)| clamp(most));
        let reason = match ordered {
            Some((most, standing)) if most < share.duty => Reason::Ordered(standing.clone()),
            _ => share.reason,
        };
        let duty = share.duty.min(most);
        Verdict {
            reason,
            duty,
            rests: share.rests,
            quantum: if duty < 1.0 {
                law.quantum_busy
            } else {
                law.quantum_idle
            },
            ..verdict
        }
    }
}

fn clamp(share: f64) -> f64 {
    if share.is_finite() {
        share.clamp(0.001, 1.0)
    } else {
        0.001
    }
}

fn relieved(relief: Relief, verdict: &Verdict, law: &DutyLaw, now: Moment) -> Verdict {
    Verdict {
        state: GateState::Limited,
        duty: clamp(relief.duty).min(0.999),
        reason: Reason::Relief(relief.into_note(&verdict.reason)),
        quantum: law.quantum_busy,
        at: now,
        ..verdict.clone()
    }
}

/// Whether a shut comes from the business's load and from nothing else.
fn is_load(kind: ReasonKind) -> bool {
    matches!(
        kind,
        ReasonKind::OverLimit | ReasonKind::NotYetIdle | ReasonKind::Holding
    )
}

/// The first signal at or over its critical level.
fn critical(sample: &Sample, limits: &Limits) -> Option<Measure> {
    limits.signals.iter().find_map(|(name, limit)| {
        let level = limit.critical?;
        match sample.readings.get(name) {
            Some(Reading::Value(value)) if *value >= level => Some(Measure {
                signal: name.clone(),
                value: *value,
                limit: level,
                unit: limit.unit,
            }),
            _ => None,
        }
    })
}

/// Whether every signal that can tell says that there is no business to disturb, and one does.
fn is_quiet(sample: &Sample, limits: &Limits) -> bool {
    let mut told = false;
    for (name, limit) in &limits.signals {
        let Some(quiet) = limit.quiet else { continue };
        match sample.readings.get(name) {
            Some(Reading::Value(value)) if *value < quiet => told = true,
            _ => return false,
        }
    }
    told
}

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;
