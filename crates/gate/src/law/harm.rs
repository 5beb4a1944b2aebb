//! PURE: estimates the harm that our work does to the business.
//!
//! The business's processes run, or wait for a processor while they are runnable. While the gate is open, some ticks
//! are control ticks, in which no work is done. Two ratios are compared between working ticks and control ticks:
//!
//! - the **slowdown**, (run + wait) / run: how much longer their work takes because others use the processors;
//! - the **dispatch latency**, (run + wait) / number of time slices: how long one statement takes from being woken to
//!   waiting for the next. It also reflects a slower pace on a shared processor (other hardware thread, caches, memory).
//!   For processes with long time slices it is imprecise and has a large error.
//!
//! The harm is the ratio in working ticks divided by the ratio in control ticks, minus one. Of the two estimates, the
//! one with the larger lower confidence bound counts. If waiting and work are approximately exponentially distributed,
//! the same ratio applies to the higher percentiles. The baseline is measured continuously, because an initial one
//! would drift.
//!
//! Observations are weighted with exponential decay, so that the estimate follows the time of day. The error is the
//! standard error of two weighted means.

use crate::foreground::SchedulerContention;

/// Ticks in which the business ran less than this are ignored, in nanoseconds.
const MIN_RUN_NS: f64 = 200_000.0;

/// Minimum ticks of a group for an estimate.
const MIN_TICKS: f64 = 5.0;

/// Decay factor per tick: the weight halves in 200 ticks.
const DECAY: f64 = 0.996_54;

/// Standard errors subtracted from an estimate for its lower confidence bound.
const SIGNIFICANT_ERRORS: f64 = 1.5;

/// Weighted sums for the mean ratio of `value` to `weight`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct RatioSums {
    weight: f64,
    value: f64,
    weight_squared: f64,
    product: f64,
    value_squared: f64,
}

impl RatioSums {
    fn decay(&mut self) {
        for sum in [
            &mut self.weight,
            &mut self.value,
            &mut self.weight_squared,
            &mut self.product,
            &mut self.value_squared,
        ] {
            *sum *= DECAY;
        }
    }

    fn add(&mut self, value: f64, weight: f64) {
        self.weight += weight;
        self.value += value;
        self.weight_squared += weight * weight;
        self.product += weight * value;
        self.value_squared += value * value;
    }

    /// Returns the mean of `value` / `weight`, weighted by `weight`, and its relative variance.
    fn mean(&self) -> Option<(f64, f64)> {
        if self.weight <= 0.0 || self.value <= 0.0 {
            return None;
        }
        let mean = self.value / self.weight;
        let spread = self.value_squared - 2.0 * mean * self.product + mean * mean * self.weight_squared;
        Some((mean, spread.max(0.0) / (self.value * self.value)))
    }

    /// Returns the mean of `self` over that of `rest`, minus one, and its error.
    fn over(&self, rest: &Self) -> Option<(f64, f64)> {
        let ((work, work_var), (rest, rest_var)) = self.mean().zip(rest.mean())?;
        let ratio = work / rest;
        Some((ratio - 1.0, ratio * (work_var + rest_var).sqrt()))
    }
}

/// The sums of the working ticks or of the control ticks.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct TickGroup {
    ticks: f64,
    slowdown: RatioSums,
    dispatch_latency: RatioSums,
}

impl TickGroup {
    fn decay(&mut self) {
        self.ticks *= DECAY;
        self.slowdown.decay();
        self.dispatch_latency.decay();
    }

    fn add(&mut self, run: f64, wait: f64, slices: f64) {
        self.ticks += 1.0;
        self.slowdown.add(run + wait, run);
        self.dispatch_latency.add(run + wait, slices);
    }

    fn is_known(&self) -> bool {
        self.ticks >= MIN_TICKS && self.slowdown.weight > 0.0
    }
}

/// The estimated harm as a share: 0.03 is 3 % worse.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Estimate {
    /// The harm and its standard error; `None` while there are too few observations.
    pub known: Option<(f64, f64)>,
    /// Weight of the working ticks.
    pub working: f64,
    /// Weight of the control ticks.
    pub control: f64,
}

/// The harm estimator.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Harm {
    working: TickGroup,
    control: TickGroup,
}

impl Harm {
    /// Adds a tick in which we worked, or a control tick.
    #[expect(clippy::cast_precision_loss, reason = "slices of one tick, far below 2^52")]
    pub fn add(&mut self, contention: SchedulerContention, worked: bool) {
        self.working.decay();
        self.control.decay();
        let run = contention.run.as_secs_f64() * 1e9;
        let wait = contention.wait.as_secs_f64() * 1e9;
        if run < MIN_RUN_NS {
            return;
        }
        let group = if worked {
            &mut self.working
        } else {
            &mut self.control
        };
        group.add(run, wait, contention.slices as f64);
    }

    /// Discards the working ticks after a change of the duty, as they do not apply to it. Keeps the control ticks.
    pub(super) fn forget_working(&mut self) {
        self.working = TickGroup::default();
    }

    /// Whether both groups have enough ticks.
    #[must_use]
    pub(super) fn is_known(&self) -> bool {
        self.working.is_known() && self.control.is_known()
    }

    /// Returns the estimate.
    #[must_use]
    pub fn estimate(&self) -> Estimate {
        let (work, rest) = (&self.working, &self.control);
        let both = [
            work.slowdown.over(&rest.slowdown),
            work.dispatch_latency.over(&rest.dispatch_latency),
        ];
        let lower_bound = |(harm, error): &(f64, f64)| harm - SIGNIFICANT_ERRORS * error;
        let known = self.is_known().then_some(both).and_then(|both| {
            both.into_iter()
                .flatten()
                .max_by(|one, other| lower_bound(one).total_cmp(&lower_bound(other)))
        });
        Estimate {
            known,
            working: self.working.ticks,
            control: self.control.ticks,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn contention(run_ms: u64, wait_ms: u64) -> SchedulerContention {
        contention_with_slices(run_ms, wait_ms, 1)
    }

    fn contention_with_slices(run_ms: u64, wait_ms: u64, slices: u64) -> SchedulerContention {
        SchedulerContention {
            run: Duration::from_millis(run_ms),
            wait: Duration::from_millis(wait_ms),
            slices,
        }
    }

    #[test]
    fn harm_of_longer_waiting_is_estimated_with_its_error() {
        let mut harm = Harm::default();
        for tick in 0..50_u64 {
            harm.add(contention(60, 6 + tick % 3), true);
            harm.add(contention(60, tick % 3), false);
        }
        let (value, error) = harm.estimate().known.unwrap_or_default();
        assert!((value - 0.098).abs() < 0.01, "{value}");
        assert!(error > 0.0 && error < 0.01, "{error}");
    }

    /// No process waits, but the same statements take longer: we use the other hardware thread.
    #[test]
    fn harm_of_a_slower_pace_is_estimated_without_waiting() {
        let mut harm = Harm::default();
        for tick in 0..50_u64 {
            harm.add(contention_with_slices(60 + tick % 3, 0, 500), true);
            harm.add(contention_with_slices(50 + tick % 3, 0, 500), false);
        }
        let (value, error) = harm.estimate().known.unwrap_or_default();
        assert!((value - 0.196).abs() < 0.01 && error < 0.01, "{value} {error}");
        // A higher number of equal statements is not harm.
        let mut more = Harm::default();
        for tick in 0..50_u64 {
            more.add(contention_with_slices(60, 0, 600 + tick % 3), true);
            more.add(contention_with_slices(50, 0, 500 + tick % 3), false);
        }
        assert!(more.estimate().known.is_some_and(|(value, _)| value.abs() < 0.01));
    }

    #[test]
    fn harm_is_unknown_after_too_few_ticks() {
        let mut harm = Harm::default();
        for _ in 0..50 {
            harm.add(contention(60, 6), true);
        }
        assert_eq!(harm.estimate().known, None);
        // Ticks without business activity are ignored.
        for _ in 0..50 {
            harm.add(contention(0, 0), false);
        }
        assert_eq!(harm.estimate().known, None);
    }

    /// Trap: a baseline that is never measured again.
    #[test]
    fn harm_baseline_follows_the_time_of_day() {
        let mut harm = Harm::default();
        let mut day = |wait: u64| {
            for _ in 0..2_000 {
                harm.add(contention(60, wait), true);
                harm.add(contention(60, wait), false);
            }
            harm.estimate().known.unwrap_or((1.0, 1.0)).0
        };
        assert!(day(1).abs() < 1e-6);
        assert!(day(40).abs() < 1e-3);
    }

    proptest! {
        #[test]
        fn harm_estimate_is_always_finite(ticks in prop::collection::vec((0_u64..1_000, 0_u64..100_000, any::<bool>()), 0..300)) {
            let mut harm = Harm::default();
            for (run, wait, worked) in ticks {
                harm.add(contention(run, wait), worked);
            }
            if let Some((value, error)) = harm.estimate().known {
                prop_assert!(value.is_finite() && value >= -1.0 && error.is_finite() && error >= 0.0);
            }
        }
    }
}
