//! A private PostgreSQL cluster, or one shared by the whole test process with a fresh database for each test.
//!
//! `postgres` is a child of the test, with no shell or `pg_ctl` between them, so that it can be signalled and reaped.
//! It listens on loopback only, trusts every role, and has no socket in a shared directory.

mod cluster;
mod db;
mod identity;

pub use db::Db;

use crate::{Leash, Shim, free_port, logs, signal, until};
use cluster::Cluster;
use nix::sys::signal::Signal;
use std::ffi::OsString;
use std::path::Path;
use std::process::Child;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::OnceCell;

/// Recovery after a crash writes a checkpoint, which takes a while on a loaded disk.
const READY_WITHIN: Duration = Duration::from_secs(90);
const STOP_WITHIN: Duration = Duration::from_secs(60);

/// The name of its directory of logs.
const NAME: &str = "postgres";

/// How a cluster is set up.
#[derive(Debug, Clone, Default)]
pub struct PostgresOptions {
    /// Whether commits reach the disk. Off for tests of behaviour; on for benchmarks and crashes of the machine. A
    /// crash of the server alone loses nothing either way.
    pub fsync: bool,
    /// Further settings, as in postgresql.conf; they win over the harness's own.
    pub settings: Vec<(String, String)>,
    /// SQL run once as superuser in the database `postgres`, for roles and the like.
    pub roles: String,
    /// Files beside the data, such as certificates and keys, by name; only the server's account reads them.
    pub files: Vec<(String, String)>,
    /// The lines of pg_hba.conf in place of those that trust everybody; behind the one by which the harness reaches
    /// it, as the role `postgres` on loopback.
    pub access: Vec<String>,
}

/// A PostgreSQL server of this test's own. Dropped, it is ended and its data removed.
#[derive(Debug)]
pub struct Postgres {
    options: PostgresOptions,
    port: u16,
    child: Option<Child>,
    leash: Leash,
    made: AtomicU32,
    cluster: Cluster,
}

impl Postgres {
    /// The cluster that all tests of this process share, without fsync; started by whoever asks first, ended with the
    /// process. Roles are common to all its databases: make them with [`Db::role`].
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<Postgres> = OnceCell::const_new();
        logs::uses_shared(NAME);
        SHARED
            .get_or_init(async || {
                let logs = logs::shared_directory(NAME);
                let cluster = Cluster::create(Vec::new(), logs).await;
                Self::launch(cluster, PostgresOptions::default(), Some(logs::run_directory())).await
            })
            .await
    }

    /// A cluster for one test, which may crash it.
    ///
    /// # Panics
    /// When it does not start; the message has its log.
    pub async fn private(options: PostgresOptions) -> Self {
        Self::with_env(options, Vec::new()).await
    }

    /// The same on a machine with faults.
    pub async fn under(options: PostgresOptions, shim: &Shim) -> Self {
        Self::with_env(options, shim.env()).await
    }

    async fn with_env(options: PostgresOptions, env: Vec<(OsString, OsString)>) -> Self {
        let cluster = Cluster::create(env, logs::directory(NAME)).await;
        for (name, text) in &options.files {
            cluster.place(name, text);
        }
        if !options.access.is_empty() {
            let own = "host all postgres 127.0.0.1/32 trust";
            cluster.place("pg_hba.conf", &format!("{own}\n{}\n", options.access.join("\n")));
        }
        Self::launch(cluster, options, None).await
    }

    /// Another server with a copy of its data, as the one that takes over after a fail-over without loss. This one
    /// must not run, and has to outlive the other.
    ///
    /// # Panics
    /// When this one runs, or the other does not start.
    pub async fn successor(&self) -> Self {
        assert!(self.child.is_none(), "stop the server before it is copied");
        let options = PostgresOptions {
            roles: String::new(),
            ..self.options.clone()
        };
        Self::launch(self.cluster.copy(logs::directory(NAME)), options, None).await
    }

    /// `run` is the directory of the process's logs, for the server that is shared.
    async fn launch(cluster: Cluster, options: PostgresOptions, run: Option<&Path>) -> Self {
        // Immediate: the data is removed anyway.
        let leash = Leash::with_shared_logs(Signal::SIGQUIT, Some(cluster.dir()), run);
        let roles = options.roles.clone();
        let (port, made) = (free_port(), AtomicU32::new(0));
        let mut server = Self {
            options,
            port,
            child: None,
            leash,
            made,
            cluster,
        };
        for _ in 0..5 {
            match server.start_once().await {
                Ok(()) => {
                    if !roles.is_empty() {
                        server.admin().execute(&roles).await;
                    }
                    return server;
                }
                Err(log) if log.contains("Address already in use") => server.port = free_port(),
                Err(log) => panic!("postgres did not start:\n{log}"),
            }
        }
        panic!("postgres found five ports in a row taken:\n{}", server.log());
    }

    /// A fresh database whose name begins with `name`.
    pub async fn database(&self, name: &str) -> Db {
        let name = format!("{name}_{}", self.made.fetch_add(1, Ordering::Relaxed));
        let admin = self.admin();
        admin.execute(&format!("CREATE DATABASE \"{name}\"")).await;
        Db::new(self.port, &name)
    }

    /// The database `postgres`, as superuser: for what concerns the whole cluster.
    #[must_use]
    pub fn admin(&self) -> Db {
        Db::new(self.port, "postgres")
    }

    /// A database of it that is there already.
    #[must_use]
    pub fn named(&self, name: &str) -> Db {
        Db::new(self.port, name)
    }

    /// The port it listens on, the same after every restart.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The id of the postmaster.
    ///
    /// # Panics
    /// When it is not running.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("postgres is running").id()
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        self.cluster.log()
    }

    /// Ends all its processes at once with no checkpoint, so that the next start recovers, as after a crash.
    pub async fn crash(&mut self) {
        self.end(Signal::SIGQUIT).await;
    }

    /// Cuts every session off, writes a checkpoint and ends.
    pub async fn stop(&mut self) {
        self.end(Signal::SIGINT).await;
    }

    /// Starts it again on the same port and data; one that still runs is crashed first.
    ///
    /// # Panics
    /// When it does not start; the message has its log.
    pub async fn restart(&mut self) {
        self.crash().await;
        if let Err(log) = self.start_once().await {
            panic!("postgres did not start again on port {}:\n{log}", self.port);
        }
    }

    async fn end(&mut self, with: Signal) {
        let Some(child) = &mut self.child else { return };
        signal::send(child, with);
        until("postgres to end", STOP_WITHIN, async || {
            child.try_wait().expect("a child can be asked")
        })
        .await;
        self.child = None;
        self.leash.lost();
    }

    /// The log is the error: when the process ends before it takes connections.
    async fn start_once(&mut self) -> Result<(), String> {
        let child = self.cluster.spawn(self.port, &self.settings());
        self.leash.holds(&child);
        let child = self.child.insert(child);
        let admin = Db::new(self.port, "postgres");
        let what = format!("postgres on port {} to take connections", self.port);
        let ready = until(&what, READY_WITHIN, async || {
            if child.try_wait().expect("a child can be asked").is_some() {
                return Ok(false);
            }
            // Another server on this port must not be mistaken for ours.
            let client = admin.try_connect().await.map_err(|error| error.to_string())?;
            let asked = client
                .query_one("SHOW data_directory", &[])
                .await
                .map_err(|error| error.to_string())?;
            if self.cluster.is_at(asked.get(0)) {
                Ok(true)
            } else {
                Err("it is another server".to_owned())
            }
        })
        .await;
        if ready {
            return Ok(());
        }
        self.child = None;
        self.leash.lost();
        Err(self.log())
    }

    fn settings(&self) -> Vec<(String, String)> {
        let durable = if self.options.fsync { "on" } else { "off" };
        let own = [
            ("fsync", durable),
            ("full_page_writes", durable),
            ("max_connections", "200"),
            ("max_prepared_transactions", "10"),
            ("shared_buffers", "128MB"),
            // There is a database for each test, so a worker would run all the time.
            ("autovacuum_naptime", "1h"),
        ];
        let own = own
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        own.chain(self.options.settings.iter().cloned()).collect()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let Some(child) = &mut self.child else { return };
        signal::send(child, Signal::SIGQUIT);
        let _ = child.wait();
    }
}

/// What a hostile role or database sets a setting to that every session of ours pins; `None` for the others.
#[must_use]
pub fn hostile_setting(name: &str) -> Option<&'static str> {
    Some(match name {
        "standard_conforming_strings" | "array_nulls" | "backslash_quote" => "off",
        "escape_string_warning"
        | "transform_null_equals"
        | "quote_all_identifiers"
        | "default_transaction_deferrable"
        | "exit_on_error" => "on",
        "client_encoding" => "LATIN1",
        "DateStyle" => "SQL, DMY",
        "IntervalStyle" => "sql_standard",
        "TimeZone" => "America/St_Johns",
        "extra_float_digits" => "-15",
        "bytea_output" => "escape",
        "xmloption" => "document",
        "xmlbinary" => "hex",
        "default_transaction_isolation" => "serializable",
        _ => return None,
    })
}
