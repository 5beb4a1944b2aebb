//! The secret for the tokens of masked columns.

use std::path::Path;
use std::sync::Arc;

use disclosure::mask::key::MaskKey;
use runtime::config::Secret;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// The `[masking]` table.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MaskingTable {
    /// The secret, at least 32 random characters. It must never change: another secret makes other tokens.
    pub(crate) key: Secret,
}

impl MaskingTable {
    /// Reads the secret.
    pub(crate) fn key(&self, folder: &Path) -> Result<Arc<MaskKey>, Failure> {
        let text = self.key.read(folder)?;
        let key = MaskKey::new(text.expose().trim());
        key.map(Arc::new)
            .map_err(|error| Failure::usage(format!("masking.key ({}): {error}", self.key)))
    }
}
