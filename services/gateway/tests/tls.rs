//! Certificates of both sides.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use gateway::{Limits, PartyIdentity, StartError, TlsFiles, serve};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PublicKeyData};
use schemas::name::PartyName;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_util::sync::CancellationToken;
use web::client::options::Tls;

use crate::site::{Reply, Site, exchange_bytes, parts, token_of};

type Authority = CertifiedIssuer<'static, KeyPair>;

/// A certificate with its key, PEM.
struct Issued {
    certificate: String,
    key: String,
    spki_sha256: String,
}

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn issue(authority: &Authority, name: &str) -> Issued {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned(), "127.0.0.1".to_owned()]).unwrap();
    Issued {
        certificate: params.signed_by(&key, authority).unwrap().pem(),
        key: key.serialize_pem(),
        spki_sha256: hex::encode(Sha256::digest(key.subject_public_key_info())),
    }
}

fn write_files(folder: &Path, server: &Issued, clients: &Authority) -> TlsFiles {
    let files = TlsFiles {
        certificate: folder.join("gateway.pem"),
        key: folder.join("gateway.key"),
        client_ca: Some(folder.join("clients.pem")),
    };
    fs::write(&files.key, &server.key).unwrap();
    fs::set_permissions(&files.key, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(folder.join("clients.pem"), clients.pem()).unwrap();
    fs::write(&files.certificate, &server.certificate).unwrap();
    files
}

async fn connect(
    site: &Site,
    authority: &Authority,
    client: Option<&Issued>,
    alpn: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match client {
        None => builder.with_no_client_auth(),
        Some(client) => {
            let chain = vec![CertificateDer::from_pem_slice(client.certificate.as_bytes()).unwrap()];
            let key = PrivateKeyDer::from_pem_slice(client.key.as_bytes()).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(site.addr).await?;
    let name = ServerName::try_from("gateway.example").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

async fn ping(stream: TlsStream<TcpStream>, token: Option<&str>) -> Reply {
    let token = token.map_or_else(String::new, |party| {
        format!("Authorization: Bearer {}\r\n", token_of(party))
    });
    let request = format!("GET /v1/ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{token}\r\n");
    exchange_bytes(stream, request.as_bytes()).await
}

pub(crate) struct TlsSite {
    pub(crate) site: Site,
    servers: Authority,
    clients: Authority,
    folder: TempDir,
    insurer: Issued,
}

impl TlsSite {
    async fn start() -> Self {
        Self::with(Limits::default()).await
    }

    pub(crate) async fn with(limits: Limits) -> Self {
        let (servers, clients) = (authority(), authority());
        let folder = tempfile::tempdir().unwrap();
        let files = write_files(folder.path(), &issue(&servers, "gateway.example"), &clients);
        let insurer = issue(&clients, "insurer-a.example");
        let identity = PartyIdentity {
            party: PartyName::new("insurer-a").unwrap(),
            spki_sha256: vec![insurer.spki_sha256.clone()],
            dns_names: Vec::new(),
            uris: Vec::new(),
        };
        Self {
            site: Site::with(limits, Some(files), vec![identity]).await,
            servers,
            clients,
            folder,
            insurer,
        }
    }

    /// Returns the files of a client without a certificate.
    pub(crate) fn trust(&self) -> Tls {
        let ca = self.folder.path().join("servers.pem");
        fs::write(&ca, self.servers.pem()).unwrap();
        Tls {
            ca: Some(ca),
            client: None,
        }
    }

    /// Returns the files of the recipient.
    pub(crate) fn identity(&self) -> Tls {
        let [certificate, key] = ["insurer.pem", "insurer.key"].map(|name| self.folder.path().join(name));
        fs::write(&certificate, &self.insurer.certificate).unwrap();
        fs::write(&key, &self.insurer.key).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        Tls {
            client: Some((certificate, key)),
            ..self.trust()
        }
    }
}

#[tokio::test]
async fn tls_client_certificate_authenticates_its_party() {
    let TlsSite {
        site,
        servers,
        clients,
        insurer,
        ..
    } = TlsSite::start().await;
    let known = connect(&site, &servers, Some(&insurer), &[]).await.unwrap();
    assert_eq!(ping(known, None).await.json()["party"], "insurer-a");
    let with_token = connect(&site, &servers, None, &[]).await.unwrap();
    assert_eq!(ping(with_token, Some("bureau")).await.json()["party"], "bureau");

    // The certificate of another key with the same name, and no credential at all.
    let unknown = issue(&clients, "insurer-a.example");
    for client in [Some(&unknown), None] {
        let stream = connect(&site, &servers, client, &[]).await.unwrap();
        assert_eq!(ping(stream, None).await.problem(), "unauthenticated");
    }
    let contradiction = connect(&site, &servers, Some(&insurer), &[]).await.unwrap();
    assert_eq!(
        ping(contradiction, Some("bureau")).await.problem(),
        "unauthenticated"
    );
    site.end().await;
}

#[tokio::test]
async fn tls_certificate_of_another_authority_is_refused() {
    let TlsSite { site, servers, .. } = TlsSite::start().await;
    let forged = issue(&authority(), "insurer-a.example");
    // With TLS 1.3 the client learns of the refusal when it reads.
    if let Ok(mut stream) = connect(&site, &servers, Some(&forged), &[]).await {
        let mut byte = [0];
        let read = tokio::io::AsyncReadExt::read(&mut stream, &mut byte).await;
        assert!(!matches!(read, Ok(1..)), "{read:?}");
    }
    while !site
        .serving
        .report
        .metrics()
        .contains("slacktide_gateway_tls_handshake_failures_total 1\n")
    {
        tokio::task::yield_now().await;
    }
    site.end().await;
}

#[tokio::test]
async fn tls_client_chooses_the_protocol() {
    let TlsSite { site, servers, .. } = TlsSite::start().await;
    for (offered, agreed) in [
        (&["h2", "http/1.1"][..], &b"h2"[..]),
        (&["http/1.1"], b"http/1.1"),
    ] {
        let stream = connect(&site, &servers, None, offered).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(agreed));
    }
    site.end().await;
}

#[tokio::test]
async fn tls_files_are_read_again_when_they_change() {
    let TlsSite {
        site,
        clients,
        folder,
        insurer,
        ..
    } = TlsSite::start().await;
    let renewed = authority();
    write_files(folder.path(), &issue(&renewed, "gateway.example"), &clients);
    // The files are compared at most every two seconds.
    let stream = loop {
        if let Ok(stream) = connect(&site, &renewed, Some(&insurer), &[]).await {
            break stream;
        }
    };
    assert_eq!(ping(stream, None).await.status, 200);

    // Files that cannot be used leave the previous ones in force.
    fs::write(folder.path().join("gateway.pem"), "no certificate").unwrap();
    let failing = "slacktide_gateway_tls_files_failing 1\n";
    while !site.serving.report.metrics().contains(failing) {
        let stream = connect(&site, &renewed, Some(&insurer), &[]).await.unwrap();
        assert_eq!(ping(stream, None).await.status, 200);
    }
    site.end().await;
}

#[tokio::test]
async fn tls_key_that_everyone_can_read_is_refused() {
    let (servers, clients) = (authority(), authority());
    let folder = tempfile::tempdir().unwrap();
    let files = write_files(folder.path(), &issue(&servers, "gateway.example"), &clients);
    fs::set_permissions(&files.key, fs::Permissions::from_mode(0o644)).unwrap();
    let parts = parts(Limits::default(), Some(files), Vec::new());
    let refused = serve(parts, CancellationToken::new()).await;
    assert!(matches!(refused, Err(StartError::Tls(_))), "{refused:?}");
    assert!(refused.unwrap_err().to_string().contains("chmod 600"));
}
