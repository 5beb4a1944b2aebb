//! Options of a connection.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use exchange::{Error, ErrorKind, Result};

use super::address;

/// The files of a connection over TLS, all PEM. They are read again for every connection, so a renewed certificate is used from
/// the next one on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The authorities that may have signed the gateway's certificate; `None`: those of the host.
    pub ca: Option<PathBuf>,
    /// The client certificate and its private key, for a gateway that identifies the party by it.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// Reads the token where it is kept; `None` when it cannot be read now.
pub type ReadToken = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// The address of the gateway, and the credentials.
#[derive(Clone)]
pub struct Options {
    /// `https://host:port`; several, separated by commas, are tried in turn. `http://` only for this host itself.
    pub url: String,
    /// The party's name. The gateway must know the credential as this party's.
    pub party: String,
    /// The token of the party; `None` if it is identified by its client certificate.
    pub token: Option<String>,
    /// Reads the token again for every connection and after it was refused, so that a changed token is used from then on. `None`
    /// always uses `token`. If it returns nothing usable, the last usable token is used.
    pub reload_token: Option<ReadToken>,
    /// The files; `None` trusts the authorities of the host.
    pub tls: Option<Tls>,
    /// Timeout until the answer begins, and of a pause in it.
    pub timeout: Duration,
    /// Timeout of one connection attempt.
    pub connect_timeout: Duration,
    /// Whether to go on when the gateway is not there yet (agents), instead of failing at once (commands that a person waits
    /// for). A refused credential fails at once either way.
    pub wait: bool,
}

impl Options {
    /// Returns the defaults of an agent: 10 s for an answer, 5 s to connect, and it waits for the gateway.
    pub fn agent(url: impl Into<String>, party: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            party: party.into(),
            token: None,
            reload_token: None,
            tls: None,
            timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
            wait: true,
        }
    }

    /// Returns the defaults of a command: like an agent's, but it fails at once when nothing answers.
    pub fn command(url: impl Into<String>, party: impl Into<String>) -> Self {
        Self {
            wait: false,
            ..Self::agent(url, party)
        }
    }

    /// Returns what is wrong with a URL, or `None`.
    #[must_use]
    pub fn url_violation(url: &str) -> Option<String> {
        address::parse_all(url).err().map(|error| error.to_string())
    }

    /// Sets the token.
    #[must_use]
    pub fn with_token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Sets where the token is read again.
    #[must_use]
    pub fn reading_token(mut self, read: Option<ReadToken>) -> Self {
        self.reload_token = read;
        self
    }

    /// Sets the files of TLS.
    #[must_use]
    pub fn over(mut self, tls: Option<Tls>) -> Self {
        self.tls = tls;
        self
    }

    /// Reports a missing file at once; otherwise an agent would retry without end.
    pub(crate) fn check_files(&self) -> Result<()> {
        let Some(tls) = &self.tls else { return Ok(()) };
        let client = tls.client.iter().flat_map(|(cert, key)| [cert, key]);
        for path in client.chain(tls.ca.iter()) {
            if let Err(error) = std::fs::metadata(path) {
                let text = format!("{}: {error}; check [exchange] tls", path.display());
                return Err(Error::new(ErrorKind::Certificate, text));
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("url", &self.url)
            .field("party", &self.party)
            .field("token", &self.token.as_ref().map(|_| "(hidden)"))
            .field("reload_token", &self.reload_token.is_some())
            .field("tls", &self.tls)
            .field("timeout", &self.timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("wait", &self.wait)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_debug_output_hides_the_token() {
        let shown = format!(
            "{:?}",
            Options::agent("https://h", "bureau").with_token("tokSECRET")
        );
        assert!(!shown.contains("SECRET"), "{shown}");
    }

    #[test]
    fn options_missing_file_is_a_certificate_error() {
        let options = Options::agent("https://h", "bureau").over(Some(Tls {
            ca: Some("/nonexistent/ca.pem".into()),
            client: None,
        }));
        assert_eq!(options.check_files().unwrap_err().kind, ErrorKind::Certificate);
    }
}
