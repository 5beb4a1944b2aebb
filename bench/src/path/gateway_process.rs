//! The gateway, as a process of its own, so that its CPU time is counted apart: this program starts itself again.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use gateway::{GatewayConfig, Limits, Parts, PartyAccess, Role, TlsFiles, TokenEntry, TokenRegistry};
use harness::{Process, until};
use jiff::{SignedDuration, Timestamp};
use nats::{JetStream, Options};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use schemas::name::PartyName;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use crate::Outcome;

/// How long the gateway may take to listen.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// What the process reads from `gateway.json`. The seeds are in `PARTY.seed`, the tokens in `PARTY.token`.
#[derive(Debug, Serialize, Deserialize)]
struct Input {
    nats: String,
    parties: Vec<String>,
}

/// A running gateway; it ends with this value.
pub(crate) struct Gateway {
    process: Process,
    url: String,
}

impl Gateway {
    /// Starts a gateway for these parties, with certificates and tokens in the folder.
    ///
    /// # Errors
    /// If a file cannot be written. A gateway that does not start panics with its log.
    pub(crate) async fn start(folder: &Path, nats: &str, parties: &[&str]) -> Outcome<Self> {
        certificates(folder)?;
        for party in parties {
            secret(&folder.join(format!("{party}.token")), &format!("bench-{party}"))?;
        }
        let input = Input {
            nats: nats.to_owned(),
            parties: parties.iter().map(|party| (*party).to_owned()).collect(),
        };
        fs::write(folder.join("gateway.json"), serde_json::to_vec(&input)?)?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--serve-gateway").arg(folder);
        let mut process = Process::spawn("gateway", &mut command);
        let written = folder.join("gateway.addr");
        let port = until("the gateway to listen", READY_WITHIN, async || {
            if let Some(status) = process.ended() {
                panic!(
                    "the gateway ended with {status}:\n{}{}",
                    process.stdout(),
                    process.stderr()
                );
            }
            let text = fs::read_to_string(&written).map_err(|error| error.to_string())?;
            text.trim().parse::<u16>().map_err(|error| error.to_string())
        })
        .await;
        Ok(Self {
            process,
            url: format!("https://localhost:{port}"),
        })
    }

    /// Returns its address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Returns its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }
}

/// Serves a gateway until the process is killed.
///
/// # Errors
/// If it cannot start.
pub(crate) async fn serve(folder: &Path) -> Outcome<()> {
    let input: Input = serde_json::from_slice(&fs::read(folder.join("gateway.json"))?)?;
    let (mut parties, mut tokens) = (Vec::new(), Vec::new());
    for party in &input.parties {
        let read = |kind: &str| fs::read_to_string(folder.join(format!("{party}.{kind}")));
        let name = PartyName::new(party.as_str())?;
        let options = Options::command(&input.nats, party, read("seed")?.trim());
        let role = if party == "bureau" {
            Role::Bureau
        } else {
            Role::Recipient
        };
        parties.push(PartyAccess {
            name: name.clone(),
            role,
            exchange: Arc::new(JetStream::connect(options).await?),
        });
        tokens.push(TokenEntry {
            id: format!("{party}-1"),
            party: name,
            sha256: hex::encode(Sha256::digest(read("token")?.trim().as_bytes())),
            role,
            created_at: Timestamp::now(),
            note: String::new(),
            console: None,
            expires_at: Timestamp::now() + SignedDuration::from_hours(24),
        });
    }
    let parts = Parts {
        config: GatewayConfig {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            tls: Some(TlsFiles {
                certificate: folder.join("gateway.pem"),
                key: folder.join("gateway.key"),
                client_ca: None,
            }),
            limits: Limits::default(),
        },
        parties,
        identities: Vec::new(),
        tokens: Arc::new(TokenRegistry::new(tokens)),
        mounted: None,
    };
    let serving = gateway::serve(parts, CancellationToken::new()).await?;
    let port = serving.addr.port().to_string();
    fs::write(folder.join("gateway.new"), port)?;
    fs::rename(folder.join("gateway.new"), folder.join("gateway.addr"))?;
    serving.task.await?;
    Ok(())
}

/// Writes an authority and the gateway's certificate.
fn certificates(folder: &Path) -> Outcome<()> {
    let authority_key = KeyPair::generate()?;
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    secret(
        &folder.join("ca.pem"),
        &authority.self_signed(&authority_key)?.pem(),
    )?;
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec!["localhost".to_owned()])?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    secret(
        &folder.join("gateway.pem"),
        &params.signed_by(&key, &issuer)?.pem(),
    )?;
    secret(&folder.join("gateway.key"), &key.serialize_pem())
}

fn secret(path: &Path, text: &str) -> Outcome<()> {
    fs::write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(())
}
