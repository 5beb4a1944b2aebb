//! The `[status]` table: the publication of the agent's own status at the exchange.

use schemas::name::PartyName;
use serde::{Deserialize, Serialize};

/// The `[status]` table of an agent's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct StatusTable {
    /// Whether the agent publishes its status.
    pub(crate) publish: bool,
    /// The agent's name among the agents of the party; `None`: its role and its host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<PartyName>,
}

impl Default for StatusTable {
    fn default() -> Self {
        Self {
            publish: true,
            name: None,
        }
    }
}
