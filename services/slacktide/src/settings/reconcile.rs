//! `[reconcile]`: at the bureau, whether recipients may compare their stores with the core; at an insurer, when its agent compares.
//!
//! - `feeds` the feeds that recipients may reconcile

mod feeds;

use runtime::span::Span;
use serde::{Deserialize, Serialize};

use super::violation::{ConfigViolation, is_within};

/// The `[reconcile]` table of an insurer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ScheduleTable {
    /// Whether the agent repeats comparisons of feeds that were compared once.
    pub(crate) scheduled: bool,
    /// The time between two comparisons of a feed.
    pub(crate) every: Span,
}

impl Default for ScheduleTable {
    fn default() -> Self {
        Self {
            scheduled: true,
            every: Span::from_secs(86_400),
        }
    }
}

impl ScheduleTable {
    /// Returns the rule that the table violates.
    pub(crate) fn violations(&self) -> Vec<ConfigViolation> {
        if is_within(self.every, 1_000, 31 * 86_400_000) {
            return Vec::new();
        }
        vec![ConfigViolation::new(
            "reconcile.every",
            format!("is {}", self.every),
            "give 1s to 31d; 24h is usual",
        )]
    }
}

/// The `[reconcile]` table of the bureau.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReconcileTable {
    /// Whether each feed may be reconciled by its recipients: each pass reads the feed's whole table while the core has slack.
    #[serde(default)]
    pub(crate) enabled: bool,
}
