//! Reaches one of them.

use std::fmt;
use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::config::Host;
use tokio_postgres::tls::NoTlsStream;
use tokio_postgres::{Client, Config, Connection, Error, NoTls, Socket};

use crate::hosts::each;

/// What one server has to accept us and to be ready.
pub const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// A connection, and what drives it.
pub type Reached = (Client, Connection<Socket, NoTlsStream>);

/// Why none was reached: what the last of them did.
#[derive(Debug)]
pub enum Unreached {
    /// It refused, or the network did.
    Refused(Error),
    /// It said nothing in its time.
    Silent,
}

/// The servers of a URL, in its order.
pub struct Servers(Vec<Config>);

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
    /// The URL cannot be read. The error may repeat parts of it, and is not to be told.
    pub fn of(url: &str, application: &str, unheard: Duration) -> Result<Self, Error> {
        let mut wire: Config = url.parse()?;
        wire.application_name(application)
            .connect_timeout(CONNECT_WITHIN)
            .tcp_user_timeout(unheard)
            .keepalives_idle(CONNECT_WITHIN * 2)
            .keepalives_interval(CONNECT_WITHIN)
            .keepalives_retries(3);
        Ok(Self(each(&wire)))
    }

    /// How many there are to be tried.
    #[must_use]
    pub fn many(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    /// Their names.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.0.iter().flat_map(Config::get_hosts)
    }

    /// The first that accepts us.
    ///
    /// # Errors
    /// [`Unreached`] as the last of them was.
    pub async fn connect(&self) -> Result<Reached, Unreached> {
        let mut last = Unreached::Silent;
        for wire in &self.0 {
            match timeout(CONNECT_WITHIN, wire.connect(NoTls)).await {
                Ok(Ok(reached)) => return Ok(reached),
                Ok(Err(error)) => last = Unreached::Refused(error),
                Err(_) => last = Unreached::Silent,
            }
        }
        Err(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Trap: a password in a log line.
    #[test]
    fn what_is_shown_of_them_holds_nothing_of_the_url() {
        let servers = Servers::of("postgres://me:secret@one,two/core", "slacktide", CONNECT_WITHIN).unwrap();
        assert_eq!((servers.many(), servers.hosts().count()), (2, 2));
        assert_eq!(format!("{servers:?}"), "Servers(url not shown)");
    }
}
