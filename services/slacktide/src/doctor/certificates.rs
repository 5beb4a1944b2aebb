//! The certificates of a connection: whose they are, and until when.

use std::path::Path;

use jiff::Timestamp;
use runtime::exit::Exit;
use x509_parser::pem::Pem;

use super::finding::Findings;
use crate::failure::Failure;
use crate::settings::exchange::TlsTable;

/// Somebody should look so many days before the end.
const SOON_DAYS: i64 = 30;

/// What a certificate says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Certificate {
    subject: String,
    until: Timestamp,
}

/// Looks at the files; connects to nobody.
pub(crate) fn examine(tls: &TlsTable, folder: &Path, now: Timestamp, findings: &mut Findings) {
    let files = [("authority", Some(&tls.ca)), ("certificate", tls.cert.as_ref())];
    for (about, path) in files {
        let Some(path) = path else { continue };
        let path = folder.join(path);
        match read(&path) {
            Ok(all) => {
                for one in all {
                    tell(about, &one, &path, now, findings);
                }
            }
            Err(why) => {
                let what = format!("{}: {why}; give a PEM file with a certificate", path.display());
                findings.fail(about, &Failure::new(Exit::Denied, what));
            }
        }
    }
}

fn tell(about: &str, one: &Certificate, path: &Path, now: Timestamp, findings: &mut Findings) {
    let days = one.until.duration_since(now).as_secs() / 86_400;
    let what = format!("{}, until {:.0} ({})", one.subject, one.until, path.display());
    if one.until <= now {
        let what = format!("{what}: it is over, renew it");
        findings.fail(about, &Failure::new(Exit::Denied, what));
    } else if days < SOON_DAYS {
        findings.warn(about, format!("{what}: {days} days are left, renew it"));
    } else {
        findings.ok(about, what);
    }
}

fn read(path: &Path) -> Result<Vec<Certificate>, String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    let mut all = Vec::new();
    for pem in Pem::iter_from_buffer(&bytes) {
        let pem = pem.map_err(|error| error.to_string())?;
        if pem.label != "CERTIFICATE" {
            continue;
        }
        let parsed = pem.parse_x509().map_err(|error| error.to_string())?;
        let until = Timestamp::from_second(parsed.validity().not_after.timestamp());
        all.push(Certificate {
            subject: parsed.subject().to_string(),
            until: until.map_err(|error| error.to_string())?,
        });
    }
    if all.is_empty() {
        return Err("no certificate is in it".to_owned());
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_told_warned_of_and_over_by_its_own_date() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let key = rcgen::KeyPair::generate()?;
        let mut params = rcgen::CertificateParams::new(Vec::new())?;
        params.not_after = rcgen::date_time_ymd(2030, 6, 30);
        std::fs::write(folder.path().join("a.pem"), params.self_signed(&key)?.pem())?;
        std::fs::write(folder.path().join("b.pem"), key.serialize_pem())?;
        let look = |file: &str, now: &str| -> Result<(Exit, String), Box<dyn std::error::Error>> {
            let tls = TlsTable {
                ca: file.into(),
                cert: None,
                key: None,
            };
            let mut findings = Findings::default();
            examine(&tls, folder.path(), now.parse()?, &mut findings);
            Ok((findings.exit(), findings.told()))
        };
        for (now, exit, told) in [
            ("2030-05-30T00:00:00Z", Exit::Done, "ok "),
            ("2030-06-20T00:00:00Z", Exit::Done, "10 days are left, renew it"),
            ("2030-06-30T00:00:00Z", Exit::Denied, "it is over, renew it"),
        ] {
            let found = look("a.pem", now)?;
            assert!(found.0 == exit && found.1.contains(told), "{now}: {found:?}");
        }
        for file in ["b.pem", "none.pem"] {
            let found = look(file, "2030-01-01T00:00:00Z")?;
            assert!(found.0 == Exit::Denied && found.1.contains(file), "{found:?}");
        }
        Ok(())
    }
}
