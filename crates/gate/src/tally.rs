//! What is counted about the gate itself; it keeps moving while shut.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use runtime::metrics::MetricsText;
use schemas::load::{GateState, LoadVerdict, SignalLimit};
use serde::Serialize;

use crate::clock::Moment;
use crate::law::harm::Estimate;
use crate::orders::Orders;
use crate::regime::Regime;
use crate::verdict::ReasonKind;

/// How long it took from the sample that shut the gate until all work had stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Yields {
    /// Shuts that found work under way and saw it end.
    pub count: u64,
    /// The longest, in microseconds.
    pub max_us: u64,
    /// The last, in microseconds.
    pub last_us: u64,
    /// The sum, in microseconds.
    pub total_us: u64,
    /// How many took up to each of [`YIELD_BOUNDS_MS`], each count within the next.
    pub within: [u64; YIELD_BOUNDS_MS.len()],
}

/// Bounds of the histogram of times to yield, in milliseconds.
pub const YIELD_BOUNDS_MS: [u64; 10] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000];

impl Yields {
    pub(crate) fn add(&mut self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.count += 1;
        self.max_us = self.max_us.max(us);
        self.last_us = us;
        self.total_us = self.total_us.saturating_add(us);
        for (count, bound) in self.within.iter_mut().zip(YIELD_BOUNDS_MS) {
            *count += u64::from(us <= bound * 1_000);
        }
    }
}

/// The gate at a glance: for a status page, metrics and reports.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GateStatus {
    /// Open, limited or shut.
    pub state: GateState,
    /// The kind of the reason.
    pub reason_kind: ReasonKind,
    /// Why, in a sentence.
    pub reason: String,
    /// Since when the state holds.
    pub since: Timestamp,
    /// When the last verdict was given.
    pub at: Timestamp,
    /// Since when the gate has been shut without a break; none while it is open.
    pub not_idle_since: Option<Timestamp>,
    /// The last reading of each signal, in thousandths of its unit; none where it failed.
    pub readings_milli: BTreeMap<String, Option<i64>>,
    /// Samples taken.
    pub samples: u64,
    /// Times that it went from open to shut.
    pub shuts: u64,
    /// The same by the kind of reason that shut it.
    pub shuts_by_reason: BTreeMap<ReasonKind, u64>,
    /// Times that it went from shut to open.
    pub openings: u64,
    /// How long it was open in all, in milliseconds.
    pub open_ms: u64,
    /// How long it was shut in all, in milliseconds.
    pub shut_ms: u64,
    /// How long all signals were below their resume limits, in milliseconds.
    pub idle_ms: u64,
    /// Permits given out.
    pub permits: u64,
    /// Permits that are out now, revoked ones included.
    pub permits_out: usize,
    /// Time to yield.
    pub yields: Yields,
    /// The share of the time that may be worked, in thousandths.
    pub duty_milli: i64,
    /// Whether it rests now, to measure the business without us.
    pub rests: bool,
    /// The limits in force.
    pub limits: BTreeMap<String, SignalLimit>,
    /// Why signals could not be read.
    pub failures: BTreeMap<String, String>,
    /// When the next sample is due.
    pub next_sample_in_ms: u64,
    /// Whether the kernel puts our work behind the business's.
    pub regime: Regime,
    /// What our work costs the business.
    pub harm: HarmStatus,
    /// What operators ordered.
    pub orders: Orders,
    /// The latest changes of state or reason, oldest first.
    pub history: Vec<LoadVerdict>,
    /// The policy in force.
    pub policy: PolicyStatus,
    /// What somebody should look at.
    pub alarm: Option<String>,
}

/// What our work costs the business, in thousandths: 30 is 3 % worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct HarmStatus {
    /// What it may be.
    pub budget_milli: i64,
    /// What it is; none while too little was seen, or where it cannot be.
    pub estimate_milli: Option<i64>,
    /// The standard error of that.
    pub error_milli: Option<i64>,
}

impl HarmStatus {
    pub(crate) fn new(harm: Estimate, budget: f64) -> Self {
        Self {
            budget_milli: crate::sample::milli(budget),
            estimate_milli: harm.known.map(|(value, _)| crate::sample::milli(value)),
            error_milli: harm.known.map(|(_, error)| crate::sample::milli(error)),
        }
    }
}

/// The policy in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyStatus {
    /// When it was loaded.
    pub loaded_at: Timestamp,
    /// Why a later one was refused.
    pub refused: Option<String>,
}

impl GateStatus {
    /// Writes it as metrics. Reasons are labels by kind, so they are few.
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub fn metrics(&self, text: &mut MetricsText) {
        for (state, name) in [
            (GateState::Open, "open"),
            (GateState::Limited, "limited"),
            (GateState::Shut, "shut"),
        ] {
            let is = f64::from(u8::from(self.state == state));
            text.gauge(
                "slacktide_gate_state",
                "1 for the state that the gate is in.",
                &[("state", name)],
                is,
            );
        }
        let reason = [("reason", self.reason_kind.name())];
        text.gauge(
            "slacktide_gate_reason",
            "1 for the reason in force.",
            &reason,
            1.0,
        );
        for (signal, milli) in &self.readings_milli {
            let value = milli.map_or(f64::NAN, |milli| milli as f64 / 1_000.0);
            text.gauge(
                "slacktide_gate_reading",
                "Last reading of each signal.",
                &[("signal", signal)],
                value,
            );
        }
        let share = |milli: i64| milli as f64 / 1e3;
        let help = "Share of the time that may be worked.";
        text.gauge("slacktide_gate_duty", help, &[], share(self.duty_milli));
        let help = "How much worse off the business is while we work; NaN where it is not known.";
        let harm = self.harm.estimate_milli.map_or(f64::NAN, share);
        text.gauge("slacktide_gate_harm", help, &[], harm);
        let help = "1 while the kernel puts our work behind the business's.";
        let kernel = f64::from(u8::from(self.regime.is_kernel()));
        text.gauge("slacktide_gate_kernel", help, &[], kernel);
        for (kind, count) in &self.shuts_by_reason {
            let reason = [("reason", kind.name())];
            text.counter(
                "slacktide_gate_shuts_total",
                "Times shut, by reason.",
                &reason,
                *count as f64,
            );
        }
        let seconds = |ms: u64| ms as f64 / 1e3;
        text.counter(
            "slacktide_gate_open_seconds_total",
            "Time open.",
            &[],
            seconds(self.open_ms),
        );
        text.counter(
            "slacktide_gate_shut_seconds_total",
            "Time shut.",
            &[],
            seconds(self.shut_ms),
        );
        let help = "Time in which all signals were below their resume limits.";
        text.counter(
            "slacktide_gate_idle_seconds_total",
            help,
            &[],
            seconds(self.idle_ms),
        );
        let since = self.not_idle_since.map_or(0, Timestamp::as_second);
        let help = "Since when the gate has been shut, in Unix time; 0 while open.";
        text.gauge("slacktide_gate_not_idle_since_seconds", help, &[], since as f64);
        text.counter(
            "slacktide_gate_samples_total",
            "Samples taken.",
            &[],
            self.samples as f64,
        );
        text.counter(
            "slacktide_gate_permits_total",
            "Permits given.",
            &[],
            self.permits as f64,
        );
        text.gauge(
            "slacktide_gate_permits_out",
            "Permits that are out.",
            &[],
            self.permits_out as f64,
        );
        let micros = |us: u64| us as f64 / 1e6;
        let yields = &self.yields;
        let help = "From the sample that shut the gate to the end of the work.";
        let bounds: Vec<f64> = YIELD_BOUNDS_MS.iter().map(|ms| *ms as f64 / 1e3).collect();
        text.histogram(
            "slacktide_gate_yield_seconds",
            help,
            &bounds,
            &yields.within,
            micros(yields.total_us),
            yields.count,
        );
        let help = "The longest time to yield.";
        text.gauge(
            "slacktide_gate_yield_max_seconds",
            help,
            &[],
            micros(yields.max_us),
        );
    }
}

/// Counts.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) samples: u64,
    pub(crate) permits: u64,
    pub(crate) yields: Yields,
    shuts: BTreeMap<ReasonKind, u64>,
    openings: u64,
    open: Duration,
    shut: Duration,
    turned: Moment,
    idle: Duration,
    looked: Moment,
}

impl Tally {
    pub(crate) fn new(now: Moment) -> Self {
        Self {
            samples: 0,
            permits: 0,
            yields: Yields::default(),
            shuts: BTreeMap::new(),
            openings: 0,
            open: Duration::ZERO,
            shut: Duration::ZERO,
            turned: now,
            idle: Duration::ZERO,
            looked: now,
        }
    }

    /// A sample was taken, and all signals were below their resume limits or not.
    pub(crate) fn looked(&mut self, is_idle: bool, now: Moment) {
        self.samples += 1;
        if is_idle {
            self.idle += now.mono.saturating_sub(self.looked.mono);
        }
        self.looked = now;
    }

    /// The gate went from open to shut.
    pub(crate) fn shut(&mut self, kind: ReasonKind, now: Moment) {
        *self.shuts.entry(kind).or_default() += 1;
        self.open += now.mono.saturating_sub(self.turned.mono);
        self.turned = now;
    }

    /// The gate went from shut to open.
    pub(crate) fn opened(&mut self, now: Moment) {
        self.openings += 1;
        self.shut += now.mono.saturating_sub(self.turned.mono);
        self.turned = now;
    }

    /// Fills the counts of a status.
    pub(crate) fn fill(&self, status: &mut GateStatus, is_open: bool, now: Moment) {
        let running = now.mono.saturating_sub(self.turned.mono);
        let (open, shut) = if is_open {
            (running, Duration::ZERO)
        } else {
            (Duration::ZERO, running)
        };
        status.samples = self.samples;
        status.permits = self.permits;
        status.yields = self.yields;
        status.shuts = self.shuts.values().sum();
        status.shuts_by_reason.clone_from(&self.shuts);
        status.openings = self.openings;
        status.open_ms = millis(self.open + open);
        status.shut_ms = millis(self.shut + shut);
        status.idle_ms = millis(self.idle);
        status.not_idle_since = (!is_open).then_some(self.turned.wall);
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::permit::Gate;

    #[test]
    fn metrics_tell_state_and_shuts_by_reason() {
        let (gate, script) = Gate::scripted();
        script.open();
        script.shut("load");
        let mut text = MetricsText::new();
        gate.status().metrics(&mut text);
        let text = text.finish();
        assert!(
            text.contains("slacktide_gate_state{state=\"shut\"} 1\n"),
            "{text}"
        );
        assert!(
            text.contains("slacktide_gate_shuts_total{reason=\"scripted\"} 1\n"),
            "{text}"
        );
    }
}
