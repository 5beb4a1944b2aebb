//! The files behind a TLS connection. They are read for every connection.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::options::Tls;

/// The protocol names of HTTP/2 and HTTP/1.1; the gateway chooses.
pub(crate) const H2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// Makes what rustls needs. Reads files, and so blocks. Returns what is wrong with a file.
pub(crate) fn config(tls: Option<&Tls>) -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|error| format!("TLS cannot be set up: {error}"))?
        .with_root_certificates(roots(tls.and_then(|tls| tls.ca.as_deref()))?);
    let mut config = match tls.and_then(|tls| tls.client.as_ref()) {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => builder
            .with_client_auth_cert(certificates(cert)?, private_key(key)?)
            .map_err(|error| {
                format!(
                    "could not load {} with {}: {error}",
                    cert.display(),
                    key.display()
                )
            })?,
    };
    config.alpn_protocols = vec![H2.to_vec(), HTTP1.to_vec()];
    Ok(config)
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    let certificates = match ca {
        Some(path) => certificates(path)?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    match store.add_parsable_certificates(certificates) {
        (0, _) => Err(match ca {
            Some(path) => format!("could not load an authority's certificate from {}", path.display()),
            None => "this host has no certificates of authorities: install them (package ca-certificates), or set \
                     [exchange.tls] ca"
                .to_owned(),
        }),
        _ => Ok(store),
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(format!("could not load a certificate from {}", path.display())),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(&read(path)?)
        .map_err(|_| format!("could not load a private key from {}", path.display()))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("could not load {}: {error}", path.display()))
}
