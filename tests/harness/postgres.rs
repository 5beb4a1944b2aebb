//! A private PostgreSQL cluster, or one shared by the test process with a new database for each test.
//!
//! `postgres` is a direct child of the test, without a shell or `pg_ctl` in between, so that it can be signalled and reaped.
//! It listens on loopback only, trusts every role, and has no Unix socket.

mod cluster;
mod db;
mod identity;

pub use db::Db;

use crate::{ChildGuard, Shim, free_port, logs, signal, until};
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

/// Name of the log directory.
const NAME: &str = "postgres";

/// Options of a cluster.
#[derive(Debug, Clone, Default)]
pub struct PostgresOptions {
    /// Whether commits are fsynced. Off for tests of behaviour; on for benchmarks and crashes of the machine. A crash of the server
    /// alone loses nothing either way.
    pub fsync: bool,
    /// More settings, as in postgresql.conf; they override the harness's own.
    pub settings: Vec<(String, String)>,
    /// SQL run once as superuser in the database `postgres`, for example to create roles.
    pub roles: String,
    /// Files in the data directory, such as certificates and keys, by name; only the server's account can read them.
    pub files: Vec<(String, String)>,
    /// Lines of pg_hba.conf that replace those that trust every role. The line through which the harness connects, as role
    /// `postgres` on loopback, stays before them.
    pub access: Vec<String>,
}

/// A private PostgreSQL server. Dropping it ends the server and removes its data.
#[derive(Debug)]
pub struct Postgres {
    options: PostgresOptions,
    port: u16,
    child: Option<Child>,
    guard: ChildGuard,
    made: AtomicU32,
    cluster: Cluster,
}

impl Postgres {
    /// Returns the cluster that all tests of this process share, without fsync. The first call starts it; it ends with the process.
    /// Its databases share their roles: create roles with [`Db::role`].
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

    /// Starts a cluster for one test, which may crash it.
    pub async fn private(options: PostgresOptions) -> Self {
        Self::with_env(options, Vec::new()).await
    }

    /// Starts a cluster on a machine with faults.
    pub async fn with_shim(options: PostgresOptions, shim: &Shim) -> Self {
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

    /// Starts another server with a copy of the data, as a fail-over without loss does. This server must not run.
    pub async fn successor(&self) -> Self {
        let mut server = self.backup();
        server.start().await;
        server
    }

    /// Copies the data of this server, which must not run, for a server that is not started: [`start`](Self::start) restores
    /// it. Both have the same identity.
    #[must_use]
    pub fn backup(&self) -> Self {
        assert!(self.child.is_none(), "stop the server before it is copied");
        let options = PostgresOptions {
            roles: String::new(),
            ..self.options.clone()
        };
        Self::stopped(self.cluster.copy(logs::directory(NAME)), options, None)
    }

    /// Starts a server. `run` is the log directory of the process, for the shared server.
    async fn launch(cluster: Cluster, options: PostgresOptions, run: Option<&Path>) -> Self {
        let roles = options.roles.clone();
        let mut server = Self::stopped(cluster, options, run);
        server.start().await;
        if !roles.is_empty() {
            server.admin().execute(&roles).await;
        }
        server
    }

    fn stopped(cluster: Cluster, options: PostgresOptions, run: Option<&Path>) -> Self {
        // SIGQUIT is an immediate shutdown: the data is removed anyway.
        let guard = ChildGuard::with_shared_logs(Signal::SIGQUIT, Some(cluster.dir()), run);
        Self {
            options,
            port: free_port(),
            child: None,
            guard,
            made: AtomicU32::new(0),
            cluster,
        }
    }

    /// Starts a server that does not run, on another port if its own one is taken.
    pub async fn start(&mut self) {
        for _ in 0..5 {
            match self.start_once().await {
                Ok(()) => return,
                Err(log) if log.contains("Address already in use") => self.port = free_port(),
                Err(log) => panic!("postgres did not start:\n{log}"),
            }
        }
        panic!("postgres: five ports in a row were taken:\n{}", self.log());
    }

    /// Creates a database whose name begins with `name`.
    pub async fn database(&self, name: &str) -> Db {
        let name = format!("{name}_{}", self.made.fetch_add(1, Ordering::Relaxed));
        let admin = self.admin();
        admin.execute(&format!("CREATE DATABASE \"{name}\"")).await;
        Db::new(self.port, &name)
    }

    /// Returns the database `postgres` as superuser, for statements that concern the whole cluster.
    #[must_use]
    pub fn admin(&self) -> Db {
        Db::new(self.port, "postgres")
    }

    /// Returns a database that already exists.
    #[must_use]
    pub fn existing_database(&self, name: &str) -> Db {
        Db::new(self.port, name)
    }

    /// Returns the port, the same after every restart.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the process id of the postmaster.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("postgres is running").id()
    }

    /// Returns the log.
    #[must_use]
    pub fn log(&self) -> String {
        self.cluster.log()
    }

    /// Ends all processes at once without a checkpoint, so that the next start recovers, as after a crash.
    pub async fn crash(&mut self) {
        self.end(Signal::SIGQUIT).await;
    }

    /// Ends every session, writes a checkpoint and ends the server.
    pub async fn stop(&mut self) {
        self.end(Signal::SIGINT).await;
    }

    /// Restarts the server on the same port and data. A running server is crashed first.
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
            child.try_wait().expect("the status of a child is readable")
        })
        .await;
        self.child = None;
        self.guard.release();
    }

    /// Starts the server once. Returns the log as the error if the process ends before it accepts connections.
    async fn start_once(&mut self) -> Result<(), String> {
        let child = self.cluster.spawn(self.port, &self.settings());
        self.guard.watch(&child);
        let child = self.child.insert(child);
        let admin = Db::new(self.port, "postgres");
        let what = format!("postgres on port {} to take connections", self.port);
        let ready = until(&what, READY_WITHIN, async || {
            if child
                .try_wait()
                .expect("the status of a child is readable")
                .is_some()
            {
                return Ok(false);
            }
            // Another server on this port must not be mistaken for this one.
            let client = admin.try_connect().await.map_err(|error| error.to_string())?;
            let asked = client
                .query_one("SHOW data_directory", &[])
                .await
                .map_err(|error| error.to_string())?;
            if self.cluster.is_at(asked.get(0)) {
                Ok(true)
            } else {
                Err("another server listens there".to_owned())
            }
        })
        .await;
        if ready {
            return Ok(());
        }
        self.child = None;
        self.guard.release();
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
            // There is a database for each test, so an autovacuum worker would run all the time.
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

/// Returns the value of a setting with which a role or database could alter what the product reads. `None`: not pinned by us.
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
