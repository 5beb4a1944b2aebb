//! A bureau, an exchange in memory and an insurer in one process: the agents as they ship, over two SQLite files.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use commercial::poller::Poller;
use commercial::refill::{From, RefillParts, refill};
use commercial::{CommercialParts, PollOptions, StatusRegistry};
use exchange::Exchange;
use exchange_testing::memory::Memory;
use gate::Gate;
use jiff::Timestamp;
use rusqlite::Connection;
use schemas::encryption::DecryptionKeys;
use schemas::manifest::Cause;
use schemas::name::{Lane, PartyName, RecipientName, SourceName};
use schemas::origin::Origin;
use schemas::sign::SigningKey;
use social::epoch::{self, AuditSigner, EpochError, EpochOrder, open_epoch};
use social::lease::Timing;
use social::quantum::Sizing;
use social::tail::Trust;
use social::{FeedPlan, PublisherOptions, Social, SocialOptions, SocialParts, SocialView};
use source::{SqliteConfig, SqliteSource};
use store::{SqliteStore, Store};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::table::Table;

/// Longest redelivery delay of a deferred message.
const REST: Duration = Duration::from_millis(20);

pub(super) struct Site {
    pub(super) table: Table,
    pub(super) exchange: Arc<Memory>,
    pub(super) agents: Option<Agents>,
    folder: TempDir,
    bureau: Arc<SigningKey>,
    insurer: Arc<SigningKey>,
}

/// The running agents.
pub(super) struct Agents {
    pub(super) social: SocialView,
    pub(super) registry: StatusRegistry,
    pub(super) store: Arc<SqliteStore>,
    pub(super) since: Timestamp,
    stop: CancellationToken,
    tasks: (JoinHandle<()>, JoinHandle<()>),
}

fn recipient() -> RecipientName {
    RecipientName::new("insurer-a").unwrap()
}

impl Site {
    pub(super) fn new(table: Table) -> Self {
        let site = Self {
            table,
            exchange: Arc::new(Memory::new(&[recipient()]).with_max_redelivery_delay(REST)),
            agents: None,
            folder: tempfile::tempdir().unwrap(),
            bureau: Arc::new(SigningKey::generate()),
            insurer: Arc::new(SigningKey::generate()),
        };
        site.core().execute_batch(&table.create()).unwrap();
        site
    }

    pub(super) fn lane(&self) -> Lane {
        Lane {
            recipient: recipient(),
            feed: self.table.feed().name,
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn open(&self, name: &str) -> Connection {
        let connection = Connection::open(self.path(name)).unwrap();
        connection.busy_timeout(Duration::from_secs(20)).unwrap();
        connection
    }

    pub(super) fn core(&self) -> Connection {
        self.open("core.db")
    }

    /// Opens the store's file without the product.
    pub(super) fn store(&self) -> Connection {
        self.open("store.db")
    }

    pub(super) fn start(&mut self) {
        let gate = Gate::fixed_open();
        let mut config = SqliteConfig::new(self.path("core.db"));
        (config.statement_timeout, config.busy_timeout) = (Duration::from_secs(60), Duration::from_secs(20));
        let source = SqliteSource::new(config, gate.closed_flag()).unwrap();
        let ms = Duration::from_millis;
        let publisher = PublisherOptions {
            sizing: Sizing {
                min_rows: 2,
                max_rows: 7,
                ..Sizing::default()
            },
            close_after: ms(2),
            collect: Duration::ZERO,
            idle_poll: ms(1),
            idle_poll_rate: 1_000,
            recheck: ms(5),
            check: ms(10),
        };
        let social = Social::new(SocialParts {
            exchange: Arc::clone(&self.exchange) as Arc<dyn Exchange>,
            source: Arc::new(source),
            source_name: SourceName::new("core").unwrap(),
            origin: Origin::default(),
            gate,
            feeds: vec![FeedPlan {
                definition: self.table.feed(),
                recipients: vec![recipient()],
            }],
            key: Arc::clone(&self.bureau),
            trusted_publishers: Vec::new(),
            trusted_receipts: BTreeMap::from([(recipient(), vec![self.insurer.public().clone()])]),
            instance: social::new_instance(),
            holder: "test".to_owned(),
            options: SocialOptions {
                publisher,
                // No delay loses the lease: no other agent takes it.
                lease: Timing::of(Duration::from_secs(600)),
                grace: Duration::from_secs(60),
            },
        })
        .unwrap();
        let (view, stop, registry) = (social.view(), CancellationToken::new(), StatusRegistry::default());
        let store = Arc::new(SqliteStore::new(self.path("store.db")));
        let mut poller = Poller::new(CommercialParts {
            exchange: Arc::clone(&self.exchange) as Arc<dyn Exchange>,
            store: Arc::clone(&store) as Arc<dyn Store>,
            recipient: recipient(),
            trusted: vec![self.bureau.public().clone()],
            here: Origin::default(),
            decryption_keys: DecryptionKeys::default(),
            key: Arc::clone(&self.insurer),
            options: PollOptions {
                interval: ms(2),
                ..PollOptions::default()
            },
            registry: registry.clone(),
        });
        let (stops, polls) = (stop.clone(), stop.clone());
        self.agents = Some(Agents {
            social: view,
            registry,
            store,
            since: Timestamp::now(),
            stop,
            tasks: (
                tokio::spawn(async move { social.run(stops).await.unwrap() }),
                tokio::spawn(async move { poller.poll(polls).await.unwrap() }),
            ),
        });
    }

    pub(super) async fn stop(&mut self) {
        let Some(agents) = self.agents.take() else { return };
        agents.stop.cancel();
        agents.tasks.0.await.unwrap();
        agents.tasks.1.await.unwrap();
        agents.store.close().await;
    }

    /// Replaces the processes, so that periodic checks run at once.
    pub(super) async fn restart(&mut self) {
        self.stop().await;
        self.start();
    }

    /// Runs `slacktide feed refill`; its effect is its result.
    pub(super) async fn refill(&self, from: From) -> String {
        let store = Arc::new(SqliteStore::new(self.path("store.db")));
        store.prepare().await.unwrap();
        let parts = RefillParts {
            exchange: Arc::clone(&self.exchange) as Arc<dyn Exchange>,
            store,
            lane: self.lane(),
            trusted: vec![self.bureau.public().clone()],
            here: Origin::default(),
            decryption_keys: DecryptionKeys::default(),
        };
        let done = refill(&parts, from, &CancellationToken::new(), |_| {}).await;
        parts.store.close().await;
        format!("{done:?}")
    }

    /// Runs `slacktide feed resync`. If nothing was published yet there is nothing to send again.
    pub(super) async fn resync(&self) -> bool {
        let trust = Trust {
            chunks: vec![self.bureau.public().clone()],
            receipts: vec![self.insurer.public().clone()],
            here: Origin::default(),
        };
        let order = EpochOrder {
            lane: self.lane(),
            cause: Cause::Resync,
            actor: "li.na".to_owned(),
            reason: "a drill".to_owned(),
            definition: self.table.feed().digest(),
            schema: None,
            from: epoch::StartPoint::Beginning,
            named: Vec::new(),
            gives_up: None,
        };
        let party = PartyName::new("bureau").unwrap();
        let who = AuditSigner {
            key: &self.bureau,
            trusted: &[],
            instance: "0123456789abcdef",
            party: &party,
            writer: &party,
        };
        match open_epoch(self.exchange.as_ref(), &order, &trust, &who).await {
            Ok(_) => true,
            Err(EpochError::NoSchema { .. }) => false,
            Err(error) => panic!("{error}"),
        }
    }
}
