//! The files of TLS: an authority, the gateway's certificate and a client certificate.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use gateway::TlsFiles;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};

/// The alternative name of the recipient's client certificate.
pub(crate) const CLIENT_NAME: &str = "insurer-a.test";

/// Files in a folder.
pub(crate) struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    /// Writes an authority and everything that it signs.
    pub(crate) fn write(folder: &Path) -> Self {
        let certificates = Self {
            folder: folder.to_owned(),
        };
        certificates.sign();
        certificates
    }

    /// Writes new files of a new authority in place of the others.
    pub(crate) fn sign(&self) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        self.put("ca.pem", &params.self_signed(&key).unwrap().pem());
        let issuer = Issuer::new(params, key);
        for (name, names, usage) in [
            (
                "gateway",
                &["localhost", "127.0.0.1"][..],
                ExtendedKeyUsagePurpose::ServerAuth,
            ),
            ("client", &[CLIENT_NAME], ExtendedKeyUsagePurpose::ClientAuth),
        ] {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(names).unwrap();
            params.distinguished_name.push(DnType::CommonName, name);
            params.extended_key_usages = vec![usage];
            params.use_authority_key_identifier_extension = true;
            let certificate = params.signed_by(&key, &issuer).unwrap();
            self.put(&format!("{name}.pem"), &certificate.pem());
            self.put(&format!("{name}.key"), &key.serialize_pem());
        }
    }

    fn put(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Returns the path of a file.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Returns the gateway's files.
    pub(crate) fn server(&self) -> TlsFiles {
        TlsFiles {
            certificate: self.path("gateway.pem"),
            key: self.path("gateway.key"),
            client_ca: Some(self.path("ca.pem")),
        }
    }

    /// Returns the files of a client with a token.
    pub(crate) fn trust(&self) -> web::Tls {
        web::Tls {
            ca: Some(self.path("ca.pem")),
            client: None,
        }
    }

    /// Returns the files of a client with a certificate.
    pub(crate) fn client(&self) -> web::Tls {
        web::Tls {
            client: Some((self.path("client.pem"), self.path("client.key"))),
            ..self.trust()
        }
    }
}
