//! What is counted about the gate itself; it keeps moving while shut.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use runtime::metrics::MetricsText;
use schemas::load::GateState;
use serde::Serialize;

use crate::clock::Moment;
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
}

impl Yields {
    pub(crate) fn add(&mut self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.count += 1;
        self.max_us = self.max_us.max(us);
        self.last_us = us;
        self.total_us = self.total_us.saturating_add(us);
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
    /// Permits given out.
    pub permits: u64,
    /// Permits that are out now, revoked ones included.
    pub permits_out: usize,
    /// Time to yield.
    pub yields: Yields,
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
        let help = "Shuts that interrupted work.";
        text.counter("slacktide_gate_yields_total", help, &[], yields.count as f64);
        let help = "From the sample that shut the gate to the end of the work, summed.";
        text.counter(
            "slacktide_gate_yield_seconds_total",
            help,
            &[],
            micros(yields.total_us),
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
        }
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
