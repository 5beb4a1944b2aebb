//! Why TLS failed, with what to do.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

use tokio_rustls::rustls::{AlertDescription, CertificateError, Error};

/// A TLS connection that could not be made. No part of the URL is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsError {
    /// What failed, and why.
    pub what: Cow<'static, str>,
    /// What to do about it.
    pub remedy: &'static str,
}

impl TlsError {
    pub(super) fn new(what: impl Into<Cow<'static, str>>, remedy: &'static str) -> Self {
        Self {
            what: what.into(),
            remedy,
        }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl StdError for TlsError {}

/// The TLS part of an error of the driver, or `None` where TLS is not what failed.
pub(crate) fn of(error: &tokio_postgres::Error) -> Option<TlsError> {
    let mut next = error.source();
    while let Some(inner) = next {
        if let Some(error) = inner.downcast_ref::<TlsError>() {
            return Some(error.clone());
        }
        if let Some(error) = inner.downcast_ref::<Error>() {
            return Some(of_rustls(error));
        }
        // An IO error shows the source of what it holds, but not what it holds.
        let held = inner
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref)
            .and_then(|held| held.downcast_ref::<Error>());
        if let Some(error) = held {
            return Some(of_rustls(error));
        }
        // The driver has only this text for it.
        if inner.to_string() == "server does not support TLS" {
            return Some(TlsError::new(
                "the database server does not offer TLS, and a connection in clear is refused",
                "set ssl = on at the server; only where the network between is trusted, write sslmode=disable into the URL",
            ));
        }
        next = inner.source();
    }
    None
}

fn of_rustls(error: &Error) -> TlsError {
    match error {
        Error::InvalidCertificate(error) => of_certificate(error),
        Error::AlertReceived(alert) => TlsError::new(
            format!("the database server refused our side of TLS: {}", name(*alert)),
            "give the client certificate that it asks for: sslcert and sslkey in the URL, issued by an authority of its \
             ssl_ca_file, and not expired",
        ),
        other => TlsError::new(
            format!("TLS with the database server failed: {other}"),
            "check that a PostgreSQL server with TLS 1.2 or 1.3 answers there",
        ),
    }
}

fn of_certificate(error: &CertificateError) -> TlsError {
    match error {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => TlsError::new(
            "the database server's certificate is not of a trusted authority",
            "give the certificate of the authority that issued it: sslrootcert=FILE in the URL",
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => TlsError::new(
            "the database server's certificate is for another host name",
            "connect by a name or address of its subjectAltName, or have one issued for the host in the URL",
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => TlsError::new(
            "the database server's certificate has expired",
            "renew it at the server; check the clock of this host",
        ),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => TlsError::new(
            "the database server's certificate is not valid yet",
            "check the clocks of this host and of the host that issued it",
        ),
        other => TlsError::new(
            format!("the database server's certificate cannot be used: {other}"),
            "have an X.509 version 3 certificate for the server issued by an authority, whose own certificate is in \
             sslrootcert",
        ),
    }
}

fn name(alert: AlertDescription) -> String {
    format!("{alert:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_errors_of_certificates_have_their_own_remedies() {
        for (error, word) in [
            (CertificateError::UnknownIssuer, "authority"),
            (CertificateError::NotValidForName, "host name"),
            (CertificateError::Expired, "expired"),
            (CertificateError::NotValidYet, "not valid yet"),
            (CertificateError::BadEncoding, "cannot be used"),
        ] {
            let found = of_rustls(&Error::InvalidCertificate(error));
            assert!(found.what.contains(word), "{found}");
        }
    }
}
