//! The `[publisher]` table: how much is read at a time, and how long a chunk stays open.

use runtime::span::Span;
use serde::{Deserialize, Serialize};

use super::source::SourceTable;
use crate::settings::rule::{Broken, within};

/// The `[publisher]` table.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PublisherTable {
    /// How long one quantum should take on the source.
    pub(crate) quantum: Span,
    /// Most rows of a quantum.
    pub(crate) quantum_rows: usize,
    /// How old an open chunk may get.
    pub(crate) close_after: Span,
    /// How far apart chunks of a trickle of rows are at least.
    pub(crate) collect: Span,
    /// How long a feed rests when everything is read.
    pub(crate) idle_poll: Span,
    /// Polls per second of all feeds in which nothing is new.
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
    /// The rules that it breaks over this source.
    pub(super) fn broken(&self, source: &SourceTable) -> Vec<Broken> {
        let mut broken = Vec::new();
        let mut say = |key: &str, what: String, remedy: &str| broken.push(Broken::new(key, what, remedy));
        if !within(self.quantum, 1, 1_000) {
            say(
                "publisher.quantum",
                format!("is {}", self.quantum),
                "give 1ms to 1s; 20ms is usual",
            );
        }
        if self.quantum.get() > source.statement_timeout.get() {
            say(
                "publisher.quantum",
                "is longer than source.statement_timeout".to_owned(),
                "make it shorter, or every quantum is cancelled",
            );
        }
        if !(1..=1_000_000).contains(&self.quantum_rows) {
            say(
                "publisher.quantum_rows",
                format!("is {}", self.quantum_rows),
                "give 1 to 1000000",
            );
        }
        if !within(self.close_after, 1, 60_000) {
            say(
                "publisher.close_after",
                format!("is {}", self.close_after),
                "give 1ms to 1m; 200ms is usual",
            );
        }
        if !within(self.collect, 0, 60_000) {
            say(
                "publisher.collect",
                format!("is {}", self.collect),
                "give 0ms to 1m; 2s is usual",
            );
        }
        if !within(self.idle_poll, 10, 3_600_000) {
            say(
                "publisher.idle_poll",
                format!("is {}", self.idle_poll),
                "give 10ms to 1h",
            );
        }
        if !(1..=1_000).contains(&self.idle_poll_rate) {
            say(
                "publisher.idle_poll_rate",
                format!("is {}", self.idle_poll_rate),
                "give 1 to 1000; 20 is usual",
            );
        }
        broken
    }
}
