//! A gateway in a runtime of its own, so that it can be killed like a process.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use gateway::{
    GatewayConfig, Limits, Parts, PartyAccess, PartyIdentity, Role, TlsFiles, TokenEntry, TokenRegistry,
};
use harness::free_port;
use jiff::{SignedDuration, Timestamp};
use nats::JetStream;
use schemas::name::PartyName;
use sha2::{Digest as _, Sha256};
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

use super::certificates::CLIENT_NAME;

/// What a gateway is started with.
#[derive(Clone)]
pub(crate) struct Setup {
    /// The URL of the nats-server.
    pub(crate) nats: String,
    /// The parties.
    pub(crate) parties: Vec<Party>,
    /// Without TLS it serves clear text.
    pub(crate) tls: Option<TlsFiles>,
    /// The limits.
    pub(crate) limits: Limits,
}

/// A party of the gateway.
#[derive(Clone)]
pub(crate) struct Party {
    /// Its name and user.
    pub(crate) name: String,
    /// The seed of its connection key.
    pub(crate) seed: String,
    /// Its token.
    pub(crate) token: String,
}

/// A running gateway.
pub(crate) struct GatewayServer {
    setup: Setup,
    port: u16,
    runtime: Option<Runtime>,
}

/// Returns limits that no test reaches.
pub(crate) fn wide_limits() -> Limits {
    Limits {
        requests: 4_096,
        requests_per_second: 1_000_000,
        burst: 1_000_000,
        ..Limits::default()
    }
}

impl GatewayServer {
    /// Starts it on a free port.
    pub(crate) async fn start(setup: Setup) -> Self {
        let mut server = Self {
            setup,
            port: free_port(),
            runtime: None,
        };
        server.run().await;
        server
    }

    /// Returns the port, the same after every restart.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Returns its address.
    pub(crate) fn url(&self) -> String {
        let scheme = if self.setup.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://localhost:{}", self.port)
    }

    /// Ends it without finishing anything; returns when its connections are closed.
    pub(crate) async fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            let ended =
                tokio::task::spawn_blocking(move || runtime.shutdown_timeout(Duration::from_secs(60)));
            ended.await.unwrap();
        }
    }

    /// Starts it again on the same port.
    pub(crate) async fn restart(&mut self) {
        self.kill().await;
        self.run().await;
    }

    /// Starts it again with other parties, tokens or limits.
    pub(crate) async fn restart_with(&mut self, change: impl FnOnce(&mut Setup)) {
        change(&mut self.setup);
        self.restart().await;
    }

    async fn run(&mut self) {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let started = runtime.spawn(serve(self.setup.clone(), listen));
        self.runtime = Some(runtime);
        started.await.unwrap();
    }
}

impl Drop for GatewayServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn role(party: &str) -> Role {
    match party {
        "bureau" => Role::Bureau,
        "auditor" => Role::Auditor,
        _ => Role::Recipient,
    }
}

async fn serve(setup: Setup, listen: SocketAddr) {
    let mut parties = Vec::new();
    for party in &setup.parties {
        let options = nats::Options::agent(&setup.nats, &party.name, &party.seed);
        parties.push(PartyAccess {
            name: name(&party.name),
            role: role(&party.name),
            exchange: Arc::new(JetStream::connect(options).await.unwrap()),
        });
    }
    let entries = setup.parties.iter().map(|party| TokenEntry {
        id: format!("{}-1", party.name),
        party: name(&party.name),
        sha256: hex::encode(Sha256::digest(party.token.as_bytes())),
        role: role(&party.name),
        created_at: Timestamp::now(),
        note: String::new(),
        console: None,
        expires_at: Timestamp::now() + SignedDuration::from_hours(1),
    });
    let has_recipient = setup.parties.iter().any(|party| party.name == "insurer-a");
    let identities = has_recipient.then(|| PartyIdentity {
        party: name("insurer-a"),
        spki_sha256: Vec::new(),
        dns_names: vec![CLIENT_NAME.to_owned()],
        uris: Vec::new(),
    });
    let parts = Parts {
        config: GatewayConfig {
            listen,
            tls: setup.tls,
            limits: setup.limits,
        },
        parties,
        identities: identities.into_iter().collect(),
        tokens: Arc::new(TokenRegistry::new(entries.collect())),
        mounted: None,
    };
    // Its tasks end with the runtime.
    gateway::serve(parts, CancellationToken::new()).await.unwrap();
}

fn name(text: &str) -> PartyName {
    PartyName::new(text).unwrap()
}
