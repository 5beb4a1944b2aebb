//! The `[requests]` table of an insurer.

use runtime::span::Span;
use serde::{Deserialize, Serialize};

use crate::settings::rule::{Broken, within};

/// The `[requests]` table of an insurer.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AskTable {
    /// From look to look at outbox and replies. Left out: as `poll.interval`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) interval: Option<Span>,
}

impl AskTable {
    /// The rule that it breaks.
    pub(crate) fn broken(&self) -> Vec<Broken> {
        let odd = self.interval.filter(|span| !within(*span, 10, 3_600_000));
        odd.map(|span| {
            Broken::new(
                "requests.interval",
                format!("is {span}"),
                "give 10ms to 1h; 1s is usual",
            )
        })
        .into_iter()
        .collect()
    }
}
