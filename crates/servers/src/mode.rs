//! PURE: how much of TLS a connection requires. The names and meanings are libpq's.

use std::fmt;

use tokio_postgres::config::{Host, SslMode as WireMode};

/// The `sslmode` of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// No TLS.
    Disable,
    /// TLS where the server offers it, and in clear where it does not. Nothing is verified.
    Prefer,
    /// TLS. Nothing is verified, so it does not protect from a server in the middle.
    Require,
    /// TLS, and the certificate has to come from a trusted authority.
    VerifyCa,
    /// The same, and the certificate has to name the host.
    VerifyFull,
}

impl SslMode {
    /// The value of the parameter, or `None` where there is no such mode.
    pub(crate) fn named(text: &str) -> Option<Self> {
        [
            Self::Disable,
            Self::Prefer,
            Self::Require,
            Self::VerifyCa,
            Self::VerifyFull,
        ]
        .into_iter()
        .find(|mode| mode.name() == text)
    }

    /// Its name in a URL.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }

    /// What the driver makes of it. Verification is the connector's.
    pub(crate) fn wire(self) -> WireMode {
        match self {
            Self::Disable => WireMode::Disable,
            Self::Prefer => WireMode::Prefer,
            Self::Require | Self::VerifyCa | Self::VerifyFull => WireMode::Require,
        }
    }
}

impl fmt::Display for SslMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where a server is, as far as it matters to TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// A socket of this host's file system.
    Socket,
    /// A loopback address or name.
    Loopback,
    /// Anything else.
    Network,
}

impl Reach {
    /// Of one server. The address decides where both are given, because it is what is connected to.
    pub(crate) fn of(host: Option<&Host>, address: Option<std::net::IpAddr>) -> Self {
        match (host, address) {
            (_, Some(address)) if address.is_loopback() => Self::Loopback,
            (_, Some(_)) | (None, None) => Self::Network,
            (Some(Host::Unix(_)), None) => Self::Socket,
            (Some(Host::Tcp(name)), None) if is_loopback(name) => Self::Loopback,
            (Some(Host::Tcp(_)), None) => Self::Network,
        }
    }
}

/// Returns whether a host is a loopback address or `localhost`, which every resolver must map to one.
fn is_loopback(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// What one server requires. `written` is the parameter's value; `asks` means that another TLS parameter
/// asks for TLS as well.
pub(crate) fn required(written: Option<SslMode>, asks: bool, roots_file: bool, reach: Reach) -> SslMode {
    match (written, reach) {
        // PostgreSQL has no TLS over such sockets.
        (_, Reach::Socket) => SslMode::Disable,
        // As in libpq: named authorities are verified.
        (Some(SslMode::Require), _) if roots_file => SslMode::VerifyCa,
        (Some(mode), _) => mode,
        (None, Reach::Loopback) if !asks => SslMode::Disable,
        (None, Reach::Loopback | Reach::Network) => SslMode::VerifyFull,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(host: &str, address: Option<&str>) -> Reach {
        let host = if host.starts_with('/') {
            Host::Unix(host.into())
        } else {
            Host::Tcp(host.to_owned())
        };
        Reach::of(Some(&host), address.map(|text| text.parse().unwrap()))
    }

    #[test]
    fn mode_default_is_verify_full_beyond_loopback() {
        for (host, address, expected) in [
            ("db.example.org", None, SslMode::VerifyFull),
            ("10.0.0.5", None, SslMode::VerifyFull),
            ("fe80::1", None, SslMode::VerifyFull),
            ("0.0.0.0", None, SslMode::VerifyFull),
            ("localhost.example.org", None, SslMode::VerifyFull),
            ("127.0.0.1.example.org", None, SslMode::VerifyFull),
            // The address is what is connected to.
            ("localhost", Some("10.0.0.5"), SslMode::VerifyFull),
            ("db.example.org", Some("127.0.0.1"), SslMode::Disable),
            ("localhost", None, SslMode::Disable),
            ("LOCALHOST", None, SslMode::Disable),
            ("127.0.0.1", None, SslMode::Disable),
            ("127.8.0.1", None, SslMode::Disable),
            ("::1", None, SslMode::Disable),
            ("/run/postgresql", None, SslMode::Disable),
        ] {
            let found = required(None, false, false, reach(host, address));
            assert_eq!(found, expected, "{host} {address:?}");
        }
    }

    #[test]
    fn mode_written_holds_for_every_host_but_a_socket() {
        for mode in ["disable", "prefer", "require", "verify-ca", "verify-full"] {
            let mode = SslMode::named(mode).unwrap();
            for host in ["db.example.org", "127.0.0.1"] {
                assert_eq!(required(Some(mode), true, false, reach(host, None)), mode);
            }
            let socket = required(Some(mode), true, false, reach("/run/postgresql", None));
            assert_eq!(socket, SslMode::Disable);
        }
        assert_eq!(SslMode::named("allow"), None);
        assert_eq!(SslMode::named("Require"), None);
    }

    #[test]
    fn mode_require_with_authorities_verifies_them() {
        let network = reach("db.example.org", None);
        let found = required(Some(SslMode::Require), true, true, network);
        assert_eq!(found, SslMode::VerifyCa);
    }

    #[test]
    fn mode_on_loopback_with_tls_parameters_verifies() {
        let found = required(None, true, false, reach("127.0.0.1", None));
        assert_eq!(found, SslMode::VerifyFull);
    }
}
