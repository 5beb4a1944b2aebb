//! What the demo found, at a glance and as data.

use std::collections::BTreeMap;

use serde::Serialize;

use super::freshness::{Freshness, Spread};

/// Everything that it found.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Report {
    /// Whether core and store agree, nothing was read while shut, and all evidence holds.
    pub(crate) agree: bool,
    /// Rows in the core at the end.
    pub(crate) rows_core: u64,
    /// Rows in published chunks; a row that changed twice counts twice.
    pub(crate) rows_published: u64,
    /// Rows in the store.
    pub(crate) rows_stored: u64,
    /// In the core and not in the store.
    pub(crate) missing: u64,
    /// In the store more than once, or not in the core.
    pub(crate) doubled: u64,
    /// In both, with another value.
    pub(crate) differing: u64,
    /// Rows that the database driver handed out while the gate was shut.
    pub(crate) rows_read_while_shut: u64,
    /// Rows that it handed out between the verdict and the end of the yield (at most 100 ms).
    pub(crate) rows_read_while_yielding: u64,
    /// Statements that the driver saw begin while the gate was shut.
    pub(crate) statements_while_shut: u64,
    /// Chunks at the exchange.
    pub(crate) chunks: u64,
    /// Of these, chunks whose signature, link, number and totals hold.
    pub(crate) chunks_verified: u64,
    /// Receipts whose signature and content hold.
    pub(crate) receipts_verified: u64,
    /// The first fault of each feed.
    pub(crate) faults: Vec<String>,
    /// Times that the gate shut.
    pub(crate) gate_shuts: u64,
    /// The same by reason.
    pub(crate) gate_shut_reasons: BTreeMap<String, u64>,
    /// How long it was open, in milliseconds.
    pub(crate) gate_open_ms: u64,
    /// How long it was shut, in milliseconds.
    pub(crate) gate_shut_ms: u64,
    /// The longest time from the sample that shut the gate until all work on the core had ended.
    pub(crate) time_to_yield_ms: f64,
    /// Of rows that changed while the demo ran.
    pub(crate) freshness: Freshness,
    /// Rows that were new or changed while the demo ran.
    pub(crate) changed_while_running: u64,
    /// Rows published a second while the gate was open.
    pub(crate) rows_per_second_open: u64,
    /// The whole demo.
    pub(crate) seconds: f64,
}

impl Report {
    /// Decides whether all is well.
    pub(crate) fn judge(&mut self) {
        self.agree = self.rows_core == self.rows_stored
            && self.missing + self.doubled + self.differing == 0
            && self.rows_read_while_shut == 0
            && self.chunks > 0
            && self.chunks == self.chunks_verified
            && self.faults.is_empty();
    }

    /// For people.
    pub(crate) fn lines(&self) -> Vec<String> {
        let verdict = if self.agree {
            "core and store agree, row by row"
        } else {
            "SOMETHING IS WRONG"
        };
        let mut lines = vec![String::new(), format!("  {verdict}"), String::new()];
        let mut line = |name: &str, value: String| lines.push(format!("  {name:<22}{value}"));
        line("rows in the core", grouped(self.rows_core));
        line("rows stored", grouped(self.rows_stored));
        line("missing", grouped(self.missing));
        line("doubled", grouped(self.doubled));
        line("differing", grouped(self.differing));
        line(
            "rows published",
            format!(
                "{}, of these {} new or changed while it ran",
                grouped(self.rows_published),
                grouped(self.changed_while_running)
            ),
        );
        let reasons: Vec<String> = self
            .gate_shut_reasons
            .iter()
            .map(|(reason, count)| format!("{reason} {count}"))
            .collect();
        line(
            "the gate shut",
            match reasons.as_slice() {
                [] => format!("{} times", self.gate_shuts),
                _ => format!("{} times ({})", self.gate_shuts, reasons.join(", ")),
            },
        );
        line(
            "rows read while shut",
            format!(
                "{}, counted by a trace in the database driver; {} more in the {:.1} ms that it took to yield",
                self.rows_read_while_shut, self.rows_read_while_yielding, self.time_to_yield_ms
            ),
        );
        line(
            "chunks",
            format!(
                "{}, of these {} verified: signature, link, number, totals",
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
            format!("{} while the gate was open", grouped(self.rows_per_second_open)),
        );
        line("time", format!("{:.0} s", self.seconds));
        lines.extend(self.faults.iter().map(|fault| format!("  FAULT {fault}")));
        lines
    }
}

/// `232624` as `232,624`.
fn grouped(number: u64) -> String {
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
    fn digits_are_grouped() {
        let numbers = [0, 12, 999, 1_000, 232_624, 1_000_000];
        assert_eq!(
            numbers.map(grouped),
            ["0", "12", "999", "1,000", "232,624", "1,000,000"]
        );
    }

    #[test]
    fn one_thing_wrong_is_enough() {
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
            report.judge();
            report.agree
        };
        assert!(judged(|_| {}));
        assert!(!judged(|report| report.rows_read_while_shut = 1));
        assert!(!judged(|report| report.chunks_verified = 0));
        assert!(!judged(|report| report.missing = 1));
        assert!(!judged(|report| report.rows_stored = 3));
        assert!(!judged(|report| (report.chunks, report.chunks_verified) = (0, 0)));
    }
}
