//! How to reach the exchange.

use std::path::Path;

use runtime::config::Secret;
use serde::{Deserialize, Serialize};

use super::rule::Broken;
use crate::failure::Failure;

/// The `[exchange]` table.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExchangeTable {
    /// `nats://host:port`; several, separated by commas, for a cluster.
    pub(crate) url: String,
    /// The user in the exchange's account file.
    pub(crate) user: String,
    /// The seed of the connection key, `SU…`.
    pub(crate) seed: Secret,
}

impl ExchangeTable {
    /// The rules it breaks.
    pub(crate) fn broken(&self) -> Vec<Broken> {
        let mut broken = Vec::new();
        let schemes = ["nats://", "tls://"];
        if self
            .url
            .split(',')
            .any(|url| !schemes.iter().any(|scheme| url.trim().starts_with(scheme)))
        {
            broken.push(Broken::new(
                "exchange.url",
                "is no address of an exchange",
                "write \"nats://host:port\", several separated by commas",
            ));
        }
        if schemas::name::PartyName::new(self.user.as_str()).is_err() {
            broken.push(Broken::new(
                "exchange.user",
                format!("is {:?}", self.user),
                "use the user's name in the exchange's account file: a-z, 0-9, '_' and '-', a letter first",
            ));
        }
        broken
    }

    /// For an agent, which waits for the exchange.
    pub(crate) fn agent(&self, folder: &Path) -> Result<nats::Options, Failure> {
        Ok(nats::Options::agent(&self.url, &self.user, self.seed(folder)?))
    }

    /// For a command, which fails at once.
    pub(crate) fn command(&self, folder: &Path) -> Result<nats::Options, Failure> {
        Ok(nats::Options::command(&self.url, &self.user, self.seed(folder)?))
    }

    fn seed(&self, folder: &Path) -> Result<String, Failure> {
        Ok(self.seed.read(folder)?.expose().to_owned())
    }
}
