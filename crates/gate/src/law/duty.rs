//! PURE: the duty cycle.
//!
//! During business activity the duty starts with a small value on probation. It increases by addition while the harm is
//! within the budget, and decreases by multiplication as soon as the harm is significantly over it (after CockroachDB's
//! elastic CPU control and TCP). The increase does not depend on whether the duty was used, which would stall at small
//! duties. If the harm exceeds the budget at the minimum duty, the gate closes for a time that doubles (after MS
//! Manners). Without business activity the duty is 1.
//!
//! A decrease discards the working ticks: observations at the larger duty do not apply to the smaller one, and would
//! halve it repeatedly before its effect is measured.
//!
//! Some ticks are control ticks, placed at random so that they do not correlate with a period of the business. They are
//! the control group of [`harm`](super::harm).

use std::time::Duration;

use super::Tick;
use super::harm::{Estimate, Harm};
use crate::clock::Moment;
use crate::duty_law::DutyLaw;
use crate::verdict::Reason;

/// Longest time that harm at the minimum duty keeps the gate closed.
const MAX_BACKOFF: Duration = Duration::from_secs(300);

/// Standard errors by which the harm must exceed the budget to be significant.
const SIGNIFICANT_ERRORS: f64 = 1.5;

/// The same, to close the gate, and to decrease the duty in kernel-idle mode, where harm is less likely than a
/// disturbance of the machine.
const HIGHLY_SIGNIFICANT_ERRORS: f64 = 3.0;

/// Consecutive quiet ticks that count as idleness: one tick between two transactions does not.
const QUIET_TICKS: u32 = 3;

/// The state of the duty.
#[derive(Debug, Clone, PartialEq)]
pub struct DutyState {
    /// Monotonic time of the opening; `None` while closed.
    opened: Option<Duration>,
    duty: f64,
    harm: Harm,
    ticks: u32,
    quiet_ticks: u32,
    /// Whether the previous tick was a control tick.
    was_control_tick: bool,
    seed: u64,
    /// Until when harm at the minimum duty keeps the gate closed, and the consecutive count.
    backoff_until: Option<(Duration, u32)>,
}

/// The decision for one tick.
#[derive(Debug, Clone, PartialEq)]
pub struct Share {
    /// The duty, above 0 and up to 1.
    pub duty: f64,
    /// Whether this is a control tick: no new quantum begins until the next one.
    pub is_control_tick: bool,
    /// The reason for the duty.
    pub reason: Reason,
}

impl DutyState {
    /// Returns the initial state: closed, no observations.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            opened: None,
            duty: 0.0,
            harm: Harm::default(),
            ticks: 0,
            quiet_ticks: 0,
            was_control_tick: false,
            seed: seed | 1,
            backoff_until: None,
        }
    }

    /// Records that the gate is closed: the next opening begins with probation. The observations of harm are kept, with
    /// decay.
    pub(super) fn close(&mut self) {
        self.opened = None;
        self.quiet_ticks = 0;
        self.was_control_tick = false;
    }

    /// Returns the estimated harm.
    #[must_use]
    pub fn harm(&self) -> Estimate {
        self.harm.estimate()
    }

    /// Returns the reason of a closing by the budget.
    pub(super) fn over_budget(&self, law: &DutyLaw, now: Moment) -> Reason {
        let left = self
            .backoff_until
            .map_or(Duration::ZERO, |(until, _)| until.saturating_sub(now.mono));
        Reason::OverBudget {
            harm: self.harm().known.map_or(0.0, |(harm, _)| harm),
            budget: law.harm_budget,
            left,
        }
    }

    /// Decides one tick while the signals permit work. `None` if the budget does not.
    pub(super) fn step(&mut self, tick: &Tick, is_quiet: bool, law: &DutyLaw, now: Moment) -> Option<Share> {
        if let Some((until, _)) = self.backoff_until
            && now.mono < until
        {
            self.close();
            return None;
        }
        let is_fresh = self.opened.is_none();
        let opened = *self.opened.get_or_insert(now.mono);
        if is_fresh {
            self.duty = law.probation_duty;
            self.ticks = 0;
        } else {
            self.add_observation(tick);
        }
        self.quiet_ticks = if is_quiet {
            self.quiet_ticks.saturating_add(1)
        } else {
            0
        };
        self.was_control_tick = false;
        if now.mono.saturating_sub(opened) < law.probation {
            return Some(Share {
                duty: law.probation_duty,
                is_control_tick: false,
                reason: Reason::Probation,
            });
        }
        if self.quiet_ticks >= QUIET_TICKS {
            self.backoff_until = None;
            return Some(Share {
                duty: 1.0,
                is_control_tick: false,
                reason: Reason::Idle,
            });
        }
        self.ticks = self.ticks.saturating_add(1);
        if self.ticks >= law.round {
            self.ticks = 0;
            self.adjust(tick.kernel_idle, law, now)?;
        }
        self.duty = self
            .duty
            .min(self.current_max(tick.kernel_idle, law))
            .max(law.min_duty);
        self.was_control_tick = self.random() < law.control_ticks;
        Some(Share {
            // Full duty needs idleness: during business activity there are always control ticks.
            duty: self.duty.min(0.999),
            is_control_tick: self.was_control_tick,
            reason: Reason::BusinessActive,
        })
    }

    fn add_observation(&mut self, tick: &Tick) {
        let Some(contention) = tick.contention else { return };
        if !tick.worked.is_zero() {
            self.harm.add(contention, true);
        } else if self.was_control_tick {
            self.harm.add(contention, false);
        }
    }

    fn current_max(&self, kernel_idle: bool, law: &DutyLaw) -> f64 {
        if kernel_idle {
            law.max_duty_kernel_idle
        } else if self.harm.is_known() {
            law.max_duty
        } else {
            law.max_duty_unmeasured.min(law.max_duty)
        }
    }

    fn adjust(&mut self, kernel_idle: bool, law: &DutyLaw, now: Moment) -> Option<()> {
        let (harm, error) = self.harm().known.unwrap_or((0.0, 0.0));
        let budget = law.harm_budget;
        let increase = if kernel_idle {
            law.increase_kernel_idle
        } else {
            law.increase
        };
        let significance = if kernel_idle {
            HIGHLY_SIGNIFICANT_ERRORS
        } else {
            SIGNIFICANT_ERRORS
        };
        if harm - significance * error > budget {
            if self.duty <= law.min_duty && harm - HIGHLY_SIGNIFICANT_ERRORS * error > budget {
                let times = self.backoff_until.map_or(0, |(_, times)| times);
                let wait = law.backoff.saturating_mul(1 << times.min(10)).min(MAX_BACKOFF);
                self.backoff_until = Some((now.mono.saturating_add(wait), times.saturating_add(1)));
                // The observations are outdated when the gate opens again.
                self.harm = Harm::default();
                self.close();
                return None;
            }
            self.duty = (self.duty * law.decrease).max(law.min_duty);
            self.harm.forget_working();
        } else if harm - error <= budget {
            // An estimate that is not yet significant must not stall the duty.
            self.duty = (self.duty + increase).min(self.current_max(kernel_idle, law));
            self.backoff_until = None;
        }
        Some(())
    }

    /// Returns a number from 0 to 1 of a xorshift generator (Marsaglia, 2003).
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    fn random(&mut self) -> f64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        (self.seed >> 11) as f64 / (1_u64 << 53) as f64
    }
}
