//! The `[lease]` table: which of several agents is active.

use runtime::span::Span;
use serde::{Deserialize, Serialize};

use crate::settings::violation::{ConfigViolation, is_within};

/// The `[lease]` table.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LeaseTable {
    /// The lease's time to live: a standby takes over after it.
    pub(crate) ttl: Span,
}

impl Default for LeaseTable {
    fn default() -> Self {
        Self {
            ttl: Span::from_secs(3),
        }
    }
}

impl LeaseTable {
    /// Returns the rule that the table violates.
    pub(super) fn violations(&self) -> Option<ConfigViolation> {
        (!is_within(self.ttl, 300, 60_000)).then(|| {
            ConfigViolation::new(
                "lease.ttl",
                format!("is {}", self.ttl),
                "give 300ms to 1m; 3s is usual",
            )
        })
    }
}
