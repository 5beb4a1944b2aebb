//! The demo's results, as text and as data.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::freshness::{Freshness, Spread};
use crate::output::{self, View};

/// The results.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
#[schemars(title = "demo")]
pub(crate) struct Report {
    /// Whether core and store are equal, nothing was read while the gate was closed, and all evidence is valid.
    pub(crate) agree: bool,
    /// Rows in the core at the end.
    pub(crate) rows_core: u64,
    /// Rows in published chunks; a row that changed twice counts twice.
    pub(crate) rows_published: u64,
    /// Rows in the store.
    pub(crate) rows_stored: u64,
    /// Rows in the core but not in the store.
    pub(crate) missing: u64,
    /// Rows more than once in the store, or not in the core.
    pub(crate) duplicated: u64,
    /// Rows in both with different values.
    pub(crate) differing: u64,
    /// Rows that the database driver returned while the gate was closed.
    pub(crate) rows_read_while_closed: u64,
    /// Rows that it returned between the verdict and the end of the yield (at most 100 ms).
    pub(crate) rows_read_while_yielding: u64,
    /// Statements that began while the gate was closed, as seen by the driver.
    pub(crate) statements_while_closed: u64,
    /// Chunks at the exchange.
    pub(crate) chunks: u64,
    /// Chunks with valid signature, link, number and totals.
    pub(crate) chunks_verified: u64,
    /// Receipts with valid signature and content.
    pub(crate) receipts_verified: u64,
    /// The first fault of each feed.
    pub(crate) faults: Vec<String>,
    /// Transitions to close.
    pub(crate) gate_closings: u64,
    /// Transitions to closed, by reason.
    pub(crate) gate_closing_reasons: BTreeMap<String, u64>,
    /// Time open.
    pub(crate) gate_open_ms: u64,
    /// Time closed.
    pub(crate) gate_closed_ms: u64,
    /// Longest time to yield: from the sample that closed the gate to the end of all work on the core.
    pub(crate) time_to_yield_us: u64,
    /// Freshness of rows that changed during the demo.
    pub(crate) freshness: Freshness,
    /// Rows that were inserted or changed during the demo.
    pub(crate) changed_while_running: u64,
    /// Rows published per second while the gate was open.
    pub(crate) rows_per_second_open: u64,
    /// Duration of the demo.
    pub(crate) took_ms: u64,
}

impl Report {
    /// Evaluates whether everything is correct.
    pub(crate) fn evaluate(&mut self) {
        self.agree = self.rows_core == self.rows_stored
            && self.missing + self.duplicated + self.differing == 0
            && self.rows_read_while_closed == 0
            && self.chunks > 0
            && self.chunks == self.chunks_verified
            && self.faults.is_empty();
    }
}

impl output::Report for Report {
    fn view(&self) -> View {
        let verdict = if self.agree {
            "core and store are equal, row by row"
        } else {
            "CORE, STORE OR EVIDENCE DISAGREE"
        };
        let mut view = View::new();
        view.blank().line(format!("  {verdict}")).blank();
        let mut line = |name: &str, value: String| {
            view.labelled(format!("  {name:<22}"), value);
        };
        line("rows in the core", with_separators(self.rows_core));
        line("rows stored", with_separators(self.rows_stored));
        line("missing", with_separators(self.missing));
        line("duplicated", with_separators(self.duplicated));
        line("differing", with_separators(self.differing));
        line(
            "rows published",
            format!(
                "{}, of which {} were inserted or changed during the run",
                with_separators(self.rows_published),
                with_separators(self.changed_while_running)
            ),
        );
        let reasons: Vec<String> = self
            .gate_closing_reasons
            .iter()
            .map(|(reason, count)| format!("{reason} {count}"))
            .collect();
        line(
            "the gate closed",
            match reasons.as_slice() {
                [] => format!("{} times", self.gate_closings),
                _ => format!("{} times ({})", self.gate_closings, reasons.join(", ")),
            },
        );
        line(
            "rows read when closed",
            format!(
                "{}, counted by a trace in the database driver; {} more in the {}.{} ms until it had yielded",
                self.rows_read_while_closed,
                self.rows_read_while_yielding,
                self.time_to_yield_us / 1_000,
                self.time_to_yield_us % 1_000 / 100
            ),
        );
        line(
            "chunks",
            format!(
                "{}, of which {} verified: signature, link, number, totals",
                self.chunks, self.chunks_verified
            ),
        );
        let ms = |spread: &Spread| format!("{} / {} ms", spread.p50, spread.p95);
        let fresh = &self.freshness;
        line(
            "freshness (p50 / p95)",
            format!(
                "wait for idle {}, transit {}, wait for poll {}",
                ms(&fresh.wait_idle_ms),
                ms(&fresh.transit_ms),
                ms(&fresh.wait_poll_ms)
            ),
        );
        line(
            "rows a second",
            format!(
                "{} while the gate was open",
                with_separators(self.rows_per_second_open)
            ),
        );
        line("time", format!("{} s", self.took_ms / 1_000));
        for fault in &self.faults {
            view.line(format!("  FAULT {fault}"));
        }
        view
    }
}

/// Formats `232624` as `232,624`.
fn with_separators(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_formatted_with_separators() {
        let numbers = [0, 12, 999, 1_000, 232_624, 1_000_000];
        assert_eq!(
            numbers.map(with_separators),
            ["0", "12", "999", "1,000", "232,624", "1,000,000"]
        );
    }

    #[test]
    fn report_with_one_error_does_not_agree() {
        let good = Report {
            rows_core: 2,
            rows_stored: 2,
            chunks: 1,
            chunks_verified: 1,
            ..Report::default()
        };
        let judged = |change: fn(&mut Report)| {
            let mut report = good.clone();
            change(&mut report);
            report.evaluate();
            report.agree
        };
        assert!(judged(|_| {}));
        assert!(!judged(|report| report.rows_read_while_closed = 1));
        assert!(!judged(|report| report.chunks_verified = 0));
        assert!(!judged(|report| report.missing = 1));
        assert!(!judged(|report| report.rows_stored = 3));
        assert!(!judged(|report| (report.chunks, report.chunks_verified) = (0, 0)));
    }
}
