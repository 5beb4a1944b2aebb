//! The `[priority]` table: the priority of the agent's process.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The `[priority]` table of the bureau's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PriorityTable {
    /// Whether the agent lowers its own priority: nice 19, autogroup, idle IO class.
    pub(crate) own: bool,
    /// The socket of the helper on the core's host; `None`: no helper.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) helper: Option<PathBuf>,
}

impl Default for PriorityTable {
    fn default() -> Self {
        Self {
            own: true,
            helper: None,
        }
    }
}
