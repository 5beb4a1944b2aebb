//! The encryption keys of a party.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use runtime::config::Secret;
use schemas::encryption::{DecryptionKeys, EncryptionKey, EncryptionPublicKey};
use schemas::name::RecipientName;
use serde::{Deserialize, Serialize};
use social::signed_chunk::EncryptionKeys;

use super::violation::ConfigViolation;
use crate::failure::Failure;

/// The `[encryption]` table of a receiver, or of an auditor who may decrypt.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct EncryptionTable {
    /// The seed of the encryption key in use, `SX…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seed: Option<Secret>,
    /// Seeds of former and of coming keys: data encrypted to them is decrypted too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) others: Vec<Secret>,
}

/// The `[encryption]` table of the bureau.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SocialEncryption {
    /// The bureau's own seed, `SX…`: positions are encrypted with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seed: Option<Secret>,
    /// The bureau's former and coming seeds: positions encrypted with them are decrypted too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) others: Vec<Secret>,
    /// Recipients whose chunks are encrypted, with their encryption.pub, `X…`.
    pub(crate) recipients: BTreeMap<RecipientName, EncryptionPublicKey>,
}

impl EncryptionTable {
    /// Reads the seeds. The error names the kind of a seed of another kind.
    pub(crate) fn decryption_keys(&self, folder: &Path) -> Result<DecryptionKeys, Failure> {
        read_keys(self.seed.as_ref(), &self.others, folder)
    }
}

impl SocialEncryption {
    /// Reads the seeds.
    pub(crate) fn encryption_keys(&self, folder: &Path) -> Result<EncryptionKeys, Failure> {
        Ok(EncryptionKeys {
            recipients: self.recipients.clone(),
            own: read_keys(self.seed.as_ref(), &self.others, folder)?,
        })
    }

    /// Returns the rules that the table violates.
    pub(crate) fn violations(&self) -> Vec<ConfigViolation> {
        let mut violations = Vec::new();
        if !self.recipients.is_empty() && self.seed.is_none() {
            violations.push(ConfigViolation::new(
                "encryption.seed",
                "is missing; without it positions would be in clear text next to encrypted bodies",
                "make a key with `slacktide keys new --only encryption` and name it: seed = { file = \"keys/encryption.seed\" }",
            ));
        }
        violations
    }
}

fn read_keys(seed: Option<&Secret>, others: &[Secret], folder: &Path) -> Result<DecryptionKeys, Failure> {
    let read = |secret: &Secret| {
        let text = secret.read(folder)?;
        EncryptionKey::from_seed(text.expose())
            .map(Arc::new)
            .map_err(|error| Failure::usage(format!("[encryption] ({secret}): {error}")))
    };
    let keys = seed.into_iter().chain(others).map(read);
    Ok(DecryptionKeys::new(keys.collect::<Result<_, _>>()?))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn encryption_table_reads_all_seeds_and_names_a_signing_seed() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let keys = [EncryptionKey::generate()?, EncryptionKey::generate()?];
        let sign = schemas::sign::SigningKey::generate().seed()?;
        for (name, seed) in [
            ("new", keys[0].seed()?),
            ("old", keys[1].seed()?),
            ("sign", sign.clone()),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, seed)?;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        }
        let table: EncryptionTable =
            toml::from_str("seed = { file = \"new\" }\nothers = [{ file = \"old\" }]\n")?;
        let ring = table.decryption_keys(folder.path())?;
        assert_eq!(
            ring.public_keys(),
            keys.each_ref().map(|key| key.public().clone())
        );
        let table: EncryptionTable = toml::from_str("seed = { file = \"sign\" }\n")?;
        let error = table
            .decryption_keys(folder.path())
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(
            error.contains("signing (account) key") && !error.contains(&sign),
            "{error}"
        );
        Ok(())
    }

    #[test]
    fn encryption_recipients_without_own_seed_are_refused() -> Result<(), Box<dyn std::error::Error>> {
        let key = EncryptionKey::generate()?;
        let table: SocialEncryption =
            toml::from_str(&format!("recipients = {{ insurer-a = \"{}\" }}\n", key.public()))?;
        assert!(table.violations()[0].to_string().contains("encryption.seed"));
        Ok(())
    }
}
