//! The servers, keys and accounts, all of this run's own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use harness::{Db, NatsServer, Postgres, PostgresOptions};
use nats::topology::{self, Admin};
use nats::{JetStream, Options};
use nkeys::KeyPair;
use schemas::name::RecipientName;
use schemas::sign::SigningKey;
use tempfile::TempDir;

use crate::{Outcome, rows};

/// Receives what the whole path moves.
pub(crate) const RECIPIENT: &str = "insurer-a";
/// Receives what the publish stage alone publishes: nobody polls it.
pub(crate) const ASIDE: &str = "insurer-b";

const USERS: [&str; 5] = ["admin", "bureau", "auditor", RECIPIENT, ASIDE];

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
    /// Starts it all and makes the rows.
    ///
    /// # Errors
    /// What a server refused. One that does not start panics with its log.
    pub(crate) async fn start(rows: u64) -> Outcome<Self> {
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
        let pairs: Vec<(&str, KeyPair)> = USERS.iter().map(|user| (*user, KeyPair::new_user())).collect();
        let exchange = serve(folder.path(), &pairs).await?;
        for (user, pair) in &pairs {
            secret(&folder.path().join(format!("{user}.seed")), &pair.seed()?)?;
        }
        let (chunk_key, receipt_key) = (Arc::new(SigningKey::generate()), SigningKey::generate());
        secret(&folder.path().join("bureau.sign"), &chunk_key.seed()?)?;
        secret(
            &folder.path().join(format!("{RECIPIENT}.sign")),
            &receipt_key.seed()?,
        )?;
        let seed = |name: &str| fs::read_to_string(folder.path().join(format!("{name}.seed")));
        let bureau_seed = seed("bureau")?;
        let admin = JetStream::connect(Options::command(exchange.url(), "admin", seed("admin")?)).await?;
        let admin = Admin::new(admin);
        let plan = topology::plan(&admin, &topology::embedded(&recipients()?)?).await?;
        topology::apply(&admin, &plan, false).await?;
        Ok(Self {
            core,
            sink,
            exchange,
            source,
            reader,
            chunk_key,
            receipt_key,
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
        roles: String::new(),
    }
}

async fn serve(folder: &Path, pairs: &[(&str, KeyPair)]) -> Outcome<NatsServer> {
    fs::create_dir(folder.join("accounts"))?;
    for (path, text) in topology::server::files(&recipients()?) {
        fs::write(folder.join(path), text)?;
    }
    let public: Vec<(&str, String)> = pairs
        .iter()
        .map(|(user, pair)| (*user, pair.public_key()))
        .collect();
    let public: Vec<(&str, &str)> = public.iter().map(|(user, key)| (*user, key.as_str())).collect();
    let env = topology::server::environment("127.0.0.1:4222", "127.0.0.1:8222", folder, &public);
    // Ports and store are the harness's to choose.
    let env: Vec<(&str, &str)> = env
        .iter()
        .filter(|(name, _)| name != "SLACKTIDE_STORE")
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    Ok(NatsServer::with_config(&folder.join("server.conf"), &env).await)
}

fn recipients() -> Outcome<Vec<RecipientName>> {
    Ok(vec![RecipientName::new(RECIPIENT)?, RecipientName::new(ASIDE)?])
}

fn secret(path: &Path, text: &str) -> Outcome<()> {
    fs::write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(())
}
