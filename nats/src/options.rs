//! Options of a connection.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::topology::parties::ADMINISTRATOR;
use crate::topology::rights::{HUB_API, PARTY_API};

/// The files of a connection over TLS, all PEM. They are read again for every connection, so a
/// renewed certificate is used from the next one on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The authorities that may have signed the exchange's certificate.
    pub ca: PathBuf,
    /// Our certificate and its private key, for an exchange that asks for one.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// Reads the seed of the connection key where it is kept; none when it cannot be read now.
pub type ReadSeed = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// The address of the exchange, and the credentials.
#[derive(Clone)]
pub struct Options {
    /// `nats://host:port`; several, separated by commas, for a cluster.
    pub url: String,
    /// The user's name in the account files. Replies come under `_INBOX_<user>`, so that no
    /// other credential can listen to them.
    pub user: String,
    /// The seed (`SU…`) of the connection key; none only for a server without accounts.
    pub seed: Option<String>,
    /// Reads the seed again for every connection, so that a changed key is used from the next connection on. `None` always
    /// uses `seed`. If it returns nothing usable, the last usable seed is used.
    pub reload_seed: Option<ReadSeed>,
    /// TLS with these files is required; `None` leaves TLS to the address and the exchange.
    pub tls: Option<Tls>,
    /// Timeout of one request.
    pub timeout: Duration,
    /// Timeout of one connection attempt.
    pub connect_timeout: Duration,
    /// Whether to go on when the exchange is not there yet (agents), instead of failing at once
    /// (commands that a person waits for). A refused credential fails at once either way.
    pub wait: bool,
}

impl Options {
    /// The defaults of an agent: 10 s for an answer, 5 s to connect, and it waits for the exchange.
    pub fn agent(url: impl Into<String>, user: impl Into<String>, seed: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            user: user.into(),
            seed: Some(seed.into()),
            reload_seed: None,
            tls: None,
            timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
            wait: true,
        }
    }

    /// The defaults of a command: like an agent's, but it fails at once when nothing answers.
    pub fn command(url: impl Into<String>, user: impl Into<String>, seed: impl Into<String>) -> Self {
        Self {
            wait: false,
            ..Self::agent(url, user, seed)
        }
    }

    /// The same over TLS.
    #[must_use]
    pub fn over(mut self, tls: Option<Tls>) -> Self {
        self.tls = tls;
        self
    }

    /// The same with a seed that may be replaced while the connection lives.
    #[must_use]
    pub fn reading_seed(mut self, read: Option<ReadSeed>) -> Self {
        self.reload_seed = read;
        self
    }

    /// The prefix of every request to the JetStream API: the administrator is in the account of the
    /// streams, every party imports what it may ask into an account of its own.
    pub(crate) fn api(&self) -> &'static str {
        if self.user == ADMINISTRATOR {
            HUB_API
        } else {
            PARTY_API
        }
    }

    /// The prefix of every inbox of this user.
    pub(crate) fn inbox(&self) -> String {
        format!("_INBOX_{}", self.user)
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("url", &self.url)
            .field("user", &self.user)
            .field("seed", &self.seed.as_ref().map(|_| "(hidden)"))
            .field("reload_seed", &self.reload_seed.is_some())
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
    fn options_debug_output_hides_the_seed() {
        let shown = format!("{:?}", Options::agent("nats://h", "bureau", "SUSECRET"));
        assert!(!shown.contains("SUSECRET"), "{shown}");
    }
}
