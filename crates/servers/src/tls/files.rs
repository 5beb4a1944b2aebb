//! The files behind a TLS connection.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use tokio_postgres::config::SslNegotiation;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

use super::error::TlsError;
use super::verify::{AnyCertificate, AnyName};
use crate::mode::SslMode;
use crate::url::{Roots, TlsParameters};

/// Makes what rustls needs for a mode. Reads files, and so blocks.
pub(crate) fn config(
    mode: SslMode,
    tls: &TlsParameters,
    negotiation: SslNegotiation,
) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let versions: &[&SupportedProtocolVersion] = if tls.only_1_3 {
        &[&TLS13]
    } else {
        &[&TLS13, &TLS12]
    };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .map_err(|_| TlsError::new("TLS cannot be set up", "report the version of slacktide"))?;
    let algorithms = provider.signature_verification_algorithms;
    let builder = match mode {
        SslMode::VerifyFull => builder.with_root_certificates(roots(&tls.roots)?),
        SslMode::VerifyCa => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyName::new(roots(&tls.roots)?, algorithms))),
        SslMode::Disable | SslMode::Prefer | SslMode::Require => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(algorithms))),
    };
    let mut config = match &tls.client {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => builder
            .with_client_auth_cert(certificates(cert, "sslcert")?, private_key(key)?)
            .map_err(|_| {
                TlsError::new(
                    "the private key of sslkey does not fit the certificate of sslcert, or is of a kind that is not known",
                    "give the key that the certificate was issued for",
                )
            })?,
    };
    if negotiation == SslNegotiation::Direct {
        config.alpn_protocols = vec![b"postgresql".to_vec()];
    }
    Ok(Arc::new(config))
}

fn roots(roots: &Roots) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    let (known, _) = match roots {
        Roots::Unset | Roots::System => {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)
        }
        Roots::File(path) => store.add_parsable_certificates(certificates(path, "sslrootcert")?),
    };
    if known > 0 {
        return Ok(store);
    }
    Err(match roots {
        Roots::File(_) => TlsError::new(
            "the file of sslrootcert holds no certificate of an authority",
            "give a PEM file with the certificate of the authority that issued the server's",
        ),
        Roots::Unset | Roots::System => TlsError::new(
            "this host has no certificates of authorities",
            "install them (package ca-certificates), or give sslrootcert=FILE in the URL",
        ),
    })
}

fn certificates(path: &Path, parameter: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path, parameter)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.unwrap_or_default();
    if found.is_empty() {
        return Err(TlsError::new(
            format!("the file of {parameter} holds no certificate that can be read"),
            "give a PEM file with -----BEGIN CERTIFICATE-----",
        ));
    }
    Ok(found)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read(path, "sslkey")?;
    let mode = std::fs::metadata(path).map_err(|error| unreadable("sslkey", &error))?;
    if mode.permissions().mode() & 0o007 != 0 {
        return Err(TlsError::new(
            "everyone on this host can use the file of sslkey",
            "chmod 600 it, and have a new key and certificate made if others may have seen it",
        ));
    }
    PrivateKeyDer::from_pem_slice(&text).map_err(|_| {
        TlsError::new(
            "the file of sslkey holds no private key that can be read",
            "give a PEM file with a private key that is not encrypted",
        )
    })
}

fn read(path: &Path, parameter: &'static str) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|error| unreadable(parameter, &error))
}

/// Without the path: it is a part of the URL.
fn unreadable(parameter: &str, error: &std::io::Error) -> TlsError {
    TlsError::new(
        format!("the file of {parameter} cannot be read: {error}"),
        "correct its path in the URL, and let the agent's user read it",
    )
}
