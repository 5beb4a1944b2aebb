//! PURE: what our work costs the business.
//!
//! The business's processes run, and wait for a processor while they could run. From the two
//! comes their stretch, (run + wait) / run: how much longer their work takes than it would alone.
//! The gate rests now and then while it is open; the stretch of those ticks is the control group,
//! and the harm is the stretch while we work over the stretch while we rest, less one. Where
//! waiting and work are about exponentially distributed, the same ratio holds for the higher
//! percentiles. The baseline is measured anew all the time: one from the start drifts away.
//!
//! Weighted by run time and forgotten by halves, so that the estimate follows the day. The error
//! is the standard error of two weighted means.

use crate::foreground::Strain;

/// A tick in which the business ran less than this says nothing, in nanoseconds.
const LEAST_RUN: f64 = 200_000.0;

/// Ticks of a group before it says anything.
const LEAST_TICKS: f64 = 5.0;

/// What one tick keeps of the weight of what came before it: half is forgotten in 200 ticks.
const KEEP: f64 = 0.996_54;

/// Weighted sums of one group.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Group {
    ticks: f64,
    run: f64,
    wait: f64,
    run2: f64,
    run_wait: f64,
    wait2: f64,
}

impl Group {
    fn fade(&mut self) {
        for sum in [
            &mut self.ticks,
            &mut self.run,
            &mut self.wait,
            &mut self.run2,
            &mut self.run_wait,
            &mut self.wait2,
        ] {
            *sum *= KEEP;
        }
    }

    fn add(&mut self, run: f64, wait: f64) {
        self.ticks += 1.0;
        self.run += run;
        self.wait += wait;
        self.run2 += run * run;
        self.run_wait += run * wait;
        self.wait2 += wait * wait;
    }

    /// Mean of wait / run, weighted by run, and the variance of that mean.
    fn mean(&self) -> Option<(f64, f64)> {
        if self.ticks < LEAST_TICKS || self.run <= 0.0 {
            return None;
        }
        let mean = self.wait / self.run;
        let spread = self.wait2 - 2.0 * mean * self.run_wait + mean * mean * self.run2;
        Some((mean, spread.max(0.0) / (self.run * self.run)))
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
        group.add(run, wait);
    }

    /// Whether enough was seen.
    #[must_use]
    pub(super) fn is_known(&self) -> bool {
        let enough = |group: &Group| group.ticks >= LEAST_TICKS && group.run > 0.0;
        enough(&self.working) && enough(&self.resting)
    }

    /// What it comes to.
    #[must_use]
    pub fn estimate(&self) -> Estimate {
        let known =
            self.working
                .mean()
                .zip(self.resting.mean())
                .map(|((work, work_var), (rest, rest_var))| {
                    let harm = (1.0 + work) / (1.0 + rest) - 1.0;
                    (harm, (work_var + rest_var).sqrt() / (1.0 + rest))
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
        Strain {
            run: Duration::from_millis(run_ms),
            wait: Duration::from_millis(wait_ms),
            slices: 1,
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
