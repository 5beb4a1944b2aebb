//! A private server with the shipped configuration, and its users' connections.

use std::collections::BTreeMap;
use std::time::Duration;

use harness::{NatsCluster, NatsServer, NatsServers};
use nats::topology::{self, Admin, Topology};
use nats::{JetStream, Options};
use nkeys::KeyPair;
use schemas::name::RecipientName;
use tempfile::TempDir;

/// The users of the shipped accounts, and a second recipient made by the same pattern.
const USERS: [&str; 5] = ["admin", "bureau", "auditor", "insurer-a", "insurer-b"];

/// How long a connection of the tests waits for an answer: far longer than [`SOON`], so that what ends within that did
/// not wait for a timeout, on a machine of any load.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(3_600);

/// How long an answer may take that is there at once.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// The output of `work`, which must not wait for a timeout.
///
/// # Panics
/// When it is not there soon: the message names `what` was waited for.
pub(crate) async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(SOON, work).await;
    done.unwrap_or_else(|_| panic!("waited {SOON:?} for {what}, as for a timeout"))
}

/// The exchange: a stand-alone server, or a cluster.
pub(crate) struct ExchangeServer<S = NatsServer> {
    pub(crate) server: S,
    seeds: BTreeMap<&'static str, String>,
    _config: TempDir,
}

impl ExchangeServer<NatsCluster> {
    /// Three servers, with the accounts and nothing else.
    pub(crate) async fn bare_cluster() -> Self {
        let (config, seeds, files, env) = prepare(|_, text| text);
        let server = NatsCluster::with_files(config.path(), files, &env).await;
        Self {
            server,
            seeds,
            _config: config,
        }
    }

    /// Three servers, with the streams and consumers applied.
    pub(crate) async fn cluster() -> Self {
        let exchange = Self::bare_cluster().await;
        exchange.apply(|_| {}).await;
        exchange
    }

    /// How a user connects to one server of the cluster.
    pub(crate) fn options_at(&self, index: usize, user: &str) -> Options {
        Options {
            url: self.server.server(index).url(),
            ..self.options(user)
        }
    }
}

impl ExchangeServer {
    /// Started, with the streams and consumers applied.
    pub(crate) async fn start() -> Self {
        let exchange = Self::bare().await;
        exchange.apply(|_| {}).await;
        exchange
    }

    /// Started, with the accounts and nothing else.
    pub(crate) async fn bare() -> Self {
        Self::with(|_, text| text).await
    }

    /// The same after a change of the server's files, which is given each path and text.
    pub(crate) async fn with(change: impl Fn(&str, String) -> String) -> Self {
        let (config, seeds, files, env) = prepare(change);
        let server = NatsServer::with_files(config.path(), files, &env).await;
        Self {
            server,
            seeds,
            _config: config,
        }
    }
}

type Prepared = (
    TempDir,
    BTreeMap<&'static str, String>,
    Vec<(String, String)>,
    Vec<(String, String)>,
);

/// Makes the users' keys, and the files and the environment of a server.
fn prepare(change: impl Fn(&str, String) -> String) -> Prepared {
    let pairs: Vec<_> = USERS.iter().map(|user| (*user, KeyPair::new_user())).collect();
    let public: Vec<_> = pairs
        .iter()
        .map(|(user, pair)| (*user, pair.public_key()))
        .collect();
    let public: Vec<(&str, &str)> = public.iter().map(|(user, key)| (*user, key.as_str())).collect();
    let config = tempfile::tempdir().unwrap();
    let files = topology::server::files(&recipients()).unwrap();
    let files = files.into_iter().map(|(path, text)| {
        let text = change(&path, text);
        (path, text)
    });
    let env = topology::server::environment("127.0.0.1:4222", "127.0.0.1:8222", config.path(), &public);
    let seeds = pairs
        .iter()
        .map(|(user, pair)| (*user, pair.seed().unwrap()))
        .collect();
    (config, seeds, files.collect(), env)
}

impl<S: NatsServers> ExchangeServer<S> {
    /// Makes the streams and consumers, after a change of them.
    pub(crate) async fn apply(&self, change: impl FnOnce(&mut Topology)) {
        let admin = self.admin().await;
        let mut shipped = topology::embedded(&recipients()).unwrap();
        change(&mut shipped);
        let plan = topology::plan(&admin, &shipped).await.unwrap();
        topology::apply(&admin, &plan, false).await.unwrap();
    }

    /// How a user connects: a command's way, failing at once.
    pub(crate) fn options(&self, user: &str) -> Options {
        let mut options = Options::command(self.server.client_url(), user, &self.seeds[user]);
        options.timeout = TIMEOUT;
        options.connect_timeout = TIMEOUT;
        options
    }

    pub(crate) async fn connect(&self, user: &str) -> JetStream {
        JetStream::connect(self.options(user)).await.unwrap()
    }

    /// The bare client, for what no verb of ours would send.
    pub(crate) async fn raw(&self, user: &str) -> async_nats::Client {
        async_nats::ConnectOptions::with_nkey(self.seeds[user].clone())
            .custom_inbox_prefix(format!("_INBOX_{user}"))
            .request_timeout(Some(TIMEOUT))
            .connect(self.server.client_url())
            .await
            .unwrap()
    }

    pub(crate) async fn admin(&self) -> Admin {
        Admin::new(self.connect("admin").await)
    }
}

pub(crate) fn recipients() -> Vec<RecipientName> {
    ["insurer-a", "insurer-b"]
        .map(|name| RecipientName::new(name).unwrap())
        .to_vec()
}
