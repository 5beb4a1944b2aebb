//! One more certificate by the authority of a site, for a party or a machine that joins later.

use std::path::Path;

use runtime::exit::Exit;

use super::certificates::{self, Pair};
use super::files;
use crate::cli::keys::CertificateArgs;
use crate::failure::{Failure, Outcome};
use crate::output;

/// Reads the authority's certificate and private key.
///
/// # Errors
/// One of the two cannot be read.
pub(super) fn authority_in(folder: &Path) -> Result<Pair, Failure> {
    Ok(Pair {
        certificate: files::read(&folder.join("ca.pem"))?,
        key: files::read(&folder.join("ca.key"))?,
    })
}

/// Issues a certificate, and writes it with the authority's own. No file is overwritten.
///
/// # Errors
/// The authority cannot be read, or the folder holds one of the files already.
pub(super) fn issue(args: &CertificateArgs) -> Outcome {
    let authority = authority_in(&args.authority)?;
    let name = args.name.as_str();
    let (pair, kind) = if args.host.is_empty() {
        (certificates::client(&authority, name, args.days)?, "client")
    } else {
        (certificates::server(&authority, &args.host, args.days)?, "server")
    };
    let mut texts = vec![
        (format!("{kind}.pem"), pair.certificate),
        (format!("{kind}.key"), pair.key),
    ];
    let has_authority =
        std::fs::read_to_string(args.out.join("ca.pem")).is_ok_and(|text| text == authority.certificate);
    if !has_authority {
        texts.push(("ca.pem".to_owned(), authority.certificate));
    }
    files::write_new(&args.out, &texts)?;
    let out = args.out.display();
    output::lines([
        format!(
            "{out}/{kind}.pem   certificate of {name}, valid for {} days",
            args.days
        ),
        format!("{out}/{kind}.key   secret: keep it on that machine, mode 0600"),
        format!("{out}/ca.pem   the authority, for [exchange.tls] ca"),
    ]);
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    type Tested = Result<(), Box<dyn std::error::Error>>;

    fn certificate_args(
        folder: &Path,
        name: &str,
        host: &[&str],
    ) -> Result<CertificateArgs, schemas::name::BadName> {
        Ok(CertificateArgs {
            authority: folder.join("authority"),
            name: name.parse()?,
            host: host.iter().map(|host| (*host).to_owned()).collect(),
            out: folder.join(name),
            days: 7,
        })
    }

    #[test]
    fn certificate_is_issued_once_with_its_authority() -> Tested {
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name);
        let authority = certificates::authority("of a test").map_err(|failure| failure.to_string())?;
        files::write_new(
            &path("authority"),
            &[
                ("ca.pem".to_owned(), authority.certificate.clone()),
                ("ca.key".to_owned(), authority.key),
            ],
        )
        .map_err(|failure| failure.to_string())?;
        let party = certificate_args(folder.path(), "insurer-b", &[])?;
        issue(&party).map_err(|failure| failure.to_string())?;
        assert_eq!(
            std::fs::read_to_string(path("insurer-b/ca.pem"))?,
            authority.certificate
        );
        let mode = std::fs::metadata(path("insurer-b/client.key"))?
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let before = std::fs::read(path("insurer-b/client.pem"))?;
        let again = issue(&party).map_err(|failure| failure.to_string());
        assert!(
            again.is_err_and(|why| why.contains("exists already")),
            "it was issued again"
        );
        assert_eq!(std::fs::read(path("insurer-b/client.pem"))?, before);
        // A server's certificate joins a folder that has the authority's.
        let server = CertificateArgs {
            out: path("insurer-b"),
            ..certificate_args(folder.path(), "exchange", &["dmz.example"])?
        };
        issue(&server).map_err(|failure| failure.to_string())?;
        assert!(path("insurer-b/server.pem").exists());
        Ok(())
    }
}
