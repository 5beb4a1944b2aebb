//! Reaches one of them.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::config::{Host, LoadBalanceHosts};
use tokio_postgres::{Client, Error};

use crate::cancel::Cancel;
use crate::driver::Driver;
use crate::hosts::{Server, each};
use crate::mode::SslMode;
use crate::security::Security;
use crate::tls::{Connector, TlsError, config, error_of};
use crate::url::{TlsParameters, Url, UrlError};

/// What one server has to accept us and to be ready.
pub const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// An open connection.
pub struct Reached {
    /// What statements are sent on.
    pub client: Client,
    /// Must run alongside the client.
    pub driver: Driver,
    /// Cancels its statements.
    pub cancel: Cancel,
    /// What protects it.
    pub security: Security,
}

/// Why none was reached: what the last of them did.
#[derive(Debug)]
pub enum Unreached {
    /// It refused, or the network did.
    Refused(Error),
    /// It did not answer in time.
    Silent,
    /// TLS could not be had as the URL requires it.
    Tls(TlsError),
}

/// The servers of a URL, in its order.
pub struct Servers {
    each: Vec<Server>,
    tls: TlsParameters,
    by_default: bool,
    spread: bool,
}

/// The URL holds a password.
impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Servers(url not shown)")
    }
}

impl Servers {
    /// Of a URL. `application` is our name in the server's list of sessions; a connection ends when what was sent
    /// on it is not acknowledged within `unheard`.
    ///
    /// # Errors
    /// The URL cannot be used; the error repeats nothing of it.
    pub fn of(url: &str, application: &str, unheard: Duration) -> Result<Self, UrlError> {
        let mut url = Url::parse(url)?;
        url.wire
            .application_name(application)
            .connect_timeout(CONNECT_WITHIN)
            .tcp_user_timeout(unheard)
            .keepalives_idle(CONNECT_WITHIN * 2)
            .keepalives_interval(CONNECT_WITHIN)
            .keepalives_retries(3);
        Ok(Self {
            each: each(&url),
            by_default: url.tls.mode.is_none(),
            spread: url.wire.get_load_balance_hosts() == LoadBalanceHosts::Random,
            tls: url.tls,
        })
    }

    /// The same with settings for the session, behind those of the URL: `-c name=value …`.
    #[must_use]
    pub fn with_options(mut self, settings: &str) -> Self {
        for server in &mut self.each {
            let options = format!("{} {settings}", server.wire.get_options().unwrap_or_default());
            server.wire.options(options.trim());
        }
        self
    }

    /// How many there are to be tried.
    #[must_use]
    pub fn many(&self) -> u32 {
        u32::try_from(self.each.len()).unwrap_or(u32::MAX)
    }

    /// Their names.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.each.iter().flat_map(|server| server.wire.get_hosts())
    }

    /// The first that accepts us.
    ///
    /// # Errors
    /// [`Unreached`] as the last of them was.
    pub async fn connect(&self) -> Result<Reached, Unreached> {
        let mut last = Unreached::Silent;
        for server in self.order() {
            match timeout(CONNECT_WITHIN, self.one(server)).await {
                Ok(Ok(reached)) => return Ok(reached),
                Ok(Err(error)) => last = error,
                Err(_) => last = Unreached::Silent,
            }
        }
        Err(last)
    }

    fn order(&self) -> Vec<&Server> {
        let mut order: Vec<&Server> = self.each.iter().collect();
        if self.spread {
            order.sort_by_cached_key(|_| RandomState::new().hash_one(0));
        }
        order
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that connects, over TLS as the URL requires it"
    )]
    async fn one(&self, server: &Server) -> Result<Reached, Unreached> {
        let mut tls = Connector::new(None);
        if server.mode != SslMode::Disable {
            let (mode, parameters) = (server.mode, self.tls.clone());
            let negotiation = server.wire.get_ssl_negotiation();
            let made = tokio::task::spawn_blocking(move || config(mode, &parameters, negotiation)).await;
            // A task that did not end: the process is ending.
            let made = made.map_err(|_| Unreached::Silent)?;
            tls = Connector::new(Some(made.map_err(Unreached::Tls)?));
        }
        let connected = server.wire.connect(tls.clone()).await;
        let (client, connection) = connected.map_err(|error| match error_of(&error) {
            Some(error) => Unreached::Tls(error),
            None => Unreached::Refused(error),
        })?;
        let security = Security {
            mode: server.mode,
            by_default: self.by_default,
            tls: tls.negotiated(),
            client_certificate: self.tls.client.is_some(),
            reach: server.reach,
        };
        let token = client.cancel_token();
        Ok(Reached {
            client,
            driver: Driver(connection),
            cancel: Cancel { token, tls },
            security,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Trap: a password in a log line.
    #[test]
    fn servers_debug_text_hides_the_url() {
        let servers = Servers::of("postgres://me:secret@one,two/core", "slacktide", CONNECT_WITHIN).unwrap();
        assert_eq!((servers.many(), servers.hosts().count()), (2, 2));
        assert_eq!(format!("{servers:?}"), "Servers(url not shown)");
    }

    #[test]
    fn servers_spread_by_chance_are_each_tried() {
        let url = "postgres://me@one,two,three/core?load_balance_hosts=random";
        let servers = Servers::of(url, "slacktide", CONNECT_WITHIN).unwrap();
        assert_eq!(servers.order().len(), 3);
    }

    #[test]
    fn servers_options_follow_those_of_the_url() {
        let url = "postgres://me@one,two/core?options=-csearch_path%3Dx";
        let servers = Servers::of(url, "slacktide", CONNECT_WITHIN).unwrap();
        let servers = servers.with_options("-c jit=off");
        for server in &servers.each {
            assert_eq!(server.wire.get_options(), Some("-csearch_path=x -c jit=off"));
        }
    }
}
