//! PURE: the gate's state and duty cycle.
//!
//! [`crate::policy`] decides whether any work is permitted; this module decides how much. During business activity the
//! gate starts with a probation. Then it works for a share of the time (the duty) that increases additively and
//! decreases multiplicatively, so that the harm to the business stays within the budget. Without business activity it
//! works all of the time. Operators' orders restrict it; a long time without idleness may relax it, if configured.
//!
//! - [`config`] the configuration of the duty and of the exceptions
//! - [`harm`] estimates the harm: working ticks against control ticks
//! - [`duty`] additive increase, multiplicative decrease

pub mod config;
pub mod duty;
pub mod harm;

use std::time::Duration;

use schemas::load::GateState;

use self::duty::DutyState;
use crate::clock::Moment;
use crate::duty_law::DutyLaw;
use crate::foreground::SchedulerContention;
use crate::limits::Limits;
use crate::orders::Orders;
use crate::policy::{self, PolicyState};
use crate::relief::Relief;
use crate::sample::Sample;
use crate::verdict::{Measure, Reason, ReasonKind, Verdict};

/// The inputs of one step besides the sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tick {
    /// Scheduler contention of the business; `None` where it cannot be measured.
    pub contention: Option<SchedulerContention>,
    /// How long permits were outstanding.
    pub worked: Duration,
    /// Whether the kernel schedules our work in idle time only.
    pub kernel_idle: bool,
}

/// The state of the law between steps.
#[derive(Debug, Clone, PartialEq)]
pub struct LawState {
    policy: PolicyState,
    duty: DutyState,
    /// The state of the last verdict, and since when.
    state: GateState,
    since: Moment,
    /// Since when no sample permitted work.
    not_idle_since: Moment,
}

impl LawState {
    /// Returns the initial state: closed, with the whole hold ahead. The seed places the control ticks.
    #[must_use]
    pub fn new(now: Moment, seed: u64) -> Self {
        Self {
            policy: PolicyState::new(now),
            duty: DutyState::new(seed),
            state: GateState::Closed,
            since: now,
            not_idle_since: now,
        }
    }

    /// Restarts the hold after an event outside the samples closed the gate.
    #[must_use]
    pub fn interrupted(mut self, now: Moment) -> Self {
        self.policy = self.policy.interrupted(now);
        self.duty.close();
        self.enter(GateState::Closed, now);
        self
    }

    /// Returns the estimated harm.
    #[must_use]
    pub fn harm(&self) -> harm::Estimate {
        self.duty.harm()
    }

    /// Returns since when the state has held.
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

/// Computes the verdict on a sample at a moment.
#[must_use]
pub fn step(
    state: LawState,
    sample: &Sample,
    tick: &Tick,
    orders: &Orders,
    limits: &Limits,
    now: Moment,
) -> (LawState, Verdict) {
    let mut state = state;
    let verdict = advance(&mut state, sample, tick, orders, limits, now);
    (state, verdict)
}

/// [`step`] in place, for replays of millions of steps.
#[must_use]
pub fn advance(
    state: &mut LawState,
    sample: &Sample,
    tick: &Tick,
    orders: &Orders,
    limits: &Limits,
    now: Moment,
) -> Verdict {
    if limits.is_fixed_open {
        return state.fixed_open(orders, limits, now);
    }
    let mut evaluation = policy::evaluate(&state.policy, sample, limits, now);
    let (critical, is_quiet) = (evaluation.critical.take(), evaluation.is_quiet);
    let mut verdict = policy::apply(&mut state.policy, evaluation, sample, limits, now);
    if verdict.permits_work() {
        state.not_idle_since = now;
    }
    state.decide(&mut verdict, critical, is_quiet, tick, orders, limits, now);
    state.finish(verdict, now)
}

impl LawState {
    /// Decides for a fixed-open gate. Without measurement nothing expires, but operators' orders apply.
    fn fixed_open(&mut self, orders: &Orders, limits: &Limits, now: Moment) -> Verdict {
        self.not_idle_since = now;
        let mut verdict = match closed_by_order(orders, now) {
            Some(reason) => Verdict::closed(reason, now, None),
            None => Verdict::open(Reason::FixedOpen, now, None),
        };
        if verdict.permits_work() {
            cap_duty(&mut verdict, orders, now);
            if verdict.duty < 1.0 {
                verdict.quantum = limits.law.quantum_busy;
            }
        }
        self.finish(verdict, now)
    }

    /// Derives the verdict's state from its duty, and since when it has held.
    fn finish(&mut self, mut verdict: Verdict, now: Moment) -> Verdict {
        let entered = if !verdict.permits_work() {
            GateState::Closed
        } else if verdict.duty < 1.0 {
            GateState::Limited
        } else {
            GateState::Open
        };
        self.enter(entered, now);
        verdict.state = entered;
        verdict.since = self.since;
        verdict
    }

    #[expect(clippy::too_many_arguments, reason = "the inputs of the decision")]
    fn decide(
        &mut self,
        verdict: &mut Verdict,
        critical: Option<Measure>,
        is_quiet: bool,
        tick: &Tick,
        orders: &Orders,
        limits: &Limits,
        now: Moment,
    ) {
        let law = &limits.law;
        let outside = critical.map(Reason::Critical);
        if let Some(reason) = outside.or_else(|| closed_by_order(orders, now)) {
            self.duty.close();
            let is_critical = reason.kind() == ReasonKind::Critical;
            *verdict = Verdict::closed(reason, now, verdict.expires);
            verdict.critical = is_critical;
            return;
        }
        if !verdict.permits_work() {
            self.duty.close();
            if is_load(verdict.reason.kind())
                && let Some(relief) = limits.relief.in_force(self.not_idle_since, now)
            {
                relieve(verdict, relief, law);
            }
            return;
        }
        let Some(share) = self.duty.step(tick, is_quiet, law, now) else {
            *verdict = Verdict::closed(self.duty.over_budget(law, now), now, verdict.expires);
            return;
        };
        verdict.duty = share.duty;
        verdict.is_control_tick = share.is_control_tick;
        verdict.reason = share.reason;
        cap_duty(verdict, orders, now);
        if verdict.duty < 1.0 {
            verdict.quantum = law.quantum_busy;
            verdict.max_deferral = if tick.kernel_idle {
                Duration::ZERO
            } else {
                law.max_deferral
            };
        } else {
            verdict.quantum = law.quantum_idle;
        }
    }
}

/// Returns the order that keeps the gate closed, or that the orders are unread.
fn closed_by_order(orders: &Orders, now: Moment) -> Option<Reason> {
    if let Some(why) = &orders.unread {
        return Some(Reason::OrdersUnread(why.clone()));
    }
    orders.paused(now.wall).map(|order| Reason::Paused(order.clone()))
}

/// Caps the duty at the operators' limit.
fn cap_duty(verdict: &mut Verdict, orders: &Orders, now: Moment) {
    if let Some((most, order)) = orders.limited(now.wall)
        && clamp(most) < verdict.duty
    {
        verdict.duty = clamp(most);
        verdict.reason = Reason::Ordered(order.clone());
    }
}

fn clamp(share: f64) -> f64 {
    if share.is_finite() {
        share.clamp(0.001, 1.0)
    } else {
        0.001
    }
}

/// Permits a little work despite the load.
fn relieve(verdict: &mut Verdict, relief: Relief, law: &DutyLaw) {
    verdict.state = GateState::Limited;
    verdict.duty = clamp(relief.duty).min(0.999);
    verdict.reason = Reason::Relief(relief.into_note(&verdict.reason));
    verdict.quantum = law.quantum_busy;
}

/// Whether the business's load alone caused the closing.
fn is_load(kind: ReasonKind) -> bool {
    matches!(
        kind,
        ReasonKind::OverLimit | ReasonKind::NotYetIdle | ReasonKind::Holding
    )
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
