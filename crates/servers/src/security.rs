//! What protects a connection that is open.

use std::fmt;

use tokio_rustls::rustls::ClientConnection;

use crate::mode::{Reach, SslMode};

/// What a handshake agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiated {
    /// Such as `TLSv1.3`.
    pub version: String,
    /// The cipher suite.
    pub suite: String,
}

impl Negotiated {
    pub(crate) fn of(connection: &ClientConnection) -> Self {
        let version = connection
            .protocol_version()
            .map_or_else(String::new, |version| format!("{version:?}").replace('_', "."));
        let suite = connection
            .negotiated_cipher_suite()
            .map_or_else(String::new, |suite| format!("{:?}", suite.suite()));
        Self { version, suite }
    }
}

/// How a connection is protected: what was required of it, and what is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Security {
    /// What the URL requires.
    pub mode: SslMode,
    /// Whether the URL leaves the mode to the default.
    pub by_default: bool,
    /// What is in force; `None`: the connection is in clear.
    pub tls: Option<Negotiated>,
    /// Whether a client certificate is offered to a server that asks for one.
    pub client_certificate: bool,
    pub(crate) reach: Reach,
}

impl Security {
    /// What an operator should change, or `None` where the protection fits the way.
    #[must_use]
    pub fn weakness(&self) -> Option<&'static str> {
        if self.reach == Reach::Socket {
            return None;
        }
        match (self.mode, self.reach) {
            (SslMode::Prefer, _) => Some(
                "sslmode=prefer continues in clear when the server, or an attacker in the middle, offers no TLS; \
                 write sslmode=verify-full with sslrootcert",
            ),
            (SslMode::Require, _) => Some(
                "sslmode=require does not verify who the server is; write sslmode=verify-full with sslrootcert",
            ),
            (SslMode::Disable, Reach::Network) => Some(
                "sslmode=disable sends rows and the password's proof in clear over the network; \
                 write sslmode=verify-full with sslrootcert",
            ),
            _ => None,
        }
    }
}

impl fmt::Display for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.tls, self.reach) {
            (None, Reach::Socket) => return f.write_str("in clear over a socket of this host"),
            (None, Reach::Loopback) => f.write_str("in clear over loopback")?,
            (None, Reach::Network) => f.write_str("in clear over the network")?,
            (Some(tls), _) => {
                let verified = match self.mode {
                    SslMode::VerifyFull => "certificate and host name verified",
                    SslMode::VerifyCa => "certificate verified, host name not",
                    SslMode::Disable | SslMode::Prefer | SslMode::Require => "server not verified",
                };
                write!(f, "{} ({}), {verified}", tls.version, tls.suite)?;
                if self.client_certificate {
                    f.write_str(", client certificate offered")?;
                }
            }
        }
        let by_default = if self.by_default { " by default" } else { "" };
        write!(f, "; sslmode={}{by_default}", self.mode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn security(mode: SslMode, reach: Reach, tls: bool) -> Security {
        let tls = tls.then(|| Negotiated {
            version: "TLSv1.3".to_owned(),
            suite: "TLS13_AES_256_GCM_SHA384".to_owned(),
        });
        Security {
            mode,
            by_default: true,
            tls,
            client_certificate: false,
            reach,
        }
    }

    #[test]
    fn security_names_the_mode_and_what_is_in_force() {
        let full = security(SslMode::VerifyFull, Reach::Network, true);
        assert_eq!(
            full.to_string(),
            "TLSv1.3 (TLS13_AES_256_GCM_SHA384), certificate and host name verified; sslmode=verify-full by default"
        );
        let clear = security(SslMode::Prefer, Reach::Loopback, false);
        assert_eq!(
            clear.to_string(),
            "in clear over loopback; sslmode=prefer by default"
        );
    }

    #[test]
    fn security_warns_of_every_unverified_mode() {
        for (mode, reach, warns) in [
            (SslMode::VerifyFull, Reach::Network, false),
            (SslMode::VerifyCa, Reach::Network, false),
            (SslMode::Require, Reach::Network, true),
            (SslMode::Require, Reach::Loopback, true),
            (SslMode::Prefer, Reach::Network, true),
            (SslMode::Prefer, Reach::Loopback, true),
            (SslMode::Disable, Reach::Network, true),
            (SslMode::Disable, Reach::Loopback, false),
            (SslMode::Disable, Reach::Socket, false),
        ] {
            let found = security(mode, reach, false).weakness().is_some();
            assert_eq!(found, warns, "{mode} {reach:?}");
        }
    }
}
