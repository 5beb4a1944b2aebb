//! A private site: exchange with the shipped accounts, core, store, keys and configuration.

use super::files;
use harness::{Db, Finished, NatsServer, Postgres, Process, http_get, run, slacktide, until};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// Deadline of every wait, on a loaded machine.
pub(super) const SOON: Duration = Duration::from_secs(150);

const USERS: [&str; 4] = ["admin", "bureau", "auditor", "insurer-a"];

pub(super) struct Site {
    pub(super) nats: NatsServer,
    pub(super) core: Db,
    pub(super) insurer: Db,
    pub(super) reader: String,
    pub(super) writer: String,
    running: BTreeMap<String, Process>,
    dir: TempDir,
}

impl Site {
    /// Starts a site: keys by `keys new`, streams by `exchange apply`, two empty databases, no agent yet.
    pub(super) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut env = Vec::new();
        for user in USERS {
            let keys = dir.path().join("keys").join(user);
            let made = run(
                "keys new",
                slacktide().args(["keys", "new", "--out"]).arg(&keys),
                SOON,
            )
            .await;
            assert!(made.status.success(), "{}", made.stderr);
            let name = format!("SLACKTIDE_{}_NKEY", user.to_uppercase().replace('-', "_"));
            env.push((name, read(&keys.join("connect.pub"))));
        }
        // The harness's own options override these two.
        env.push(("SLACKTIDE_LISTEN".into(), "127.0.0.1:4222".into()));
        env.push(("SLACKTIDE_MONITOR".into(), "127.0.0.1:8222".into()));
        let env: Vec<(&str, &str)> = env
            .iter()
            .map(|(name, key)| (name.as_str(), key.as_str()))
            .collect();
        let nats = NatsServer::with_shipped_config(&env).await;

        let postgres = Postgres::shared().await;
        let (core, insurer) = (
            postgres.database("core").await,
            postgres.database("insurer").await,
        );
        let reader = core.role("reader", "GRANT pg_read_all_stats TO $role").await;
        let grants = format!(
            "GRANT CREATE ON DATABASE \"{}\" TO $role; GRANT CREATE, USAGE ON SCHEMA public TO $role",
            insurer.name()
        );
        let writer = insurer.role("writer", &grants).await;
        let site = Self {
            nats,
            core,
            insurer,
            reader,
            writer,
            running: BTreeMap::new(),
            dir,
        };
        site.write("admin.toml", &site.exchange("admin"));
        let (bureau, insurer) = (site.signing_key("bureau"), site.signing_key("insurer-a"));
        site.write(
            "auditor.toml",
            &files::auditor(&site.exchange("auditor"), &bureau, &insurer),
        );
        let applied = site
            .command(&["exchange", "apply", "--yes", "--config", "admin.toml"])
            .await;
        assert!(applied.status.success(), "{}{}", applied.stdout, applied.stderr);
        site
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub(super) fn exchange(&self, user: &str) -> String {
        files::exchange(&self.nats.url(), user)
    }

    pub(super) fn signing_key(&self, user: &str) -> String {
        read(&self.path("keys").join(user).join("sign.pub"))
    }

    pub(super) fn postgres_source(&self) -> String {
        format!(
            "kind = \"postgres\"\nurl = {{ value = \"{}\" }}",
            self.core.url_as(&self.reader)
        )
    }

    pub(super) fn postgres_store(&self) -> String {
        format!(
            "kind = \"postgres\"\nurl = {{ value = \"{}\" }}",
            self.insurer.url_as(&self.writer)
        )
    }

    pub(super) fn social(&self, name: &str, source: &str, gate: &str, feeds: &str) {
        let (exchange, receipts) = (self.exchange("bureau"), self.signing_key("insurer-a"));
        self.write(
            &format!("{name}.toml"),
            &files::social(&exchange, &receipts, source, gate, feeds, name),
        );
    }

    pub(super) fn commercial(&self, name: &str, store: &str) {
        let (exchange, chunks) = (self.exchange("insurer-a"), self.signing_key("bureau"));
        self.write(
            &format!("{name}.toml"),
            &files::commercial(&exchange, &chunks, store, name),
        );
    }

    pub(super) fn start_social(&mut self, name: &str, gate: &str) {
        self.social(name, &self.postgres_source(), gate, files::CLAIM);
        self.start_agent(name, "social");
    }

    pub(super) fn start_poller(&mut self, name: &str) {
        self.commercial(name, &self.postgres_store());
        self.start_agent(name, "commercial");
    }

    /// Starts `slacktide KIND run --config NAME.toml`, replacing an agent of this name that has ended.
    pub(super) fn start_agent(&mut self, name: &str, kind: &str) {
        let config = self.path(&format!("{name}.toml"));
        let _ = fs::remove_file(self.path(&format!("{name}.addr")));
        let process = Process::spawn(name, slacktide().args([kind, "run", "--config"]).arg(config));
        self.running.insert(name.to_owned(), process);
    }

    pub(super) fn agent(&mut self, name: &str) -> &mut Process {
        self.running.get_mut(name).unwrap()
    }

    /// Runs a command of the administrator, auditor or operator in the site's folder.
    pub(super) async fn command(&self, args: &[&str]) -> Finished {
        let mut command = slacktide();
        command.current_dir(self.dir.path()).args(args);
        let done = run(&args.join(" "), &mut command, SOON).await;
        crate::cli_schema::check(args, &done.stdout);
        done
    }

    pub(super) async fn status(&self, name: &str) -> Result<Value, String> {
        let addr =
            fs::read_to_string(self.path(&format!("{name}.addr"))).map_err(|error| error.to_string())?;
        let answer = http_get(&format!("http://{}/status", addr.trim())).await;
        answer.map(|page| page.json()).map_err(|error| error.to_string())
    }

    /// Waits until an agent's status satisfies a condition, and returns it.
    pub(super) async fn wait_status(&self, name: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        until(&format!("{name}: {what}"), SOON, async || {
            let status = self.status(name).await?;
            if holds(&status) {
                Ok(status)
            } else {
                Err(status.to_string())
            }
        })
        .await
    }

    /// Sends SIGTERM to an agent, which must end in time and with 0.
    pub(super) async fn stop(&mut self, name: &str) {
        let process = self.agent(name);
        process.sigterm();
        let status = process.wait_exit(Duration::from_secs(20)).await;
        assert!(
            status.success(),
            "{name} ended with {status}:\n{}",
            process.stderr()
        );
    }

    /// Runs `audit verify --json`; returns exit code and findings.
    pub(super) async fn verify(&self) -> (i32, Value) {
        let found = self
            .command(&["audit", "verify", "--json", "--config", "auditor.toml"])
            .await;
        let findings = serde_json::from_str(&found.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}{}", found.stdout, found.stderr));
        (found.status.code().unwrap(), findings)
    }

    /// Asserts that chain and signatures are valid, and that publishers alternate at most this often: interleaved ones would
    /// alternate at every chunk.
    pub(super) async fn assert_chain_valid(&self, most_turns: usize) {
        let (code, findings) = self.verify().await;
        assert_eq!(code, 0, "{findings:#}");
        assert_eq!(findings["chunks"], findings["chunks_verified"]);
        for report in findings["lanes"].as_array().unwrap() {
            let lane = &report["lane"];
            let turns = report["publishers"].as_array().unwrap();
            assert!(
                turns.len() <= most_turns,
                "{lane}: publishers interleave: {turns:?}"
            );
        }
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap().trim().to_owned()
}
