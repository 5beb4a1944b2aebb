//! An insurer's site: programs that write into an outbox, and requesters over a SQLite file.

use std::sync::Arc;
use std::time::Duration;

use exchange::Exchange;
use exchange::port::Stream;
use exchange_testing::memory::Memory;
use rusqlite::Connection;
use schemas::digest::Digest;
use schemas::encryption::DecryptionKeys;
use schemas::envelope::Envelope;
use schemas::name::RecipientName;
use schemas::origin::Origin;
use schemas::request::Request;
use schemas::sign::SigningKey;
use store::{Requests, SqliteStore};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::requester::{Requester, RequesterParts};
use crate::status::StatusRegistry;

pub(super) const SOON: Duration = Duration::from_secs(20);

/// An insurer's site and a bureau.
pub(super) struct InsurerSite {
    pub(super) exchange: Arc<Memory>,
    pub(super) folder: TempDir,
    pub(super) bureau: SigningKey,
    pub(super) parts: RequesterParts,
}

pub(super) fn recipient() -> RecipientName {
    "insurer-a".parse().unwrap()
}

pub(super) async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let looking = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(
        tokio::time::timeout(SOON, looking).await.is_ok(),
        "{what} never came"
    );
}

impl InsurerSite {
    pub(super) async fn open() -> Self {
        Self::over(Memory::new(&[recipient()]).with_ack_wait(Duration::from_millis(200))).await
    }

    pub(super) async fn over(exchange: Memory) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let exchange = Arc::new(exchange);
        let bureau = SigningKey::generate();
        let store: Arc<dyn Requests> = Arc::new(SqliteStore::new(folder.path().join("store.db")));
        store.prepare().await.unwrap();
        let parts = RequesterParts {
            exchange: Arc::clone(&exchange) as Arc<dyn Exchange>,
            store,
            recipient: recipient(),
            trusted: vec![bureau.public().clone()],
            here: Origin::default(),
            decryption_keys: DecryptionKeys::default(),
            key: Arc::new(SigningKey::generate()),
            interval: Duration::from_millis(10),
            registry: StatusRegistry::default(),
        };
        Self {
            exchange,
            folder,
            bureau,
            parts,
        }
    }

    pub(super) fn database(&self) -> Connection {
        let connection = Connection::open(self.folder.path().join("store.db")).unwrap();
        connection.busy_timeout(SOON).unwrap();
        connection
    }

    pub(super) fn number(&self, sql: &str) -> i64 {
        self.database().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// Writes a row into the outbox, as a program does.
    pub(super) fn write(&self, key: &str, person: &str) {
        let arguments = format!("{{\"psn_no\": \"{person}\"}}");
        self.database()
            .execute(
                "INSERT OR IGNORE INTO slacktide_outbox (idempotency, kind, arguments, purpose, basis) VALUES (?1, 'setl.by_person', ?2, '01', '01')",
                [key, &arguments],
            )
            .unwrap();
    }

    pub(super) fn start(&self) -> (CancellationToken, JoinHandle<()>) {
        let stop = CancellationToken::new();
        let requester = Requester::new(self.parts.clone());
        (stop.clone(), tokio::spawn(requester.run(stop)))
    }

    pub(super) fn requests(&self) -> Vec<(Request, Digest)> {
        let read = |stored: &exchange::Stored| {
            let envelope = Envelope::decode(&stored.bytes).unwrap();
            (envelope.read().unwrap(), envelope.digest())
        };
        self.exchange
            .stored_messages(Stream::Requests)
            .iter()
            .map(read)
            .collect()
    }

    pub(super) fn confirmed(&self) -> usize {
        self.exchange.stored_messages(Stream::Confirms).len()
    }
}
