//! The connection to the exchange.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use runtime::config::Secret;
use schemas::name::SiteName;
use serde::{Deserialize, Serialize};

use super::violation::ConfigViolation;
use crate::exchange_client::ExchangeOptions;
use crate::failure::Failure;

/// The `[exchange]` table.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExchangeTable {
    /// `nats://host:port`, or `https://host:port` of a gateway; several, separated by commas. Only the keys of this transport are
    /// used, so a file may hold those of both.
    pub(crate) url: String,
    /// The name of the site; the same in every file of the site.
    #[serde(default)]
    pub(crate) site: SiteName,
    /// The user in the exchange's account file; over HTTPS the party that the gateway must know this credential as.
    pub(crate) user: String,
    /// The seed of the connection key, `SU…`; for NATS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) seed: Option<Secret>,
    /// The token of `slacktide gateway token new`; for HTTPS, unless `tls` has a certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<Secret>,
    /// Mutual TLS; `None`: the URL scheme and the exchange decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<TlsTable>,
}

/// The `[exchange.tls]` table: PEM files, read again at every connection.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TlsTable {
    /// The authorities that may have signed the exchange's certificate; over HTTPS those of the host by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca: Option<PathBuf>,
    /// Our certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cert: Option<PathBuf>,
    /// Its private key, in a file that only its owner reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<PathBuf>,
}

impl TlsTable {
    /// Returns certificate and private key, relative to `folder`. Refuses a private key that others can read.
    fn client(&self, folder: &Path) -> Result<Option<(PathBuf, PathBuf)>, Failure> {
        match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => {
                Secret::File(key.clone()).read(folder)?;
                Ok(Some((folder.join(cert), folder.join(key))))
            }
            _ => Ok(None),
        }
    }

    /// Returns the files for NATS, relative to `folder`.
    pub(super) fn for_nats(&self, folder: &Path) -> Result<nats::Tls, Failure> {
        let ca = self.ca.as_ref().ok_or_else(|| missing("exchange.tls.ca"))?;
        Ok(nats::Tls {
            ca: folder.join(ca),
            client: self.client(folder)?,
        })
    }

    fn for_web(&self, folder: &Path) -> Result<web::Tls, Failure> {
        Ok(web::Tls {
            ca: self.ca.as_ref().map(|ca| folder.join(ca)),
            client: self.client(folder)?,
        })
    }
}

impl ExchangeTable {
    /// Returns the rules that the table violates.
    pub(crate) fn violations(&self) -> Vec<ConfigViolation> {
        let mut violations = self.violations_of_transport();
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

    /// Returns the rules that the table violates for its transport.
    fn violations_of_transport(&self) -> Vec<ConfigViolation> {
        let mut violations = Vec::new();
        let has_ca = self.tls.as_ref().is_none_or(|tls| tls.ca.is_some());
        let has_certificate = self.tls.as_ref().is_some_and(|tls| tls.cert.is_some());
        match self.transport() {
            Err(why) => violations.push(ConfigViolation::new(
                "exchange.url",
                format!("is not an address of an exchange: {why}"),
                "write \"nats://host:port\", or \"https://host:port\" of a gateway; several separated by commas",
            )),
            Ok(Transport::Nats) => {
                if self.seed.is_none() {
                    violations.push(ConfigViolation::new(
                        "exchange.seed",
                        "is missing",
                        "name the connection key: seed = { file = \"keys/connect.seed\" }",
                    ));
                }
                if !has_ca {
                    violations.push(ConfigViolation::new(
                        "exchange.tls.ca",
                        "is missing",
                        "name the file of the authority that signed the exchange's certificate",
                    ));
                }
            }
            Ok(Transport::Web) if self.token.is_none() && !has_certificate => {
                violations.push(ConfigViolation::new(
                    "exchange.token",
                    "is missing",
                    "name the text that `slacktide gateway token new` printed: token = { file = \"keys/gateway.token\" }; \
                     or give the party's client certificate: [exchange.tls] cert and key",
                ));
            }
            Ok(Transport::Web) => {}
        }
        violations
    }

    /// Returns the transport of the URL, or what is wrong with it.
    fn transport(&self) -> Result<Transport, BadUrl> {
        let is_nats = |url: &str| ["nats://", "tls://"].iter().any(|scheme| url.starts_with(scheme));
        if self.url.split(',').all(|url| is_nats(url.trim())) {
            return Ok(Transport::Nats);
        }
        match web::Options::url_violation(&self.url) {
            None => Ok(Transport::Web),
            Some(why) => Err(BadUrl(why)),
        }
    }

    /// Returns where the credential is kept.
    pub(crate) fn credential(&self) -> String {
        let secret = match self.transport() {
            Ok(Transport::Web) => self.token.as_ref(),
            _ => self.seed.as_ref(),
        };
        match (secret, self.tls.as_ref().and_then(|tls| tls.key.as_ref())) {
            (Some(secret), _) => secret.to_string(),
            (None, Some(key)) => key.display().to_string(),
            (None, None) => "nothing".to_owned(),
        }
    }

    /// Returns the options of an agent, which waits for the exchange.
    pub(crate) fn agent_options(&self, folder: &Path) -> Result<ExchangeOptions, Failure> {
        self.options(folder, true)
    }

    /// Returns the options of a command, which fails at once.
    pub(crate) fn command_options(&self, folder: &Path) -> Result<ExchangeOptions, Failure> {
        self.options(folder, false)
    }

    fn options(&self, folder: &Path, waits: bool) -> Result<ExchangeOptions, Failure> {
        let transport = self
            .transport()
            .map_err(|why| Failure::usage(format!("exchange.url: {why}")))?;
        let tls = self.tls.as_ref();
        Ok(match transport {
            Transport::Nats => {
                let seed = self.seed.as_ref().ok_or_else(|| missing("exchange.seed"))?;
                let mut options = nats::Options::agent(&self.url, &self.user, seed.read(folder)?.expose())
                    .over(tls.map(|tls| tls.for_nats(folder)).transpose()?);
                options.wait = waits;
                let read_seed = if waits { reload(seed, folder) } else { None };
                ExchangeOptions::Nats(options.reading_seed(read_seed))
            }
            Transport::Web => {
                let mut options = web::Options::agent(&self.url, &self.user)
                    .over(tls.map(|tls| tls.for_web(folder)).transpose()?);
                options.wait = waits;
                if let Some(token) = &self.token {
                    options = options
                        .with_token(token.read(folder)?.expose())
                        .reading_token(reload(token, folder));
                }
                ExchangeOptions::Web(options)
            }
        })
    }
}

/// A URL of no known transport, and why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct BadUrl(String);

/// How the exchange is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transport {
    /// `nats://`, `tls://`.
    Nats,
    /// `https://`, and `http://` on this host.
    Web,
}

/// Reads a secret again. An environment variable does not change in a running process; a file does.
pub(super) fn reload(
    secret: &Secret,
    folder: &Path,
) -> Option<Arc<dyn Fn() -> Option<String> + Send + Sync>> {
    let (secret, folder) = (secret.clone(), folder.to_owned());
    matches!(secret, Secret::File(_)).then(|| {
        let read = move || Some(secret.read(&folder).ok()?.expose().to_owned());
        Arc::new(read) as Arc<dyn Fn() -> Option<String> + Send + Sync>
    })
}

fn missing(key: &str) -> Failure {
    Failure::usage(format!(
        "{key} is missing; check the file with `slacktide config check`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> ExchangeTable {
        toml::from_str(text).unwrap_or_else(|error| panic!("{error}"))
    }

    fn keys(text: &str) -> Vec<String> {
        let violations = table(text).violations();
        violations.iter().map(ToString::to_string).collect()
    }

    const TOKEN: &str = "url = \"https://gateway.example\"\nuser = \"insurer-a\"\ntoken = { env = \"T\" }";

    #[test]
    fn exchange_table_takes_either_transport() {
        assert_eq!(keys(TOKEN), [""; 0]);
        let both = format!("{TOKEN}\nseed = {{ env = \"S\" }}");
        assert_eq!(keys(&both), [""; 0]);
        let certificate = "url = \"https://gateway.example\"\nuser = \"insurer-a\"\n\
                           [tls]\ncert = \"a.pem\"\nkey = \"a.key\"";
        assert_eq!(keys(certificate), [""; 0]);
    }

    #[test]
    fn exchange_table_missing_credential_is_named() {
        for (from, to, key) in [
            ("token = { env = \"T\" }", "", "exchange.token"),
            ("https://gateway.example", "nats://h:4222", "exchange.seed"),
            ("https://", "http://", "exchange.url"),
            ("https://", "ftp://", "exchange.url"),
            ("example", "example,nats://h:4222", "exchange.url"),
            ("insurer-a", "Insurer A", "exchange.user"),
        ] {
            let violations = keys(&TOKEN.replace(from, to));
            assert!(
                violations.iter().any(|one| one.contains(key)),
                "{to}: {violations:?}"
            );
        }
        let tls = "url = \"tls://h:4222\"\nuser = \"bureau\"\nseed = { env = \"S\" }\n[tls]\n";
        assert!(keys(tls).iter().any(|one| one.contains("exchange.tls.ca")));
    }
}
