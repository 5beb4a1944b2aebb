//! PURE: whether the gate is open, and for how much of the time.
//!
//! [`crate::policy`] decides whether to work at all; this decides the rest. A gate that
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
use crate::sample::Sample;
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
    let mut state = state;
    let verdict = advance(&mut state, sample, tick, orders, limits, now);
    (state, verdict)
}

/// [`step`] in place: the same function, for those who replay millions.
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
    let mut look = policy::look(&state.policy, sample, limits, now);
    let (critical, is_quiet) = (look.critical.take(), look.is_quiet);
    let mut verdict = policy::apply(&mut state.policy, look, sample, limits, now);
    if verdict.lets_work() {
        state.not_idle_since = now;
    }
    state.decide(&mut verdict, critical, is_quiet, tick, orders, limits, now);
    state.told(verdict, now)
}

impl LawState {
    /// Nothing is measured, so nothing expires; what operators order binds such a gate like any other.
    fn fixed_open(&mut self, orders: &Orders, limits: &Limits, now: Moment) -> Verdict {
        self.not_idle_since = now;
        let mut verdict = match ordered_shut(orders, now) {
            Some(reason) => Verdict::shut(reason, now, None),
            None => Verdict::open(Reason::FixedOpen, now, None),
        };
        if verdict.lets_work() {
            bound(&mut verdict, orders, now);
            if verdict.duty < 1.0 {
                verdict.quantum = limits.law.quantum_busy;
            }
        }
        self.told(verdict, now)
    }

    /// The verdict as it leaves: its state follows from what it lets do, and so since when it holds.
    fn told(&mut self, mut verdict: Verdict, now: Moment) -> Verdict {
        let entered = if !verdict.lets_work() {
            GateState::Shut
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

    #[expect(
        clippy::too_many_arguments,
        reason = "what decides stands here in one line each"
    )]
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
        if let Some(reason) = outside.or_else(|| ordered_shut(orders, now)) {
            self.duty.shut();
            let is_critical = reason.kind() == ReasonKind::Critical;
            *verdict = Verdict::shut(reason, now, verdict.expires);
            verdict.critical = is_critical;
            return;
        }
        if !verdict.lets_work() {
            self.duty.shut();
            if is_load(verdict.reason.kind())
                && let Some(relief) = limits.relief.at(self.not_idle_since, now)
            {
                relieve(verdict, relief, law);
            }
            return;
        }
        let Some(share) = self.duty.step(tick, is_quiet, law, now) else {
            *verdict = Verdict::shut(self.duty.over_budget(law, now), now, verdict.expires);
            return;
        };
        verdict.duty = share.duty;
        verdict.rests = share.rests;
        verdict.reason = share.reason;
        bound(verdict, orders, now);
        if verdict.duty < 1.0 {
            verdict.quantum = law.quantum_busy;
            verdict.patience = if tick.kernel { Duration::ZERO } else { law.patience };
        } else {
            verdict.quantum = law.quantum_idle;
        }
    }
}

/// Why operators keep the gate shut, if they do, or might.
fn ordered_shut(orders: &Orders, now: Moment) -> Option<Reason> {
    if let Some(why) = &orders.unread {
        return Some(Reason::NoOrders(why.clone()));
    }
    orders
        .paused(now.wall)
        .map(|standing| Reason::Paused(standing.clone()))
}

/// No more than operators allow.
fn bound(verdict: &mut Verdict, orders: &Orders, now: Moment) {
    if let Some((most, standing)) = orders.limited(now.wall)
        && clamp(most) < verdict.duty
    {
        verdict.duty = clamp(most);
        verdict.reason = Reason::Ordered(standing.clone());
    }
}

fn clamp(share: f64) -> f64 {
    if share.is_finite() {
        share.clamp(0.001, 1.0)
    } else {
        0.001
    }
}

/// Works a little although the load says no.
fn relieve(verdict: &mut Verdict, relief: Relief, law: &DutyLaw) {
    verdict.state = GateState::Limited;
    verdict.duty = clamp(relief.duty).min(0.999);
    verdict.reason = Reason::Relief(relief.into_note(&verdict.reason));
    verdict.quantum = law.quantum_busy;
}

/// Whether a shut comes from the business's load and from nothing else.
fn is_load(kind: ReasonKind) -> bool {
    matches!(
        kind,
        ReasonKind::OverLimit | ReasonKind::NotYetIdle | ReasonKind::Holding
    )
}

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;
