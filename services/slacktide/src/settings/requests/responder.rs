//! The `[requests]` table of the bureau.

use std::collections::BTreeMap;

use requests::quota::Quota;
use runtime::span::Span;
use schemas::name::RecipientName;
use serde::{Deserialize, Serialize};
use social::responder::AnswerOptions;

use crate::settings::violation::{ConfigViolation, is_within};

/// The `[requests]` table of the bureau.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ResponderTable {
    /// The polling interval for new requests.
    pub(crate) interval: Span,
    /// How often a failed answer is retried.
    pub(crate) retries: u32,
    /// One gate permit of this many goes to a feed while feeds wait.
    pub(crate) feed_share: u32,
    /// Days for which the exchange keeps requests.
    pub(crate) retention_days: i32,
    /// Quotas by recipient.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) quota: BTreeMap<RecipientName, Quota>,
}

impl Default for ResponderTable {
    fn default() -> Self {
        let options = AnswerOptions::default();
        Self {
            interval: Span::from_millis(u64::try_from(options.interval.as_millis()).unwrap_or(2_000)),
            retries: options.retries,
            feed_share: options.feed_share,
            retention_days: options.retention_days,
            quota: BTreeMap::new(),
        }
    }
}

impl ResponderTable {
    /// Returns the rules that the table violates.
    pub(super) fn violations(&self) -> Vec<ConfigViolation> {
        let mut violations = Vec::new();
        let mut report =
            |key: &str, what: String, remedy: &str| violations.push(ConfigViolation::new(key, what, remedy));
        if !is_within(self.interval, 10, 3_600_000) {
            report(
                "requests.interval",
                format!("is {}", self.interval),
                "give 10ms to 1h; 2s is usual",
            );
        }
        if !(2..=100).contains(&self.feed_share) {
            report(
                "requests.feed_share",
                format!("is {}", self.feed_share),
                "give 2 to 100; 4 is usual",
            );
        }
        if !(1..=3_650).contains(&self.retention_days) {
            report(
                "requests.retention_days",
                format!("is {}", self.retention_days),
                "give the days for which the exchange keeps requests, at least 1",
            );
        }
        violations
    }
}
