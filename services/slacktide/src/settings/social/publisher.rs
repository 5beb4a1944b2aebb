//! The `[publisher]` table: quanta, chunks and polling.

use runtime::span::Span;
use serde::{Deserialize, Serialize};

use super::source::SourceTable;
use crate::settings::violation::{ConfigViolation, is_within};

/// The `[publisher]` table.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PublisherTable {
    /// The target duration of a quantum at the source.
    pub(crate) quantum: Span,
    /// The maximum rows of a quantum.
    pub(crate) quantum_rows: usize,
    /// The maximum age of an open chunk.
    pub(crate) close_after: Span,
    /// The minimum time between chunks while few rows arrive.
    pub(crate) collect: Span,
    /// The polling interval of a feed without new rows.
    pub(crate) idle_poll: Span,
    /// The maximum polls per second of all feeds without new rows.
    pub(crate) idle_poll_rate: u32,
}

impl Default for PublisherTable {
    fn default() -> Self {
        Self {
            quantum: Span::from_millis(20),
            quantum_rows: 20_000,
            close_after: Span::from_millis(200),
            collect: Span::from_millis(2_000),
            idle_poll: Span::from_millis(500),
            idle_poll_rate: 20,
        }
    }
}

impl PublisherTable {
    /// Returns the rules that the table violates with this source.
    pub(super) fn violations(&self, source: &SourceTable) -> Vec<ConfigViolation> {
        let mut violations = Vec::new();
        let mut report =
            |key: &str, what: String, remedy: &str| violations.push(ConfigViolation::new(key, what, remedy));
        if !is_within(self.quantum, 1, 1_000) {
            report(
                "publisher.quantum",
                format!("is {}", self.quantum),
                "give 1ms to 1s; 20ms is usual",
            );
        }
        if self.quantum.get() > source.statement_timeout.get() {
            report(
                "publisher.quantum",
                "is longer than source.statement_timeout".to_owned(),
                "make it shorter, or every quantum is cancelled",
            );
        }
        if !(1..=1_000_000).contains(&self.quantum_rows) {
            report(
                "publisher.quantum_rows",
                format!("is {}", self.quantum_rows),
                "give 1 to 1000000",
            );
        }
        if !is_within(self.close_after, 1, 60_000) {
            report(
                "publisher.close_after",
                format!("is {}", self.close_after),
                "give 1ms to 1m; 200ms is usual",
            );
        }
        if !is_within(self.collect, 0, 60_000) {
            report(
                "publisher.collect",
                format!("is {}", self.collect),
                "give 0ms to 1m; 2s is usual",
            );
        }
        if !is_within(self.idle_poll, 10, 3_600_000) {
            report(
                "publisher.idle_poll",
                format!("is {}", self.idle_poll),
                "give 10ms to 1h",
            );
        }
        if !(1..=1_000).contains(&self.idle_poll_rate) {
            report(
                "publisher.idle_poll_rate",
                format!("is {}", self.idle_poll_rate),
                "give 1 to 1000; 20 is usual",
            );
        }
        violations
    }
}
