//! The private servers, keys and accounts of a run.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use harness::{Db, NatsServer, Postgres, PostgresOptions};
use nats::{JetStream, Options};
use schemas::sign::SigningKey;
use tempfile::TempDir;

use crate::exchange::Exchange;
use crate::gateway_process::Gateway;
use crate::{Outcome, rows};

/// The recipient of the publish stage; no agent polls it.
pub(crate) const UNPOLLED_RECIPIENT: &str = "insurer-unpolled";

/// Returns the recipient of one run of the whole path. Each run has a fresh store, and the exchange rejects a store if
/// another store has signed receipts for the same recipient.
pub(crate) fn recipient(run: usize) -> String {
    format!("insurer-{run}")
}

/// The running servers.
pub(crate) struct Rig {
    /// The cluster of the system of record.
    pub(crate) core: Postgres,
    /// The receiver's cluster.
    pub(crate) sink: Postgres,
    /// The exchange.
    pub(crate) exchange: NatsServer,
    /// The database with the rows.
    pub(crate) source: Db,
    /// The role that may only read the rows.
    pub(crate) reader: String,
    /// The chunk signing key.
    pub(crate) chunk_key: Arc<SigningKey>,
    /// The receipt signing key.
    pub(crate) receipt_key: SigningKey,
    /// The gateway, if the path is measured over HTTPS too.
    pub(crate) gateway: Option<Gateway>,
    folder: TempDir,
    bureau_seed: String,
}

impl Rig {
    /// Starts the servers and creates the rows, for this many runs of the whole path. `core_settings` are more settings of
    /// the core's cluster.
    ///
    /// # Errors
    /// If a server refuses a request. A server that does not start panics with its log.
    pub(crate) async fn start(
        rows: u64,
        runs: usize,
        has_gateway: bool,
        core_settings: &[(&str, &str)],
    ) -> Outcome<Self> {
        let core = Postgres::private(durable(core_settings)).await;
        let sink = Postgres::private(durable(&[])).await;
        let source = core.database("core").await;
        println!("creating {rows} rows");
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
        let recipients: Vec<String> = (0..runs)
            .map(recipient)
            .chain([UNPOLLED_RECIPIENT.to_owned()])
            .collect();
        let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
        let exchange = Exchange::start(folder.path(), &recipients).await?;
        let gateway = if has_gateway {
            let parties: Vec<&str> = recipients.iter().copied().chain(["bureau"]).collect();
            Some(Gateway::start(folder.path(), &exchange.server.url(), &parties).await?)
        } else {
            None
        };
        let bureau_seed = fs::read_to_string(folder.path().join("bureau.seed"))?;
        Ok(Self {
            core,
            sink,
            chunk_key: Arc::new(exchange.chunk_key),
            receipt_key: exchange.receipt_key,
            exchange: exchange.server,
            source,
            reader,
            gateway,
            folder,
            bureau_seed,
        })
    }

    /// Returns the folder of keys and configuration files.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the path of a file in the folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Opens the bureau's own connection, for the publish stage.
    ///
    /// # Errors
    /// If the exchange refuses it.
    pub(crate) async fn bureau(&self) -> Outcome<JetStream> {
        Ok(JetStream::connect(Options::command(self.exchange.url(), "bureau", &self.bureau_seed)).await?)
    }
}

/// Durable commits. The write-ahead log is large enough that no run is disturbed by a checkpoint.
fn durable(more: &[(&str, &str)]) -> PostgresOptions {
    let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    PostgresOptions {
        fsync: true,
        settings: [
            ("max_wal_size", "8GB"),
            ("checkpoint_timeout", "1h"),
            ("autovacuum", "off"),
        ]
        .iter()
        .chain(more)
        .map(|(name, value)| set(name, value))
        .collect(),
        ..PostgresOptions::default()
    }
}
