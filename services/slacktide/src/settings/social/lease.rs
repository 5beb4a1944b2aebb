//! The `[lease]` table: who of several agents works.

use runtime::span::Span;
use serde::{Deserialize, Serialize};

use crate::settings::rule::{Broken, within};

/// The `[lease]` table.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LeaseTable {
    /// How long a standby waits for a sign of life.
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
    /// The rule that it breaks.
    pub(super) fn broken(&self) -> Option<Broken> {
        (!within(self.ttl, 300, 60_000)).then(|| {
            Broken::new(
                "lease.ttl",
                format!("is {}", self.ttl),
                "give 300ms to 1m; 3s is usual",
            )
        })
    }
}
