//! The gate's counters and status; they advance while the gate is closed too.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use runtime::metrics::MetricsText;
use schemas::load::{GateState, LoadVerdict, SignalLimit};
use serde::Serialize;

use crate::clock::Moment;
use crate::law::harm::Estimate;
use crate::orders::Orders;
use crate::priority_mode::PriorityMode;
use crate::verdict::ReasonKind;

/// Time to yield: from the sample that closed the gate until all work had stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Yields {
    /// Closings that interrupted work.
    pub count: u64,
    /// The longest, in microseconds.
    pub max_us: u64,
    /// The last, in microseconds.
    pub last_us: u64,
    /// The sum, in microseconds.
    pub total_us: u64,
    /// How many took up to each of [`YIELD_BUCKETS_MS`]; cumulative.
    pub buckets: [u64; YIELD_BUCKETS_MS.len()],
}

/// Upper bounds of the histogram of times to yield, in milliseconds.
pub const YIELD_BUCKETS_MS: [u64; 10] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000];

impl Yields {
    pub(crate) fn add(&mut self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.count += 1;
        self.max_us = self.max_us.max(us);
        self.last_us = us;
        self.total_us = self.total_us.saturating_add(us);
        for (count, bound) in self.buckets.iter_mut().zip(YIELD_BUCKETS_MS) {
            *count += u64::from(us <= bound * 1_000);
        }
    }
}

/// The gate's status, for a status page, metrics and reports.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GateStatus {
    /// Open, limited or closed.
    pub state: GateState,
    /// The kind of the reason.
    pub reason_kind: ReasonKind,
    /// The reason as a sentence.
    pub reason: String,
    /// Since when the state holds.
    pub since: Timestamp,
    /// When the last verdict was given.
    pub at: Timestamp,
    /// Since when the gate has been closed without interruption; `None` while it is open.
    pub not_idle_since: Option<Timestamp>,
    /// The last reading of each signal, in thousandths of its unit; `None` where it failed.
    pub readings_milli: BTreeMap<String, Option<i64>>,
    /// Samples taken.
    pub samples: u64,
    /// Transitions from open to closed.
    pub closings: u64,
    /// Transitions from open to closed, by reason.
    pub closings_by_reason: BTreeMap<ReasonKind, u64>,
    /// Transitions from closed to open.
    pub openings: u64,
    /// Total time open, in milliseconds.
    pub open_ms: u64,
    /// Total time closed, in milliseconds.
    pub closed_ms: u64,
    /// Total time with all signals below their resume limits, in milliseconds.
    pub idle_ms: u64,
    /// Permits granted.
    pub permits: u64,
    /// Permits outstanding, revoked ones included.
    pub permits_held: usize,
    /// Time to yield.
    pub yields: Yields,
    /// The duty, in thousandths.
    pub duty_milli: i64,
    /// Whether this is a control tick, which measures the business without our work.
    pub is_control_tick: bool,
    /// The limits in force.
    pub limits: BTreeMap<String, SignalLimit>,
    /// The causes of failed readings, by signal.
    pub failures: BTreeMap<String, String>,
    /// Milliseconds until the next sample.
    pub next_sample_in_ms: u64,
    /// The priority mode in force.
    pub priority_mode: PriorityMode,
    /// The estimated harm to the business.
    pub harm: HarmStatus,
    /// Operators' orders.
    pub orders: Orders,
    /// The latest changes of state or reason, oldest first.
    pub history: Vec<LoadVerdict>,
    /// The policy in force.
    pub policy: PolicyStatus,
    /// An alarm for the operator.
    pub alarm: Option<String>,
}

/// The estimated harm to the business, in thousandths: 30 is 3 % worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct HarmStatus {
    /// The budget.
    pub budget_milli: i64,
    /// The estimate; `None` while there are too few observations, or where it cannot be measured.
    pub estimate_milli: Option<i64>,
    /// The standard error of the estimate.
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
    /// Why a later policy was refused.
    pub refused: Option<String>,
}

impl GateStatus {
    /// Appends the status as metrics. Reasons are labelled by kind, so that the label set stays small.
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub fn metrics(&self, text: &mut MetricsText) {
        for (state, name) in [
            (GateState::Open, "open"),
            (GateState::Limited, "limited"),
            (GateState::Closed, "closed"),
        ] {
            let value = f64::from(u8::from(self.state == state));
            text.gauge(
                "slacktide_gate_state",
                "1 for the current state of the gate.",
                &[("state", name)],
                value,
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
        let help = "Share of the time that may be worked (duty).";
        text.gauge("slacktide_gate_duty", help, &[], share(self.duty_milli));
        let help = "How much our work slows the business, as a share; NaN if not known.";
        let harm = self.harm.estimate_milli.map_or(f64::NAN, share);
        text.gauge("slacktide_gate_harm", help, &[], harm);
        let help = "1 while our work is in the kernel's idle class.";
        let kernel = f64::from(u8::from(self.priority_mode.is_kernel_idle()));
        text.gauge("slacktide_gate_kernel_idle", help, &[], kernel);
        for (kind, count) in &self.closings_by_reason {
            let reason = [("reason", kind.name())];
            text.counter(
                "slacktide_gate_closings_total",
                "Transitions to closed, by reason.",
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
            "slacktide_gate_closed_seconds_total",
            "Time closed.",
            &[],
            seconds(self.closed_ms),
        );
        let help = "Time in which all signals were below their resume limits.";
        text.counter(
            "slacktide_gate_idle_seconds_total",
            help,
            &[],
            seconds(self.idle_ms),
        );
        let since = self.not_idle_since.map_or(0, Timestamp::as_second);
        let help = "Start of the current closed period, in Unix time; 0 while open.";
        text.gauge("slacktide_gate_not_idle_since_seconds", help, &[], since as f64);
        text.counter(
            "slacktide_gate_samples_total",
            "Samples taken.",
            &[],
            self.samples as f64,
        );
        text.counter(
            "slacktide_gate_permits_total",
            "Permits granted.",
            &[],
            self.permits as f64,
        );
        text.gauge(
            "slacktide_gate_permits_held",
            "Permits held, revoked ones included.",
            &[],
            self.permits_held as f64,
        );
        let micros = |us: u64| us as f64 / 1e6;
        let yields = &self.yields;
        let help = "From the sample that closed the gate to the end of the work.";
        let bounds: Vec<f64> = YIELD_BUCKETS_MS.iter().map(|ms| *ms as f64 / 1e3).collect();
        text.histogram(
            "slacktide_gate_yield_seconds",
            help,
            &bounds,
            &yields.buckets,
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

/// The counters behind a status.
#[derive(Debug)]
pub(crate) struct Stats {
    pub(crate) samples: u64,
    pub(crate) permits: u64,
    pub(crate) yields: Yields,
    closings: BTreeMap<ReasonKind, u64>,
    openings: u64,
    open: Duration,
    closed: Duration,
    state_changed: Moment,
    idle: Duration,
    last_sample: Moment,
}

impl Stats {
    pub(crate) fn new(now: Moment) -> Self {
        Self {
            samples: 0,
            permits: 0,
            yields: Yields::default(),
            closings: BTreeMap::new(),
            openings: 0,
            open: Duration::ZERO,
            closed: Duration::ZERO,
            state_changed: now,
            idle: Duration::ZERO,
            last_sample: now,
        }
    }

    /// Counts a sample, and the time since the last one as idle if all signals were below their resume limits.
    pub(crate) fn record_sample(&mut self, is_idle: bool, now: Moment) {
        self.samples += 1;
        if is_idle {
            self.idle += now.mono.saturating_sub(self.last_sample.mono);
        }
        self.last_sample = now;
    }

    /// Counts a transition from open to closed.
    pub(crate) fn closed(&mut self, kind: ReasonKind, now: Moment) {
        *self.closings.entry(kind).or_default() += 1;
        self.open += now.mono.saturating_sub(self.state_changed.mono);
        self.state_changed = now;
    }

    /// Counts a transition from closed to open.
    pub(crate) fn opened(&mut self, now: Moment) {
        self.openings += 1;
        self.closed += now.mono.saturating_sub(self.state_changed.mono);
        self.state_changed = now;
    }

    /// Writes the counters into a status.
    pub(crate) fn fill(&self, status: &mut GateStatus, is_open: bool, now: Moment) {
        let running = now.mono.saturating_sub(self.state_changed.mono);
        let (open, closed) = if is_open {
            (running, Duration::ZERO)
        } else {
            (Duration::ZERO, running)
        };
        status.samples = self.samples;
        status.permits = self.permits;
        status.yields = self.yields;
        status.closings = self.closings.values().sum();
        status.closings_by_reason.clone_from(&self.closings);
        status.openings = self.openings;
        status.open_ms = millis(self.open + open);
        status.closed_ms = millis(self.closed + closed);
        status.idle_ms = millis(self.idle);
        status.not_idle_since = self.not_idle_since(is_open);
    }

    /// Returns since when the gate has been closed, by the wall clock; `None` while it is open.
    pub(crate) fn not_idle_since(&self, is_open: bool) -> Option<Timestamp> {
        (!is_open).then_some(self.state_changed.wall)
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
    fn metrics_show_state_and_closings_by_reason() {
        let (gate, script) = Gate::scripted();
        script.open();
        script.close("load");
        let mut text = MetricsText::new();
        gate.status().metrics(&mut text);
        let text = text.finish();
        assert!(
            text.contains("slacktide_gate_state{state=\"closed\"} 1\n"),
            "{text}"
        );
        assert!(
            text.contains("slacktide_gate_closings_total{reason=\"scripted\"} 1\n"),
            "{text}"
        );
    }
}
