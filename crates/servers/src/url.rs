//! PURE: a connection string, `postgres://…` or `key=value` pairs, with the TLS parameters of libpq.
//!
//! The driver knows neither verification nor certificates, so these parameters are taken out before it reads the rest.
//! A connection string holds a password, perhaps in a place where it was not meant: an unescaped character is enough.
//! No error here repeats any of it; [`UrlError`] has room for fixed texts and numbers only.

mod error;
mod text;

use std::fmt;
use std::path::{Path, PathBuf};

use tokio_postgres::Config;
use tokio_postgres::config::{ChannelBinding, SslNegotiation};

pub use error::UrlError;
use text::Text;

use crate::mode::SslMode;

/// A connection string that was read.
#[derive(Clone)]
pub struct Url {
    pub(crate) wire: Config,
    pub(crate) tls: TlsParameters,
}

/// The URL holds a password.
impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Url(not shown)")
    }
}

/// What the connector needs of it.
#[derive(Clone, Default)]
pub(crate) struct TlsParameters {
    pub(crate) mode: Option<SslMode>,
    pub(crate) roots: Roots,
    /// Certificate and private key, PEM files.
    pub(crate) client: Option<(PathBuf, PathBuf)>,
    /// TLS 1.2 is refused.
    pub(crate) only_1_3: bool,
}

/// The authorities that may have issued the server's certificate.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) enum Roots {
    /// Nothing is written: the system's, where any are needed.
    #[default]
    Unset,
    /// The system's.
    System,
    /// Those of a PEM file.
    File(PathBuf),
}

/// What the driver reads.
const OF_DRIVER: &[&str] = &[
    "user",
    "password",
    "dbname",
    "options",
    "application_name",
    "sslnegotiation",
    "host",
    "hostaddr",
    "port",
    "connect_timeout",
    "tcp_user_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "target_session_attrs",
    "channel_binding",
    "load_balance_hosts",
];

/// Names of files, written relative to the configuration's folder.
const FILES: &[&str] = &["sslrootcert", "sslcert", "sslkey"];

/// What libpq takes and this does not, each with what to do instead. A name of this list may be repeated in an error:
/// the text is the list's.
const UNSUPPORTED: &[(&str, &str)] = &[
    ("service", "write host, database and user into the URL"),
    ("servicefile", "write host, database and user into the URL"),
    ("passfile", "write the password into the URL"),
    (
        "sslpassword",
        "decrypt the private key, and protect its file by mode 0600",
    ),
    ("sslcrl", "remove it; revocation lists are not read"),
    ("sslcrldir", "remove it; revocation lists are not read"),
    ("sslcompression", "remove it"),
    (
        "sslcertmode",
        "remove it; sslcert and sslkey are offered where they are given",
    ),
    (
        "requiressl",
        "write sslmode=require, or better sslmode=verify-full",
    ),
    ("requirepeer", "remove it"),
    ("require_auth", "remove it"),
    ("gssencmode", "remove it; GSSAPI is not used"),
    ("gssdelegation", "remove it; GSSAPI is not used"),
    ("gsslib", "remove it; GSSAPI is not used"),
    ("krbsrvname", "remove it; GSSAPI is not used"),
    ("client_encoding", "remove it; the encoding is UTF-8"),
    ("fallback_application_name", "remove it"),
    ("replication", "remove it; no replication connection is made"),
    ("ssl_max_protocol_version", "remove it"),
    ("sslkeylogfile", "remove it"),
];

impl Url {
    /// Reads a connection string.
    ///
    /// # Errors
    /// Where it is not one, or a parameter is not known, not supported, or has another value than it takes.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let mut rest = Text::read(text)?;
        let mut tls = TlsParameters::default();
        let (mut cert, mut key) = (None, None);
        let mut seen: Vec<&'static str> = Vec::new();
        let mut kept = Vec::new();
        for (place, pair) in std::mem::take(&mut rest.pairs).into_iter().enumerate() {
            let mut once = |name: &'static str| {
                if seen.contains(&name) {
                    return Err(UrlError::Twice(name));
                }
                seen.push(name);
                Ok(())
            };
            let file = || Some(PathBuf::from(&pair.value)).filter(|path| !path.as_os_str().is_empty());
            match pair.key.as_str() {
                "sslmode" => {
                    once("sslmode")?;
                    if !pair.value.is_empty() {
                        tls.mode = Some(mode(&pair.value)?);
                    }
                }
                "sslrootcert" => {
                    once("sslrootcert")?;
                    tls.roots = match file() {
                        _ if pair.value == "system" => Roots::System,
                        Some(path) => Roots::File(path),
                        None => Roots::Unset,
                    };
                }
                "sslcert" => {
                    once("sslcert")?;
                    cert = file();
                }
                "sslkey" => {
                    once("sslkey")?;
                    key = file();
                }
                "ssl_min_protocol_version" => {
                    once("ssl_min_protocol_version")?;
                    tls.only_1_3 = only_1_3(&pair.value)?;
                }
                // Always sent.
                "sslsni" if pair.value == "1" => {}
                "sslsni" => return Err(UrlError::Value("sslsni", "1")),
                "keepalives_count" => kept.push(pair.renamed("keepalives_retries")),
                name if OF_DRIVER.contains(&name) => kept.push(pair),
                name => return Err(unknown(name, place)),
            }
        }
        tls.client = match (cert, key) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            _ => return Err(UrlError::HalfCertificate),
        };
        rest.pairs = kept;
        let wire: Config = rest.joined().parse().map_err(|_| UrlError::Unreadable)?;
        let url = Self { wire, tls };
        url.consistent()?;
        Ok(url)
    }

    /// The same text with relative names of certificate files made absolute, so that it means the same wherever it is
    /// read.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn anchored(text: &str, folder: &Path) -> Result<String, UrlError> {
        Self::parse(text)?;
        let mut rest = Text::read(text)?;
        for pair in &mut rest.pairs {
            let is_file = FILES.contains(&pair.key.as_str()) && !pair.value.is_empty();
            if is_file && !(pair.key == "sslrootcert" && pair.value == "system") {
                let path = folder.join(&pair.value);
                *pair = rest.form.pair(&pair.key, &path.to_string_lossy());
            }
        }
        Ok(rest.joined())
    }

    /// The user that it names.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.wire.get_user()
    }

    /// Returns whether a parameter other than the mode asks for TLS.
    pub(crate) fn asks_for_tls(&self) -> bool {
        self.tls.roots != Roots::Unset
            || self.tls.client.is_some()
            || self.tls.only_1_3
            || self.wire.get_ssl_negotiation() == SslNegotiation::Direct
            || self.wire.get_channel_binding() == ChannelBinding::Require
    }

    /// Checks combinations of parameters. Refuses those that libpq refuses.
    fn consistent(&self) -> Result<(), UrlError> {
        let (hosts, addresses) = (self.wire.get_hosts().len(), self.wire.get_hostaddrs().len());
        if hosts == 0 && addresses == 0 {
            return Err(UrlError::NoHost);
        }
        let ports = self.wire.get_ports().len();
        let servers = hosts.max(addresses);
        if (hosts > 0 && addresses > 0 && hosts != addresses) || (ports > 1 && ports != servers) {
            return Err(UrlError::Counts);
        }
        if self.tls.roots == Roots::System && !matches!(self.tls.mode, None | Some(SslMode::VerifyFull)) {
            return Err(UrlError::Together(
                "sslrootcert=system",
                "sslmode=verify-full, because any site can have a certificate of a public authority",
            ));
        }
        if self.tls.mode == Some(SslMode::VerifyCa) && self.tls.roots == Roots::Unset {
            return Err(UrlError::Together(
                "sslmode=verify-ca",
                "sslrootcert=FILE, because any site can have a certificate of a public authority",
            ));
        }
        let is_weak = matches!(self.tls.mode, Some(SslMode::Disable | SslMode::Prefer));
        if is_weak && self.wire.get_ssl_negotiation() == SslNegotiation::Direct {
            return Err(UrlError::Together(
                "sslnegotiation=direct",
                "sslmode=require or better",
            ));
        }
        if self.tls.mode == Some(SslMode::Disable)
            && self.wire.get_channel_binding() == ChannelBinding::Require
        {
            return Err(UrlError::Together(
                "channel_binding=require",
                "sslmode=require or better",
            ));
        }
        Ok(())
    }
}

fn mode(text: &str) -> Result<SslMode, UrlError> {
    SslMode::named(text).ok_or(UrlError::Value(
        "sslmode",
        "disable, prefer, require, verify-ca or verify-full",
    ))
}

fn only_1_3(text: &str) -> Result<bool, UrlError> {
    match text {
        // Versions before 1.2 are never spoken.
        "" | "TLSv1" | "TLSv1.1" | "TLSv1.2" => Ok(false),
        "TLSv1.3" => Ok(true),
        _ => Err(UrlError::Value("ssl_min_protocol_version", "TLSv1.2 or TLSv1.3")),
    }
}

fn unknown(name: &str, place: usize) -> UrlError {
    match UNSUPPORTED.iter().find(|(known, _)| *known == name) {
        Some((known, instead)) => UrlError::Unsupported(known, instead),
        None => UrlError::Unknown(place + 1),
    }
}

#[cfg(test)]
mod tests;
