//! TLS: certificates and authorities, read again when their files change.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::config::TlsFiles;

/// How often the files are compared, at most.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// The maximum size of one file.
const MAX_FILE: u64 = 1024 * 1024;

/// Unusable files of TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path}: {cause}; correct the path or the permissions of the file", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        cause: std::io::Error,
    },
    /// A file does not contain what it should.
    #[error("{path} contains no {what}; give a PEM file with one", path = .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What it should contain.
        what: &'static str,
    },
    /// The private key can be read by every account.
    #[error("every account of this host can read {path}; run: chmod 600 {path}", path = .0.display())]
    OpenKey(PathBuf),
    /// Certificate and key do not fit, or the authorities cannot be used.
    #[error(
        "the files of TLS cannot be used together: {0}; give the key that the certificate was issued for"
    )]
    Unusable(String),
}

/// The files, and what was read from them.
#[derive(Debug)]
pub(crate) struct TlsSource {
    files: TlsFiles,
    loaded: Mutex<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    config: Arc<ServerConfig>,
    marks: Vec<Mark>,
    checked_at: Instant,
}

/// What changes when a file is replaced.
type Mark = Option<(SystemTime, u64, u64)>;

/// The result of a comparison of the files.
#[derive(Debug)]
pub(crate) enum Reload {
    /// They are as they were.
    Unchanged,
    /// They changed and are in force.
    Done,
    /// They changed and cannot be used; the previous ones stay in force.
    Failed(TlsError),
}

impl TlsSource {
    /// Reads the files. Blocks.
    pub(crate) fn read(files: TlsFiles) -> Result<Self, TlsError> {
        let marks = marks(&files);
        let loaded = Loaded {
            config: Arc::new(server_config(&files)?),
            marks,
            checked_at: Instant::now(),
        };
        Ok(Self {
            files,
            loaded: Mutex::new(loaded),
        })
    }

    /// Returns the configuration in force.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.loaded.lock().unwrap_or_else(PoisonError::into_inner).config)
    }

    /// Returns whether the files are to be compared now, and notes that they are.
    pub(crate) fn is_check_due(&self) -> bool {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = loaded.checked_at.elapsed() >= CHECK_INTERVAL;
        if is_due {
            loaded.checked_at = Instant::now();
        }
        is_due
    }

    /// Compares the files and reads them again if one changed. Blocks.
    pub(crate) fn reload(&self) -> Reload {
        let current = marks(&self.files);
        let is_unchanged = self.loaded.lock().unwrap_or_else(PoisonError::into_inner).marks == current;
        if is_unchanged {
            return Reload::Unchanged;
        }
        let read = server_config(&self.files);
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok(config) => {
                loaded.config = Arc::new(config);
                loaded.marks = current;
                Reload::Done
            }
            // The marks stay, so that it is tried again: the other file may follow.
            Err(error) => Reload::Failed(error),
        }
    }
}

fn marks(files: &TlsFiles) -> Vec<Mark> {
    use std::os::unix::fs::MetadataExt;
    let mark = |path: &PathBuf| {
        let metadata = fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
    };
    let paths = [
        Some(&files.certificate),
        Some(&files.key),
        files.client_ca.as_ref(),
    ];
    paths.into_iter().flatten().map(mark).collect()
}

fn server_config(files: &TlsFiles) -> Result<ServerConfig, TlsError> {
    let unusable = |error: &dyn std::fmt::Display| TlsError::Unusable(error.to_string());
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|error| unusable(&error))?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path, "certificate of an authority")? {
                roots.add(certificate).map_err(|error| unusable(&error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .allow_unauthenticated()
                .build()
                .map_err(|error| unusable(&error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let chain = certificates(&files.certificate, "certificate")?;
    let mut config = builder
        .with_single_cert(chain, private_key(&files.key)?)
        .map_err(|error| unusable(&error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // No ticket: a resumed session would keep a client certificate after its authority was removed.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(tokio_rustls::rustls::server::NoServerSessionStorage {});
    Ok(config)
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |cause| TlsError::Read {
        path: path.to_owned(),
        cause,
    };
    if fs::metadata(path).map_err(failed)?.len() > MAX_FILE {
        return Err(failed(std::io::Error::other("it is larger than 1 MiB")));
    }
    fs::read(path).map_err(failed)
}

fn certificates(path: &Path, what: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(TlsError::Content {
            path: path.to_owned(),
            what,
        }),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    use std::os::unix::fs::PermissionsExt;
    let text = read(path)?;
    let is_open = fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o007 != 0);
    if is_open {
        return Err(TlsError::OpenKey(path.to_owned()));
    }
    PrivateKeyDer::from_pem_slice(&text).map_err(|_| TlsError::Content {
        path: path.to_owned(),
        what: "private key without a password",
    })
}
