//! The `[blocklist]` table.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The `[blocklist]` table.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BlocklistTable {
    /// The file that `slacktide blocklist import` writes.
    pub(crate) path: PathBuf,
}
