//! Everything on one machine: the core, the real agents with configuration files, a real exchange that syncs each
//! write, and the insurer's database. In production exchange and store are on other hosts; a trial on one host is not.

use std::path::PathBuf;
use std::time::Duration;

use harness::{Db, Postgres, PostgresOptions, Process, free_port, http_get};
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::Outcome;
use crate::exchange::Exchange;
use crate::plan::{Kind, Variant};
use crate::rig::Rig;
use crate::worker::WorkerStatus;

const RECIPIENT: &str = "insurer-a";

/// The processes besides the social agent. They end with this value.
pub(crate) struct Environment {
    /// The slacktide binary.
    pub(crate) binary: PathBuf,
    /// The social agent's configuration file.
    pub(crate) settings: PathBuf,
    port: u16,
    _poller: Process,
    _exchange: Exchange,
    _store: (Postgres, Db),
    _folder: TempDir,
}

/// Writes the agent's status to a file until it is dropped.
pub(crate) struct StatusWriter(JoinHandle<()>);

impl Drop for StatusWriter {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Environment {
    /// Starts exchange, store and poller, if the variant needs them.
    ///
    /// # Errors
    /// If a server fails.
    pub(crate) async fn start(rig: &Rig, variant: &Variant) -> Outcome<Option<Self>> {
        if variant.kind != Kind::Whole {
            return Ok(None);
        }
        let binary = rig.binary.clone().ok_or("no release build of slacktide")?;
        let folder = tempfile::Builder::new().prefix("slacktide-bench-").tempdir()?;
        let exchange = Exchange::start(folder.path(), &[RECIPIENT]).await?;
        let server = Postgres::private(PostgresOptions::default()).await;
        let store = server.database("insurer").await;
        let port = free_port();
        let party = |user: &str| {
            format!(
                "[exchange]\nurl = \"{}\"\nuser = \"{user}\"\nseed = {{ file = \"{user}.seed\" }}\n\
                 [signing]\nseed = {{ file = \"{user}.sign\" }}\n",
                exchange.server.url()
            )
        };
        let social = format!(
            "[social]\nname = \"bureau\"\nsource = \"core\"\n{}[trust.receipts]\n{RECIPIENT} = [\"{}\"]\n\
             [source]\nkind = \"postgres\"\nurl = {{ value = \"{}\" }}\n[health]\nlisten = \"127.0.0.1:{port}\"\n\
             [[feed]]\nname = \"setl\"\nsql = \"SELECT * FROM setl\"\ncursor = [\"setl_id\"]\ncursor_set_by = \"sequence\"\n\
             key = [\"setl_id\"]\nmoney = [\"medfee_sumamt\", \"hifp_pay\", \"psn_cash_pay\"]\nrecipients = [\"{RECIPIENT}\"]\n",
            party("bureau"),
            exchange.receipt_key.public(),
            rig.core.url_as(&rig.reader),
        );
        let commercial = format!(
            "[commercial]\nrecipient = \"{RECIPIENT}\"\n{}[trust]\nchunks = [\"{}\"]\n\
             [store]\nkind = \"postgres\"\nurl = {{ value = \"{}\" }}\n",
            party(RECIPIENT),
            exchange.chunk_key.public(),
            store.url,
        );
        let settings = folder.path().join("social.toml");
        std::fs::write(&settings, social)?;
        let receiving = folder.path().join("commercial.toml");
        std::fs::write(&receiving, commercial)?;
        let mut poller = std::process::Command::new(&binary);
        poller.args(["commercial", "run", "--config"]).arg(receiving);
        Ok(Some(Self {
            binary,
            settings,
            port,
            _poller: Process::spawn("commercial", &mut poller),
            _exchange: exchange,
            _store: (server, store),
            _folder: folder,
        }))
    }

    /// Writes the status page to `status`, like the child process of another extractor.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn write_status(&self, status: PathBuf) -> Outcome<StatusWriter> {
        WorkerStatus::now(0, Value::Null).write(&status)?;
        Ok(StatusWriter(tokio::spawn(poll_status(self.port, status))))
    }
}

async fn poll_status(port: u16, path: PathBuf) {
    let mut tick = tokio::time::interval(Duration::from_millis(200));
    loop {
        tick.tick().await;
        let Ok(page) = http_get(&format!("http://127.0.0.1:{port}/status")).await else {
            continue;
        };
        let status = page.json();
        let rows = status
            .pointer("/driver/rows")
            .and_then(Value::as_u64)
            .unwrap_or(0);
        if WorkerStatus::now(rows, status).write(&path).is_err() {
            return;
        }
    }
}
