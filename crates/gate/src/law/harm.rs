//! PURE: what our work costs the business.
//!
//! The business's processes run, and wait for a processor while they could run. The gate rests now and then while it
//! is open; those ticks are the control group. Two things are compared between ticks in which we worked and rests:
//!
//! - the **stretch**, (run + wait) / run: how much longer their work takes because others are on the processors;
//! - the **turn**, (run + wait) / times that they were put on a processor: how long one statement of theirs takes from
//!   being woken to waiting for the next. It also sees what a processor shared with us does to their pace, by its other
//!   hardware thread, its caches, its memory. Where processes run for long at a time it tells little, and has a large
//!   error there.
//!
//! The harm is each while we work over the same while we rest, less one; the one that is more surely large counts.
//! Where waiting and work are about exponentially distributed, the same ratio holds for the higher
//! percentiles. The baseline is measured anew all the time: one from the start drifts away.
//!
//! Weighted, and forgotten by halves, so that the estimate follows the day. The error
//! is the standard error of two weighted means.

use crate::foreground::Strain;

/// A tick in which the business ran less than this says nothing, in nanoseconds.
const LEAST_RUN: f64 = 200_000.0;

/// Ticks of a group before it says anything.
const LEAST_TICKS: f64 = 5.0;

/// What one tick keeps of the weight of what came before it: half is forgotten in 200 ticks.
const KEEP: f64 = 0.996_54;

/// Of two estimates the one counts whose value less so many errors is larger.
const SURE: f64 = 1.5;

/// Weighted sums of `of` / `by`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Sums {
    by: f64,
    of: f64,
    by2: f64,
    by_of: f64,
    of2: f64,
}

impl Sums {
    fn fade(&mut self) {
        for sum in [
            &mut self.by,
            &mut self.of,
            &mut self.by2,
            &mut self.by_of,
            &mut self.of2,
        ] {
            *sum *= KEEP;
        }
    }

    fn add(&mut self, of: f64, by: f64) {
        self.by += by;
        self.of += of;
        self.by2 += by * by;
        self.by_of += by * of;
        self.of2 += of * of;
    }

    /// The mean of `of` / `by`, weighted by `by`, and the variance of that mean as a share of its square.
    fn mean(&self) -> Option<(f64, f64)> {
        if self.by <= 0.0 || self.of <= 0.0 {
            return None;
        }
        let mean = self.of / self.by;
        let spread = self.of2 - 2.0 * mean * self.by_of + mean * mean * self.by2;
        Some((mean, spread.max(0.0) / (self.of * self.of)))
    }

    /// `self` over `rest`, less one, and its error.
    fn over(&self, rest: &Self) -> Option<(f64, f64)> {
        let ((work, work_var), (rest, rest_var)) = self.mean().zip(rest.mean())?;
        let ratio = work / rest;
        Some((ratio - 1.0, ratio * (work_var + rest_var).sqrt()))
    }
}

/// One group of ticks.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Group {
    ticks: f64,
    stretch: Sums,
    turn: Sums,
}

impl Group {
    fn fade(&mut self) {
        self.ticks *= KEEP;
        self.stretch.fade();
        self.turn.fade();
    }

    fn add(&mut self, run: f64, wait: f64, turns: f64) {
        self.ticks += 1.0;
        self.stretch.add(run + wait, run);
        self.turn.add(run + wait, turns);
    }

    fn is_known(&self) -> bool {
        self.ticks >= LEAST_TICKS && self.stretch.by > 0.0
    }
}

/// What is known of the harm, as shares: 0.03 is 3 % worse.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Estimate {
    /// The harm and its standard error; none while too little was seen.
    pub known: Option<(f64, f64)>,
    /// Working ticks seen, faded.
    pub working: f64,
    /// Resting ticks seen, faded.
    pub resting: f64,
}

/// The estimator.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Harm {
    working: Group,
    resting: Group,
}

impl Harm {
    /// Takes in a tick in which we worked, or rested.
    #[expect(clippy::cast_precision_loss, reason = "turns of one tick, far below 2^52")]
    pub fn add(&mut self, strain: Strain, worked: bool) {
        self.working.fade();
        self.resting.fade();
        let run = strain.run.as_secs_f64() * 1e9;
        let wait = strain.wait.as_secs_f64() * 1e9;
        if run < LEAST_RUN {
            return;
        }
        let group = if worked {
            &mut self.working
        } else {
            &mut self.resting
        };
        group.add(run, wait, strain.slices as f64);
    }

    /// Another duty: what was seen while we worked at the old one says nothing of it. The rests stay.
    pub(super) fn forget_working(&mut self) {
        self.working = Group::default();
    }

    /// Whether enough was seen.
    #[must_use]
    pub(super) fn is_known(&self) -> bool {
        self.working.is_known() && self.resting.is_known()
    }

    /// What it comes to.
    #[must_use]
    pub fn estimate(&self) -> Estimate {
        let (work, rest) = (&self.working, &self.resting);
        let both = [work.stretch.over(&rest.stretch), work.turn.over(&rest.turn)];
        let surely = |(harm, error): &(f64, f64)| harm - SURE * error;
        let known = self.is_known().then_some(both).and_then(|both| {
            both.into_iter()
                .flatten()
                .max_by(|one, other| surely(one).total_cmp(&surely(other)))
        });
        Estimate {
            known,
            working: self.working.ticks,
            resting: self.resting.ticks,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn strain(run_ms: u64, wait_ms: u64) -> Strain {
        turns(run_ms, wait_ms, 1)
    }

    fn turns(run_ms: u64, wait_ms: u64, slices: u64) -> Strain {
        Strain {
            run: Duration::from_millis(run_ms),
            wait: Duration::from_millis(wait_ms),
            slices,
        }
    }

    #[test]
    fn a_third_more_waiting_is_known_with_its_error() {
        let mut harm = Harm::default();
        for tick in 0..50_u64 {
            harm.add(strain(60, 6 + tick % 3), true);
            harm.add(strain(60, tick % 3), false);
        }
        let (value, error) = harm.estimate().known.unwrap_or_default();
        assert!((value - 0.098).abs() < 0.01, "{value}");
        assert!(error > 0.0 && error < 0.01, "{error}");
    }

    /// Nobody waits, and the same statements take longer: the other hardware thread is ours.
    #[test]
    fn a_slower_pace_is_harm_although_nobody_waits() {
        let mut harm = Harm::default();
        for tick in 0..50_u64 {
            harm.add(turns(60 + tick % 3, 0, 500), true);
            harm.add(turns(50 + tick % 3, 0, 500), false);
        }
        let (value, error) = harm.estimate().known.unwrap_or_default();
        assert!((value - 0.196).abs() < 0.01 && error < 0.01, "{value} {error}");
        // More of the same statements is no harm.
        let mut more = Harm::default();
        for tick in 0..50_u64 {
            more.add(turns(60, 0, 600 + tick % 3), true);
            more.add(turns(50, 0, 500 + tick % 3), false);
        }
        assert!(more.estimate().known.is_some_and(|(value, _)| value.abs() < 0.01));
    }

    #[test]
    fn little_is_no_knowledge() {
        let mut harm = Harm::default();
        for _ in 0..50 {
            harm.add(strain(60, 6), true);
        }
        assert_eq!(harm.estimate().known, None);
        // Ticks without any business say nothing.
        for _ in 0..50 {
            harm.add(strain(0, 0), false);
        }
        assert_eq!(harm.estimate().known, None);
    }

    /// Trap: a baseline that is never measured again.
    #[test]
    fn the_baseline_follows_the_day() {
        let mut harm = Harm::default();
        let mut day = |wait: u64| {
            for _ in 0..2_000 {
                harm.add(strain(60, wait), true);
                harm.add(strain(60, wait), false);
            }
            harm.estimate().known.unwrap_or((1.0, 1.0)).0
        };
        assert!(day(1).abs() < 1e-6);
        assert!(day(40).abs() < 1e-3);
    }

    proptest! {
        #[test]
        fn always_finite(ticks in prop::collection::vec((0_u64..1_000, 0_u64..100_000, any::<bool>()), 0..300)) {
            let mut harm = Harm::default();
            for (run, wait, worked) in ticks {
                harm.add(strain(run, wait), worked);
            }
            if let Some((value, error)) = harm.estimate().known {
                prop_assert!(value.is_finite() && value >= -1.0 && error.is_finite() && error >= 0.0);
            }
        }
    }
}
