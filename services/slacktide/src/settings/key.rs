//! The signing key.

use std::path::Path;
use std::sync::Arc;

use runtime::config::Secret;
use schemas::sign::SigningKey;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// The `[signing]` table.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SigningTable {
    /// The seed of the signing key, `SA…`.
    pub(crate) seed: Secret,
}

impl SigningTable {
    /// Reads the key. The error names a connection seed in its place.
    pub(crate) fn key(&self, folder: &Path) -> Result<Arc<SigningKey>, Failure> {
        let text = self.seed.read(folder)?;
        let key = SigningKey::from_seed(text.expose())
            .map_err(|error| Failure::usage(format!("signing.seed ({}): {error}", self.seed)))?;
        Ok(Arc::new(key))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn signing_table_connection_seed_is_named() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("connect.seed");
        let seed = nkeys::KeyPair::new_user().seed().unwrap_or_default();
        std::fs::write(&path, &seed)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        let table = SigningTable {
            seed: Secret::File("connect.seed".into()),
        };
        let error = table
            .key(folder.path())
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(
            error.contains("connection (user) key") && error.contains("sign.seed"),
            "{error}"
        );
        assert!(!error.contains(&seed), "the seed is in the error");
        Ok(())
    }
}
