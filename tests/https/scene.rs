//! A nats-server with the shipped accounts and streams, and what gateways and clients need to reach it.

use std::collections::BTreeMap;
use std::time::Duration;

use exchange::{Connection, Exchange as _};
use harness::{NatsServer, until};
use nats::topology::{self, Admin};
use nats::{JetStream, Options};
use nkeys::KeyPair;
use schemas::name::{FeedName, Lane, RecipientName};
use tempfile::TempDir;
use web::WebExchange;

use super::certificates::Certificates;
use super::gateway_server::{GatewayServer, Party, Setup, wide_limits};

/// How long an answer may take that is there at once.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// How long a client waits for an answer: far longer than [`SOON`], so that what ends within that did not wait for a timeout.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(3_600);

/// The parties of the gateway.
const PARTIES: [&str; 4] = ["bureau", "auditor", "insurer-a", "insurer-b"];

/// The servers' side.
pub(crate) struct Scene {
    pub(crate) nats: NatsServer,
    pub(crate) certificates: Certificates,
    seeds: BTreeMap<&'static str, String>,
    _folder: TempDir,
}

impl Scene {
    /// Starts nats-server and applies the streams. A delivery is repeated after a second.
    pub(crate) async fn start() -> Self {
        let users: Vec<&str> = PARTIES.into_iter().chain(["admin"]).collect();
        let pairs: BTreeMap<&str, KeyPair> = users
            .into_iter()
            .map(|user| (user, KeyPair::new_user()))
            .collect();
        let public: Vec<(&str, String)> = pairs
            .iter()
            .map(|(user, pair)| (*user, pair.public_key()))
            .collect();
        let public: Vec<(&str, &str)> = public.iter().map(|(user, key)| (*user, key.as_str())).collect();
        let folder = tempfile::tempdir().unwrap();
        let files = topology::server::files(&recipients()).unwrap();
        let env = topology::server::environment("127.0.0.1:4222", "127.0.0.1:8222", folder.path(), &public);
        let nats = NatsServer::with_files(folder.path(), files, &env).await;
        let seeds: BTreeMap<&str, String> = pairs
            .iter()
            .map(|(user, pair)| (*user, pair.seed().unwrap()))
            .collect();
        let admin = JetStream::connect(Options::command(nats.url(), "admin", &seeds["admin"]))
            .await
            .unwrap();
        let mut streams = topology::embedded(&recipients()).unwrap();
        for consumer in &mut streams.consumers {
            consumer.ack_wait_seconds = 1;
        }
        let admin = Admin::new(admin);
        let plan = topology::plan(&admin, &streams).await.unwrap();
        topology::apply(&admin, &plan, false).await.unwrap();
        Self {
            nats,
            certificates: Certificates::write(folder.path()),
            seeds,
            _folder: folder,
        }
    }

    /// Returns what a gateway with TLS is started with.
    pub(crate) fn setup(&self) -> Setup {
        let party = |name: &str| Party {
            name: name.to_owned(),
            seed: self.seeds[name].clone(),
            token: token(name),
        };
        Setup {
            nats: self.nats.url(),
            parties: PARTIES.into_iter().map(party).collect(),
            tls: Some(self.certificates.server()),
            limits: wide_limits(),
        }
    }

    /// Starts a gateway with TLS.
    pub(crate) async fn gateway(&self) -> GatewayServer {
        GatewayServer::start(self.setup()).await
    }

    /// Starts a gateway without TLS, for a proxy that reads the requests.
    pub(crate) async fn plain_gateway(&self) -> GatewayServer {
        GatewayServer::start(Setup {
            tls: None,
            ..self.setup()
        })
        .await
    }

    /// Returns how a party connects with its token: a command's way, failing at once.
    pub(crate) fn options(&self, url: &str, party: &str) -> web::Options {
        let mut options = web::Options::command(url, party).with_token(token(party));
        if url.starts_with("https") {
            options = options.over(Some(self.certificates.trust()));
        }
        (options.timeout, options.connect_timeout) = (TIMEOUT, TIMEOUT);
        options
    }

    /// Connects a party.
    pub(crate) async fn connect(&self, url: &str, party: &str) -> WebExchange {
        WebExchange::connect(self.options(url, party)).await.unwrap()
    }

    /// Connects a party to nats-server itself, to see what is stored.
    pub(crate) async fn direct(&self, party: &str) -> JetStream {
        let options = Options::command(self.nats.url(), party, &self.seeds[party]);
        JetStream::connect(options).await.unwrap()
    }
}

/// Returns the token of a party.
pub(crate) fn token(party: &str) -> String {
    format!("test-token-of-{party}")
}

fn recipients() -> Vec<RecipientName> {
    ["insurer-a", "insurer-b"]
        .map(|name| RecipientName::new(name).unwrap())
        .to_vec()
}

/// Returns the recipient of the tests.
pub(crate) fn insurer() -> RecipientName {
    RecipientName::new("insurer-a").unwrap()
}

/// Returns a lane of the recipient.
pub(crate) fn lane(feed: &str) -> Lane {
    Lane {
        recipient: insurer(),
        feed: FeedName::new(feed).unwrap(),
    }
}

/// Waits until a client shows this state.
pub(crate) async fn wait_for(exchange: &WebExchange, is_connected: bool) {
    let mut state = exchange.connection();
    let wanted = |state: &Connection| (*state == Connection::Connected) == is_connected;
    let seen = tokio::time::timeout(SOON, state.wait_for(wanted)).await;
    assert!(seen.is_ok(), "the connection did not become {is_connected}");
}

/// Waits until the exchange answers again.
pub(crate) async fn wait_until_answered(exchange: &WebExchange) {
    until("the exchange to answer", SOON, async || {
        exchange.ping().await.map(|_| ())
    })
    .await;
}
