//! The certificates of a connection: subjects and expiry.

use std::path::Path;

use jiff::Timestamp;
use runtime::exit::Exit;
use x509_parser::pem::Pem;

use super::finding::Findings;
use crate::failure::Failure;
use crate::settings::exchange::TlsTable;

/// The number of days before expiry from which a warning is reported.
const WARNING_DAYS: i64 = 30;

/// Subject and expiry of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// Its subject.
    pub(crate) subject: String,
    /// When it expires.
    pub(crate) expires_at: Timestamp,
}

/// Why the certificates of a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] std::io::Error),
    /// The file is not PEM.
    #[error(transparent)]
    Pem(#[from] x509_parser::error::PEMError),
    /// A certificate in it is not valid.
    #[error("{0}")]
    Certificate(String),
    /// The expiry of a certificate is out of range.
    #[error(transparent)]
    Time(#[from] jiff::Error),
    /// It contains none.
    #[error("the file contains no certificate")]
    Empty,
}

/// Checks the files. Opens no connection.
pub(crate) fn examine(tls: &TlsTable, folder: &Path, now: Timestamp, findings: &mut Findings) {
    let files = [("authority", tls.ca.as_ref()), ("certificate", tls.cert.as_ref())];
    for (about, path) in files {
        let Some(path) = path else { continue };
        let path = folder.join(path);
        match read(&path) {
            Ok(all) => {
                for certificate in all {
                    report(about, &certificate, &path, now, findings);
                }
            }
            Err(why) => {
                let what = format!("{}: {why}; give a PEM file with a certificate", path.display());
                findings.fail(about, &Failure::new(Exit::Denied, what));
            }
        }
    }
}

fn report(about: &str, certificate: &Certificate, path: &Path, now: Timestamp, findings: &mut Findings) {
    let days = certificate.expires_at.duration_since(now).as_secs() / 86_400;
    let what = format!(
        "{}, until {:.0} ({})",
        certificate.subject,
        certificate.expires_at,
        path.display()
    );
    if certificate.expires_at <= now {
        let what = format!("{what}: it has expired, renew it");
        findings.fail(about, &Failure::new(Exit::Denied, what));
    } else if days < WARNING_DAYS {
        findings.warn(about, format!("{what}: {days} days are left, renew it"));
    } else {
        findings.ok(about, what);
    }
}

/// Reads the certificates of a PEM file, in order. Never returns an empty list.
pub(crate) fn read(path: &Path) -> Result<Vec<Certificate>, ReadError> {
    let bytes = std::fs::read(path)?;
    let mut all = Vec::new();
    for pem in Pem::iter_from_buffer(&bytes) {
        let pem = pem?;
        if pem.label != "CERTIFICATE" {
            continue;
        }
        let parsed = pem
            .parse_x509()
            .map_err(|error| ReadError::Certificate(error.to_string()))?;
        let expires_at = Timestamp::from_second(parsed.validity().not_after.timestamp());
        all.push(Certificate {
            subject: parsed.subject().to_string(),
            expires_at: expires_at?,
        });
    }
    if all.is_empty() {
        return Err(ReadError::Empty);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificate_is_valid_expiring_or_expired_by_its_date() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let key = rcgen::KeyPair::generate()?;
        let mut params = rcgen::CertificateParams::new(Vec::new())?;
        params.not_after = rcgen::date_time_ymd(2030, 6, 30);
        std::fs::write(folder.path().join("a.pem"), params.self_signed(&key)?.pem())?;
        std::fs::write(folder.path().join("b.pem"), key.serialize_pem())?;
        let check = |file: &str, now: &str| -> Result<(Exit, String), Box<dyn std::error::Error>> {
            let tls = TlsTable {
                ca: Some(file.into()),
                cert: None,
                key: None,
            };
            let mut findings = Findings::default();
            examine(&tls, folder.path(), now.parse()?, &mut findings);
            Ok((findings.exit(), findings.plain_text()))
        };
        for (now, exit, expected) in [
            ("2030-05-30T00:00:00Z", Exit::Done, "ok "),
            ("2030-06-20T00:00:00Z", Exit::Done, "10 days are left, renew it"),
            ("2030-06-30T00:00:00Z", Exit::Denied, "it has expired, renew it"),
        ] {
            let found = check("a.pem", now)?;
            assert!(found.0 == exit && found.1.contains(expected), "{now}: {found:?}");
        }
        for file in ["b.pem", "none.pem"] {
            let found = check(file, "2030-01-01T00:00:00Z")?;
            assert!(found.0 == Exit::Denied && found.1.contains(file), "{found:?}");
        }
        Ok(())
    }
}
