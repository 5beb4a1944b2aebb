//! PURE: decides when the gate is open.
//!
//! It closes at once if any signal is at or over its stop limit, missing, failed, not a number, unknown or stale, or if
//! the clock is implausible. It opens after a number of consecutive samples below the lower resume limits, and if the
//! last bad sample is longer ago than the hold. Counting samples alone flaps within milliseconds; one threshold flaps
//! permanently.
//!
//! Nothing here reads a clock or does I/O, so recorded samples can be replayed against other limits.

use std::time::Duration;

use schemas::load::GateState;

use crate::clock::Moment;
use crate::limits::Limits;
use crate::sample::{Reading, Sample, SignalName};
use crate::verdict::{Measure, Reason, Verdict};

/// The state of the policy between samples.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyState {
    state: GateState,
    since: Moment,
    /// The moment of the previous sample.
    last: Option<Moment>,
    /// Consecutive good samples while closed.
    good: u32,
    /// Monotonic time of the last bad sample.
    bad_at: Duration,
}

impl PolicyState {
    /// Returns the initial state: closed, with the whole hold ahead.
    #[must_use]
    pub fn new(now: Moment) -> Self {
        Self {
            state: GateState::Closed,
            since: now,
            last: None,
            good: 0,
            bad_at: now.mono,
        }
    }

    /// Returns the current state.
    #[must_use]
    pub fn state(&self) -> GateState {
        self.state
    }

    /// Returns since when the state has held.
    #[must_use]
    pub fn since(&self) -> Moment {
        self.since
    }

    /// Restarts the hold after an event outside the samples closed the gate.
    #[must_use]
    pub fn interrupted(mut self, now: Moment) -> Self {
        self.enter(GateState::Closed, now);
        self.record_bad_sample(now);
        self
    }

    fn enter(&mut self, state: GateState, now: Moment) {
        if self.state != state {
            self.state = state;
            self.since = now;
        }
    }

    fn record_bad_sample(&mut self, now: Moment) {
        self.good = 0;
        self.bad_at = self.bad_at.max(now.mono);
    }
}

/// The result of comparing a sample with its limits.
enum Finding {
    /// Closed at once.
    Bad(Reason),
    /// Good enough to stay open, not to open.
    Between(Reason),
    /// Below all resume limits.
    Good,
}

/// A sample compared with its limits.
pub(crate) struct Evaluation {
    finding: Finding,
    /// The first signal at or over its critical level, independent of the others.
    pub(crate) critical: Option<Measure>,
    /// Whether at least one signal shows that there is no business activity, and none shows the opposite.
    pub(crate) is_quiet: bool,
}

/// Computes the verdict on a sample at a moment.
#[must_use]
pub fn step(state: PolicyState, sample: &Sample, limits: &Limits, now: Moment) -> (PolicyState, Verdict) {
    let mut state = state;
    let evaluation = evaluate(&state, sample, limits, now);
    let verdict = apply(&mut state, evaluation, sample, limits, now);
    (state, verdict)
}

pub(crate) fn apply(
    state: &mut PolicyState,
    evaluation: Evaluation,
    sample: &Sample,
    limits: &Limits,
    now: Moment,
) -> Verdict {
    state.last = Some(sample.at);
    let reason = match evaluation.finding {
        Finding::Bad(reason) => {
            state.enter(GateState::Closed, now);
            state.record_bad_sample(now);
            reason
        }
        Finding::Between(_) | Finding::Good if state.state == GateState::Open => Reason::Idle,
        Finding::Between(reason) => {
            // Neither good nor bad: a noisy signal below its stop limit must not keep the gate closed permanently, so the
            // hold continues.
            state.good = 0;
            reason
        }
        Finding::Good => {
            state.good = state.good.saturating_add(1);
            let left = limits.hold.saturating_sub(now.mono.saturating_sub(state.bad_at));
            let samples_left = limits.good_samples.saturating_sub(state.good);
            if left.is_zero() && samples_left == 0 {
                state.enter(GateState::Open, now);
                Reason::Idle
            } else {
                Reason::Holding { left, samples_left }
            }
        }
    };
    let expires = Some(sample.at.mono.saturating_add(limits.stale_after));
    let mut verdict = if state.state == GateState::Open {
        Verdict::open(reason, now, expires)
    } else {
        Verdict::closed(reason, now, expires)
    };
    verdict.since = state.since;
    verdict
}

/// Compares a sample with the limits. Both maps are sorted by name, so one pass finds every signal that is missing,
/// unknown or over its limit.
pub(crate) fn evaluate(state: &PolicyState, sample: &Sample, limits: &Limits, now: Moment) -> Evaluation {
    let mut bad = reject_untrusted(state, sample, limits, now);
    let (mut between, mut critical, mut is_quiet_reported, mut is_business_reported) =
        (None, None, false, false);
    let mut readings = sample.readings.iter().peekable();
    for (name, limit) in &limits.signals {
        while let Some((unknown, _)) = readings.next_if(|(reading, _)| is_before(reading, name)) {
            bad.get_or_insert_with(|| Reason::Unknown(unknown.clone()));
        }
        let reading = readings.next_if(|(reading, _)| *reading == name);
        let value = match reading {
            None => Err(Reason::Missing(name.clone())),
            Some((_, Reading::Failed(why))) => Err(Reason::Failed(name.clone(), why.clone())),
            Some((_, Reading::Value(value))) if !value.is_finite() => Err(Reason::NotANumber(name.clone())),
            Some((_, Reading::Value(value))) => Ok(*value),
        };
        let value = match value {
            Ok(value) => value,
            Err(reason) => {
                bad.get_or_insert(reason);
                is_business_reported |= limit.quiet.is_some();
                continue;
            }
        };
        let held_to = |limit_value| Measure {
            signal: name.clone(),
            value,
            limit: limit_value,
            unit: limit.unit,
        };
        match limit.critical {
            Some(level) if critical.is_none() && value >= level => critical = Some(held_to(level)),
            _ => {}
        }
        match limit.quiet {
            Some(quiet) if is_below(value, quiet) => is_quiet_reported = true,
            Some(_) => is_business_reported = true,
            None => {}
        }
        if !is_below(value, limit.stop) {
            bad.get_or_insert_with(|| Reason::OverLimit(held_to(limit.stop)));
        } else if between.is_none() && !is_below(value, limit.resume) {
            between = Some(Reason::NotYetIdle(held_to(limit.resume)));
        }
    }
    if let Some((unknown, _)) = readings.next() {
        bad.get_or_insert_with(|| Reason::Unknown(unknown.clone()));
    }
    Evaluation {
        finding: bad.map_or_else(|| between.map_or(Finding::Good, Finding::Between), Finding::Bad),
        critical,
        is_quiet: is_quiet_reported && !is_business_reported,
    }
}

fn is_before(one: &SignalName, other: &SignalName) -> bool {
    !std::sync::Arc::ptr_eq(one, other) && one < other
}

/// A value is not below a limit that is NaN, so such a limit closes the gate.
fn is_below(value: f64, limit: f64) -> bool {
    value < limit
}

/// Returns why the sample is not plausible, if so.
fn reject_untrusted(state: &PolicyState, sample: &Sample, limits: &Limits, now: Moment) -> Option<Reason> {
    if limits.signals.is_empty() {
        return Some(Reason::NoSignal);
    }
    if sample.at.mono > now.mono || now.mono < state.bad_at {
        return Some(Reason::ClockBack);
    }
    let age = now.mono.saturating_sub(sample.at.mono);
    if age > limits.stale_after {
        return Some(Reason::Stale(age));
    }
    if let Some(last) = state.last {
        if sample.at.mono < last.mono {
            return Some(Reason::ClockBack);
        }
        let silence = sample.at.mono.saturating_sub(last.mono);
        let by_ms = drift_ms(last, sample.at);
        if by_ms.unsigned_abs() > millis(limits.clock_slack) {
            return Some(Reason::ClockJump(by_ms));
        }
        if silence > limits.stale_after {
            return Some(Reason::Stale(silence));
        }
    }
    None
}

/// Returns how far the wall clock moved against the monotonic one, in milliseconds.
fn drift_ms(from: Moment, to: Moment) -> i64 {
    let wall = to
        .wall
        .as_millisecond()
        .saturating_sub(from.wall.as_millisecond());
    let mono = i64::try_from(millis(to.mono.saturating_sub(from.mono))).unwrap_or(i64::MAX);
    wall.saturating_sub(mono)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
