//! The processes of the demo, from start to ordered shutdown.

use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use runtime::exit::Exit;
use schemas::name::RecipientName;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::child::{self, Process, text_of};
use super::data::core;
use super::data::tables::TABLES;
use super::site_files::SiteFiles;
use super::{compare, server};
use crate::failure::Failure;
use crate::settings::{PartyFile, load};
use crate::status_page;

const GRACE: Duration = Duration::from_secs(15);

/// The running processes.
#[derive(Default)]
pub(crate) struct DemoRun {
    url: String,
    server: Option<Process>,
    social: Option<Process>,
    pollers: Vec<Process>,
    load: Option<Process>,
    phase: Arc<Mutex<String>>,
    social_addr: String,
    last: Value,
}

/// Creates and fills the core.
pub(crate) async fn make_core(site_files: &SiteFiles, rows: u64, seed: u64) -> Result<u64, Failure> {
    let path = site_files.file("core.db");
    let made = tokio::task::spawn_blocking(move || {
        let mut core = core::open(&path)?;
        let rows = core::fill(&mut core, rows, seed)?;
        // The write-ahead log of the first load does not belong to the business.
        core.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
        Ok::<u64, rusqlite::Error>(rows)
    });
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(Exit::Source, format!("cannot create the demo's core: {error}"))
    };
    made.await
        .map_err(|error| failed(&error))?
        .map_err(|error| failed(&error))
}

/// Returns the rows of the core that changed at this time or later.
pub(crate) fn changed_since(core: &Path, since: i64) -> rusqlite::Result<u64> {
    let core = compare::open_read_only(core)?;
    let mut all = 0;
    for table in &TABLES {
        let sql = format!("SELECT count(*) FROM {} WHERE updt_time >= ?1", table.name);
        all += core
            .query_row(&sql, [since], |row| row.get::<_, i64>(0))?
            .unsigned_abs();
    }
    Ok(all)
}

impl DemoRun {
    /// Starts the exchange, the social agent and two pollers.
    pub(crate) async fn start(&mut self, site_files: &SiteFiles) -> Result<(), Failure> {
        let recipient = RecipientName::new("insurer-a").map_err(|error| Failure::internal(&error))?;
        let keys: Vec<(&str, &str)> = site_files
            .keys
            .iter()
            .map(|(user, keys)| (*user, keys.connect.as_str()))
            .collect();
        let (process, url) = server::start(site_files.path(), &recipient, &keys).await?;
        (self.server, self.url) = (Some(process), url);
        site_files.write_files(&self.url)?;
        let admin = load::<PartyFile>(&site_files.file("admin.toml"))?;
        server::apply_topology(admin.value.exchange.command_options(admin.folder())?, &recipient).await?;
        for number in ["1", "2"] {
            let file = site_files.file(&format!("commercial-{number}.toml"));
            let log = site_files.file(&format!("log/commercial-{number}.log"));
            self.pollers
                .push(agent("commercial agent", "commercial", &file, &log)?);
        }
        let mut social = agent(
            "social agent",
            "social",
            &site_files.file("social.toml"),
            &site_files.file("log/social.log"),
        )?;
        self.social_addr = text_of(&site_files.file("social.addr"), &mut social, GRACE).await?;
        self.social = Some(social);
        Ok(())
    }

    /// Starts the business.
    pub(crate) fn start_business(
        &mut self,
        site_files: &SiteFiles,
        seconds: u64,
        seed: u64,
    ) -> Result<(), Failure> {
        let mut command = child::this_program()?;
        command
            .args([
                "demo-load",
                "--seconds",
                &seconds.to_string(),
                "--seed",
                &seed.to_string(),
                "--core",
            ])
            .arg(site_files.file("core.db"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut load = child::start("the business", command, &site_files.file("log/business.log"))?;
        if let Some(out) = load.child.stdout.take() {
            let phase = Arc::clone(&self.phase);
            tokio::spawn(async move {
                let mut lines = BufReader::new(out).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    *phase.lock().unwrap_or_else(PoisonError::into_inner) = line;
                }
                phase.lock().unwrap_or_else(PoisonError::into_inner).clear();
            });
        }
        self.load = Some(load);
        Ok(())
    }

    /// Whether the business has ended; an error if it failed.
    pub(crate) fn business_ended(&mut self) -> Result<bool, Failure> {
        let Some(load) = &mut self.load else {
            return Ok(true);
        };
        match load.child.try_wait() {
            Ok(None) => Ok(false),
            Ok(Some(status)) if status.success() => {
                self.load = None;
                Ok(true)
            }
            Ok(Some(_)) => Err(load
                .check_running()
                .err()
                .unwrap_or_else(|| Failure::internal(&"the business failed"))),
            Err(error) => Err(Failure::internal(&error)),
        }
    }

    /// Returns `busy`, `quiet`, or an empty string.
    pub(crate) fn phase(&self) -> String {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the social agent's status, or the last one received.
    pub(crate) async fn social_status(&mut self) -> Value {
        if let Some(status) = status_page::status(&self.social_addr).await {
            self.last = status;
        }
        self.last.clone()
    }

    /// Returns the URL of the exchange.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Returns an error if a process of the path has ended.
    pub(crate) fn check_running(&mut self) -> Result<(), Failure> {
        let parts = self
            .server
            .iter_mut()
            .chain(&mut self.social)
            .chain(&mut self.pollers);
        parts.into_iter().try_for_each(Process::check_running)
    }

    /// Stops the agents, senders before receivers.
    pub(crate) async fn stop_agents(&mut self) {
        for mut process in self.social.take().into_iter().chain(self.pollers.drain(..)) {
            process.stop(GRACE).await;
        }
    }

    /// Stops all processes.
    pub(crate) async fn stop(&mut self) {
        if let Some(mut load) = self.load.take() {
            // The business stops when its input closes.
            drop(load.child.stdin.take());
            load.stop(Duration::from_secs(3)).await;
        }
        self.stop_agents().await;
        if let Some(mut server) = self.server.take() {
            server.stop(GRACE).await;
        }
    }
}

fn agent(name: &'static str, command: &str, file: &Path, log: &Path) -> Result<Process, Failure> {
    let mut process = child::this_program()?;
    process
        .args([command, "run", "--config"])
        .arg(file)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    child::start(name, process, log)
}
