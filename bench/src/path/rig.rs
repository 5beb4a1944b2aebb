//! The servers, keys and accounts, all of this run's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use harness::{Db, NatsServer, Postgres, PostgresOptions};
use nats::{JetStream, Options};
use schemas::sign::SigningKey;
use tempfile::TempDir;

use crate::exchange::Exchange;
use crate::{Outcome, rows};

/// Receives what the publish stage publishes; no agent polls it.
pub(crate) const ASIDE: &str = "insurer-aside";

/// Returns the recipient of one run of the whole path. Each run has a fresh store, and an exchange whose receipts were signed for
/// another store of the same recipient would not let it fetch.
pub(crate) fn recipient(run: usize) -> String {
    format!("insurer-{run}")
}

/// Everything that is running.
pub(crate) struct Rig {
    /// The system of record's cluster.
    pub(crate) core: Postgres,
    /// The receiver's cluster.
    pub(crate) sink: Postgres,
    /// The exchange.
    pub(crate) exchange: NatsServer,
    /// The database with the rows.
    pub(crate) source: Db,
    /// Reads the rows, and may do nothing else.
    pub(crate) reader: String,
    /// Signs chunks.
    pub(crate) chunk_key: Arc<SigningKey>,
    /// Signs receipts.
    pub(crate) receipt_key: SigningKey,
    folder: TempDir,
    bureau_seed: String,
}

impl Rig {
    /// Starts it all and makes the rows, for so many runs of the whole path.
    ///
    /// # Errors
    /// What a server refused. One that does not start panics with its log.
    pub(crate) async fn start(rows: u64, runs: usize) -> Outcome<Self> {
        let core = Postgres::private(durable()).await;
        let sink = Postgres::private(durable()).await;
        let source = core.database("core").await;
        println!("making {rows} rows");
        source.execute(rows::TABLE).await;
        source
            .execute(&rows::FILL.replace("$rows", &rows.to_string()))
            .await;
        source.execute(rows::INDEX).await;
        source.execute("VACUUM (ANALYZE, FREEZE) setl").await;
        source.execute("CHECKPOINT").await;
        let reader = source
            .role(
                "slacktide",
                "GRANT SELECT ON setl TO $role; GRANT pg_read_all_stats TO $role",
            )
            .await;

        let folder = tempfile::Builder::new().prefix("slacktide-bench-").tempdir()?;
        let recipients: Vec<String> = (0..runs).map(recipient).chain([ASIDE.to_owned()]).collect();
        let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
        let exchange = Exchange::start(folder.path(), &recipients).await?;
        let bureau_seed = fs::read_to_string(folder.path().join("bureau.seed"))?;
        Ok(Self {
            core,
            sink,
            chunk_key: Arc::new(exchange.chunk_key),
            receipt_key: exchange.receipt_key,
            exchange: exchange.server,
            source,
            reader,
            folder,
            bureau_seed,
        })
    }

    /// Where keys and configuration files are.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where a file of it is.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The bureau's own connection, for the publish stage.
    ///
    /// # Errors
    /// When the exchange refuses it.
    pub(crate) async fn bureau(&self) -> Outcome<JetStream> {
        Ok(JetStream::connect(Options::command(self.exchange.url(), "bureau", &self.bureau_seed)).await?)
    }
}

/// Commits reach the disk. The write-ahead log has room, so that a checkpoint does not fall into
/// one run and not into another.
fn durable() -> PostgresOptions {
    let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    PostgresOptions {
        fsync: true,
        settings: vec![
            set("max_wal_size", "8GB"),
            set("checkpoint_timeout", "1h"),
            set("autovacuum", "off"),
        ],
        ..PostgresOptions::default()
    }
}
