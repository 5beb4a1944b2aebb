//! The `[requests]` table of an insurer.

use runtime::span::Span;
use serde::{Deserialize, Serialize};

use crate::settings::violation::{ConfigViolation, is_within};

/// The `[requests]` table of an insurer.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RequesterTable {
    /// The polling interval for outbox and replies. Default: `poll.interval`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) interval: Option<Span>,
}

impl RequesterTable {
    /// Returns the rule that the table violates.
    pub(crate) fn violations(&self) -> Vec<ConfigViolation> {
        let out_of_range = self.interval.filter(|span| !is_within(*span, 10, 3_600_000));
        out_of_range
            .map(|span| {
                ConfigViolation::new(
                    "requests.interval",
                    format!("is {span}"),
                    "give 10ms to 1h; 1s is usual",
                )
            })
            .into_iter()
            .collect()
    }
}
