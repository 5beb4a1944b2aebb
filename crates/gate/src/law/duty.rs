//! PURE: the share of the time that work may take.
//!
//! Beside a business: probation at a small duty, then up by addition while the harm is within
//! the budget, down by multiplication as soon as it is surely over it (after CockroachDB's elastic
//! CPU control and TCP). It does not matter whether the duty was used up: growing only then
//! stalls at small duties. A harm that stays over the budget at the least duty shuts the gate
//! for a while that doubles (after MS Manners). Without any business: all of the time.
//!
//! After a decrease the harm is measured anew: what was seen at the larger duty is no word about the smaller one, and
//! would halve it again and again before the first look at what the halving did.
//!
//! One tick in a few is a rest, placed at random so that it beats with no period of the
//! business's: it is the control group of [`harm`](super::harm).

use std::time::Duration;

use super::Tick;
use super::harm::{Estimate, Harm};
use crate::clock::Moment;
use crate::verdict::Reason;

/// What the duty obeys.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DutyLaw {
    /// How much longer the business's processes may take because of ours, in time on or waiting
    /// for a processor; 0.05 is 5 %.
    pub harm_budget: f64,
    /// How long a gate that has just opened is on probation.
    pub probation: Duration,
    /// The duty on probation.
    pub probation_duty: f64,
    /// The least duty while the gate is open.
    pub least: f64,
    /// The most beside a business, without the kernel's help.
    pub most_bare: f64,
    /// The most beside a business, with the kernel's help. Not all of it: a backend that is put
    /// behind while it holds one of the database's locks keeps the business waiting, seldom, but
    /// more than one transaction in a hundred when it works all of the time.
    pub most_kernel: f64,
    /// The most beside a business whose harm cannot be measured, without the kernel's help.
    pub most_blind: f64,
    /// What a good round adds.
    pub increase: f64,
    /// What a good round adds with the kernel's help.
    pub increase_kernel: f64,
    /// What a bad round leaves, as a share.
    pub decrease: f64,
    /// How many ticks a round has.
    pub round: u32,
    /// The share of ticks that are rests.
    pub rests: f64,
    /// How long the gate stays shut when the least duty harms; doubles each time.
    pub backoff: Duration,
    /// How long a quantum should take beside a business.
    pub quantum_busy: Duration,
    /// How long a quantum should take where there is none.
    pub quantum_idle: Duration,
    /// How long a quantum is put off at most while the business is on the processors, without the
    /// kernel's help. Beside a steady business somebody always runs: then the duty has to do.
    pub patience: Duration,
}

impl Default for DutyLaw {
    fn default() -> Self {
        Self {
            harm_budget: 0.05,
            probation: Duration::from_millis(300),
            probation_duty: 0.05,
            least: 0.01,
            most_bare: 0.10,
            most_kernel: 0.45,
            most_blind: 0.05,
            increase: 0.05,
            increase_kernel: 0.25,
            decrease: 0.5,
            round: 10,
            rests: 0.2,
            backoff: Duration::from_secs(10),
            quantum_busy: Duration::from_millis(1),
            quantum_idle: Duration::from_millis(20),
            patience: Duration::from_millis(20),
        }
    }
}

/// Longest time that harm at the least duty keeps the gate shut.
const LONGEST_BACKOFF: Duration = Duration::from_secs(300);

/// Standard errors that the harm must be over the budget by, before it counts as surely over.
const SURE: f64 = 1.5;

/// The same, before the gate shuts for it; and before the duty shrinks where the kernel puts our work behind, for
/// there a harm is less likely than a bad second of the machine.
const VERY_SURE: f64 = 3.0;

/// A gate that saw business within so many ticks is not quiet: one tick between two
/// transactions is no silence.
const SILENCE: u32 = 3;

/// What the duty remembers.
#[derive(Debug, Clone, PartialEq)]
pub struct DutyState {
    /// Since when it is open; none while shut.
    opened: Option<Duration>,
    duty: f64,
    harm: Harm,
    ticks: u32,
    silent: u32,
    /// Whether the tick before was a rest by plan.
    rested: bool,
    seed: u64,
    /// Until when the harm at the least duty keeps it shut, and how often in a row it has.
    away: Option<(Duration, u32)>,
}

/// What may be taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Share {
    /// The duty, above 0 and up to 1.
    pub duty: f64,
    /// Whether no new quantum begins until the next tick.
    pub rests: bool,
    /// Why so much and no more.
    pub reason: Reason,
}

impl DutyState {
    /// Shut, nothing known.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            opened: None,
            duty: 0.0,
            harm: Harm::default(),
            ticks: 0,
            silent: 0,
            rested: false,
            seed: seed | 1,
            away: None,
        }
    }

    /// The gate is shut: the next opening begins with probation. What is known of the harm fades
    /// with time and is kept.
    pub(super) fn shut(&mut self) {
        self.opened = None;
        self.silent = 0;
        self.rested = false;
    }

    /// What is known of the harm.
    #[must_use]
    pub fn harm(&self) -> Estimate {
        self.harm.estimate()
    }

    /// The reason of a shut by the budget.
    pub(super) fn over_budget(&self, law: &DutyLaw, now: Moment) -> Reason {
        let left = self
            .away
            .map_or(Duration::ZERO, |(until, _)| until.saturating_sub(now.mono));
        Reason::OverBudget {
            harm: self.harm().known.map_or(0.0, |(harm, _)| harm),
            budget: law.harm_budget,
            left,
        }
    }

    /// One tick while the signals let work be done. None: the budget does not.
    pub(super) fn step(&mut self, tick: &Tick, is_quiet: bool, law: &DutyLaw, now: Moment) -> Option<Share> {
        if let Some((until, _)) = self.away
            && now.mono < until
        {
            self.shut();
            return None;
        }
        let is_fresh = self.opened.is_none();
        let opened = *self.opened.get_or_insert(now.mono);
        if is_fresh {
            self.duty = law.probation_duty;
            self.ticks = 0;
        } else {
            self.learn(tick);
        }
        self.silent = if is_quiet {
            self.silent.saturating_add(1)
        } else {
            0
        };
        self.rested = false;
        if now.mono.saturating_sub(opened) < law.probation {
            return Some(Share {
                duty: law.probation_duty,
                rests: false,
                reason: Reason::Probation,
            });
        }
        if self.silent >= SILENCE {
            self.away = None;
            return Some(Share {
                duty: 1.0,
                rests: false,
                reason: Reason::Idle,
            });
        }
        self.ticks = self.ticks.saturating_add(1);
        if self.ticks >= law.round {
            self.ticks = 0;
            self.round(tick.kernel, law, now)?;
        }
        self.duty = self.duty.min(self.most(tick.kernel, law)).max(law.least);
        self.rested = self.chance() < law.rests;
        Some(Share {
            // Full duty is for silence alone: beside a business there are always rests.
            duty: self.duty.min(0.999),
            rests: self.rested,
            reason: Reason::Beside,
        })
    }

    fn learn(&mut self, tick: &Tick) {
        let Some(strain) = tick.strain else { return };
        if !tick.worked.is_zero() {
            self.harm.add(strain, true);
        } else if self.rested {
            self.harm.add(strain, false);
        }
    }

    fn most(&self, kernel: bool, law: &DutyLaw) -> f64 {
        if kernel {
            law.most_kernel
        } else if self.harm.is_known() {
            law.most_bare
        } else {
            law.most_blind.min(law.most_bare)
        }
    }

    fn round(&mut self, kernel: bool, law: &DutyLaw, now: Moment) -> Option<()> {
        let (harm, error) = self.harm().known.unwrap_or((0.0, 0.0));
        let budget = law.harm_budget;
        let increase = if kernel { law.increase_kernel } else { law.increase };
        let sure = if kernel { VERY_SURE } else { SURE };
        if harm - sure * error > budget {
            if self.duty <= law.least && harm - VERY_SURE * error > budget {
                let times = self.away.map_or(0, |(_, times)| times);
                let wait = law
                    .backoff
                    .saturating_mul(1 << times.min(10))
                    .min(LONGEST_BACKOFF);
                self.away = Some((now.mono.saturating_add(wait), times.saturating_add(1)));
                // What was learnt is old when the gate comes back.
                self.harm = Harm::default();
                self.shut();
                return None;
            }
            self.duty = (self.duty * law.decrease).max(law.least);
            self.harm.forget_working();
        } else if harm - error <= budget {
            // Not even likely over it: an estimate that is not sure yet must not stand still.
            self.duty = (self.duty + increase).min(self.most(kernel, law));
            self.away = None;
        }
        Some(())
    }

    /// A number from 0 to 1 out of a xorshift generator (Marsaglia, 2003).
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    fn chance(&mut self) -> f64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        (self.seed >> 11) as f64 / (1_u64 << 53) as f64
    }
}
