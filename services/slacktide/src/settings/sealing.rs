//! The keys that seal and open.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use runtime::config::Secret;
use schemas::name::RecipientName;
use schemas::seal::{SealKey, SealPublicKey, SealRing};
use serde::{Deserialize, Serialize};
use social::seal::SealingKeys;

use super::rule::Broken;
use crate::failure::Failure;

/// The `[sealing]` table of a receiver, or of an auditor who may open.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SealingTable {
    /// The seed of the sealing key in use, `SX…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seed: Option<Secret>,
    /// Seeds of before, and of soon: what is sealed to one of them is opened too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) others: Vec<Secret>,
}

/// The `[sealing]` table of the bureau.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SocialSealing {
    /// The bureau's own seed, `SX…`: positions are sealed with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seed: Option<Secret>,
    /// The bureau's own seeds of before, and of soon: positions sealed with one of them are opened too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) others: Vec<Secret>,
    /// Recipients whose chunks are sealed, with their seal.pub, `X…`.
    pub(crate) recipients: BTreeMap<RecipientName, SealPublicKey>,
}

impl SealingTable {
    /// Reads the seeds. A seed of another kind in their place is named as such.
    pub(crate) fn ring(&self, folder: &Path) -> Result<SealRing, Failure> {
        ring(self.seed.as_ref(), &self.others, folder)
    }
}

impl SocialSealing {
    /// Reads the seeds.
    pub(crate) fn keys(&self, folder: &Path) -> Result<SealingKeys, Failure> {
        Ok(SealingKeys {
            recipients: self.recipients.clone(),
            own: ring(self.seed.as_ref(), &self.others, folder)?,
        })
    }

    /// The rules it breaks.
    pub(crate) fn broken(&self) -> Vec<Broken> {
        let mut broken = Vec::new();
        if !self.recipients.is_empty() && self.seed.is_none() {
            broken.push(Broken::new(
                "sealing.seed",
                "is missing, and without it positions would stand in clear beside sealed bodies",
                "make a key with `slacktide keys new --only seal` and name it: seed = { file = \"keys/seal.seed\" }",
            ));
        }
        broken
    }
}

fn ring(seed: Option<&Secret>, others: &[Secret], folder: &Path) -> Result<SealRing, Failure> {
    let read = |at: &Secret| {
        let text = at.read(folder)?;
        SealKey::from_seed(text.expose())
            .map(Arc::new)
            .map_err(|error| Failure::usage(format!("[sealing] ({at}): {error}")))
    };
    let keys = seed.into_iter().chain(others).map(read);
    Ok(SealRing::new(keys.collect::<Result<_, _>>()?))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn several_seeds_make_a_ring_and_a_signing_seed_is_named() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let keys = [SealKey::generate()?, SealKey::generate()?];
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
        let table: SealingTable =
            toml::from_str("seed = { file = \"new\" }\nothers = [{ file = \"old\" }]\n")?;
        let ring = table.ring(folder.path())?;
        assert_eq!(ring.publics(), keys.each_ref().map(|key| key.public().clone()));
        let table: SealingTable = toml::from_str("seed = { file = \"sign\" }\n")?;
        let error = table
            .ring(folder.path())
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
    fn sealed_bodies_without_an_own_key_are_refused() -> Result<(), Box<dyn std::error::Error>> {
        let key = SealKey::generate()?;
        let table: SocialSealing =
            toml::from_str(&format!("recipients = {{ insurer-a = \"{}\" }}\n", key.public()))?;
        assert!(table.broken()[0].to_string().contains("sealing.seed"));
        Ok(())
    }
}
