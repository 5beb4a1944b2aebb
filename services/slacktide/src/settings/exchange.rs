//! The connection to the exchange.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use runtime::config::Secret;
use schemas::name::SiteName;
use serde::{Deserialize, Serialize};

use super::violation::ConfigViolation;
use crate::failure::Failure;

/// The `[exchange]` table.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExchangeTable {
    /// `nats://host:port`; several, separated by commas, for a cluster.
    pub(crate) url: String,
    /// The name of the site; the same in every file of the site.
    #[serde(default)]
    pub(crate) site: SiteName,
    /// The user in the exchange's account file.
    pub(crate) user: String,
    /// The seed of the connection key, `SU…`.
    pub(crate) seed: Secret,
    /// Mutual TLS; `None`: the URL scheme and the exchange decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<TlsTable>,
}

/// The `[exchange.tls]` table: PEM files, read again at every connection.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TlsTable {
    /// The authorities that may have signed the exchange's certificate.
    pub(crate) ca: PathBuf,
    /// Our certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cert: Option<PathBuf>,
    /// Its private key, in a file that only its owner reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<PathBuf>,
}

impl TlsTable {
    /// Returns the files, relative to `folder`. Refuses a private key that others can read.
    pub(crate) fn files(&self, folder: &Path) -> Result<nats::Tls, Failure> {
        let client = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => {
                Secret::File(key.clone()).read(folder)?;
                Some((folder.join(cert), folder.join(key)))
            }
            _ => None,
        };
        Ok(nats::Tls {
            ca: folder.join(&self.ca),
            client,
        })
    }
}

impl ExchangeTable {
    /// Returns the rules that the table violates.
    pub(crate) fn violations(&self) -> Vec<ConfigViolation> {
        let mut violations = Vec::new();
        let schemes = ["nats://", "tls://"];
        if self
            .url
            .split(',')
            .any(|url| !schemes.iter().any(|scheme| url.trim().starts_with(scheme)))
        {
            violations.push(ConfigViolation::new(
                "exchange.url",
                "is not an address of an exchange",
                "write \"nats://host:port\", several separated by commas",
            ));
        }
        if self
            .tls
            .as_ref()
            .is_some_and(|tls| tls.cert.is_some() != tls.key.is_some())
        {
            violations.push(ConfigViolation::new(
                "exchange.tls",
                "has a certificate without a key, or the reverse",
                "give both cert and key, or neither",
            ));
        }
        if schemas::name::PartyName::new(self.user.as_str()).is_err() {
            violations.push(ConfigViolation::new(
                "exchange.user",
                format!("is {:?}", self.user),
                "use the user's name in the exchange's account file: a-z, 0-9, '_' and '-', a letter first",
            ));
        }
        violations
    }

    /// Options of an agent, which waits for the exchange.
    pub(crate) fn agent_options(&self, folder: &Path) -> Result<nats::Options, Failure> {
        let (seed, folder) = (self.seed.clone(), folder.to_owned());
        let options =
            nats::Options::agent(&self.url, &self.user, self.seed(&folder)?).over(self.tls(&folder)?);
        // An environment variable does not change in a running process; a file does.
        let read_seed: Option<nats::ReadSeed> = matches!(seed, Secret::File(_)).then(|| {
            let read = move || Some(seed.read(&folder).ok()?.expose().to_owned());
            Arc::new(read) as nats::ReadSeed
        });
        Ok(options.reading_seed(read_seed))
    }

    /// Options of a command, which fails at once.
    pub(crate) fn command_options(&self, folder: &Path) -> Result<nats::Options, Failure> {
        Ok(nats::Options::command(&self.url, &self.user, self.seed(folder)?).over(self.tls(folder)?))
    }

    fn tls(&self, folder: &Path) -> Result<Option<nats::Tls>, Failure> {
        self.tls.as_ref().map(|tls| tls.files(folder)).transpose()
    }

    fn seed(&self, folder: &Path) -> Result<String, Failure> {
        Ok(self.seed.read(folder)?.expose().to_owned())
    }
}
