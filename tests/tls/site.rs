//! A site made by `keys site`: every file as the command wrote it, except for ports, the gate and the intervals.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use harness::{
    Background, Finished, NatsServer, Process, free_port, http_get, run, slacktide, until,
    until_with_progress,
};
use rusqlite::{Connection, TransactionBehavior};
use serde_json::Value;
use tempfile::TempDir;

/// Deadline of every wait. Generous: machines are small and shared.
pub(crate) const DEADLINE: Duration = Duration::from_secs(90);

/// The lag of the feeds, as `keys site` writes it.
const LAG: Duration = Duration::from_secs(1);

/// One row as text; the same on both sides only if every column is.
const ROWS: &str =
    "SELECT id || '|' || updated_at || '|' || person || '|' || printf('%.2f', amount) || '|' || memo
    FROM claim WHERE NOT deleted ORDER BY id";

pub(crate) struct Site {
    pub(crate) nats: NatsServer,
    folder: TempDir,
}

/// An agent: its process, its file and the port of its status page.
pub(crate) struct Agent {
    pub(crate) process: Process,
    /// Relative to the site's folder.
    pub(crate) config: String,
    port: u16,
}

impl Site {
    /// Creates a site with its exchange started and the streams applied. `server` changes `server.conf`.
    pub(crate) async fn start(recipients: &[&str], server: impl Fn(String) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut make = slacktide();
        make.args(["keys", "site", "--out"]).arg(folder.path());
        for recipient in recipients {
            make.args(["--recipient", recipient]);
        }
        let made = run("keys site", &mut make, DEADLINE).await;
        assert!(made.status.success(), "{}", made.stderr);
        let exchange = folder.path().join("exchange");
        let config = exchange.join("server.conf");
        fs::write(&config, server(fs::read_to_string(&config).unwrap())).unwrap();
        let env = fs::read_to_string(exchange.join("server.env")).unwrap();
        let env: Vec<(&str, &str)> = env
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name, value.trim_matches('\'')))
            // The harness sets the store directory of the streams.
            .filter(|(name, _)| *name != "SLACKTIDE_STORE")
            .collect();
        let nats = NatsServer::with_config(&config, &env).await;
        let site = Self { nats, folder };
        let mut files = vec![
            "admin/admin.toml".to_owned(),
            "auditor/auditor.toml".to_owned(),
            "bureau/social.toml".to_owned(),
        ];
        files.extend(recipients.iter().map(|name| format!("{name}/commercial.toml")));
        for file in files {
            site.change(&file, |text| {
                text.replace("127.0.0.1:4222", &format!("127.0.0.1:{}", site.nats.port()))
            });
        }
        site.apply(recipients).await;
        site
    }

    pub(crate) async fn apply(&self, recipients: &[&str]) {
        let mut words = vec!["exchange", "apply", "--yes", "--config", "admin/admin.toml"];
        for recipient in recipients {
            words.extend(["--recipient", recipient]);
        }
        self.run_ok(&words).await;
    }

    pub(crate) fn file(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap().trim().to_owned()
    }

    /// Changes a file in one step, as an editor does.
    pub(crate) fn change(&self, name: &str, change: impl Fn(String) -> String) {
        let (path, fresh) = (self.file(name), self.file(format!("{name}.new")));
        fs::write(&fresh, change(fs::read_to_string(&path).unwrap())).unwrap();
        fs::set_permissions(&fresh, fs::metadata(&path).unwrap().permissions()).unwrap();
        fs::rename(fresh, path).unwrap();
    }

    pub(crate) async fn command(&self, arguments: &[&str]) -> Finished {
        let mut command = slacktide();
        command.current_dir(self.folder.path()).args(arguments);
        let done = run(&arguments.join(" "), &mut command, DEADLINE).await;
        crate::cli_schema::check(arguments, &done.stdout);
        done
    }

    /// Runs a command that must succeed; returns its output.
    pub(crate) async fn run_ok(&self, arguments: &[&str]) -> String {
        let done = self.command(arguments).await;
        assert!(
            done.status.success(),
            "{arguments:?} ended with {}:\n{}{}",
            done.status,
            done.stdout,
            done.stderr
        );
        done.stdout
    }

    /// Runs a command that must fail with this code; returns its output.
    pub(crate) async fn run_failing(&self, code: i32, arguments: &[&str]) -> String {
        let done = self.command(arguments).await;
        let output = done.stdout + &done.stderr;
        assert_eq!(done.status.code(), Some(code), "{arguments:?}: {output}");
        output
    }

    /// Starts an agent from a party's file with a change; its own file is `PARTY/NAME.toml`.
    pub(crate) fn agent(&self, party: &str, name: &str, change: impl Fn(String) -> String) -> Agent {
        self.agent_in(&[], party, name, change)
    }

    /// Starts an agent with these environment variables.
    pub(crate) fn agent_in(
        &self,
        env: &[(&str, &str)],
        party: &str,
        name: &str,
        change: impl Fn(String) -> String,
    ) -> Agent {
        let (config, port) = self.configure(party, name, change);
        let kind = if party == "bureau" { "social" } else { "commercial" };
        let mut command = slacktide();
        command.args([kind, "run", "--config"]).arg(self.file(&config));
        command.envs(env.iter().copied());
        Agent {
            process: Process::spawn(name, &mut command),
            config,
            port,
        }
    }

    /// Writes such a file; returns its name and its port.
    pub(crate) fn configure(
        &self,
        party: &str,
        name: &str,
        change: impl Fn(String) -> String,
    ) -> (String, u16) {
        let port = free_port();
        let base = if party == "bureau" { "social" } else { "commercial" };
        let text = self.read(&format!("{party}/{base}.toml"));
        let (head, listen) = text.split_once("listen = \"").unwrap();
        let (_, rest) = listen.split_once('"').unwrap();
        let text = format!("{head}listen = \"127.0.0.1:{port}\"{rest}\n")
            .replace(
                "[publisher]\nidle_poll = \"500ms\"",
                "[gate]\nmode = \"open\"\n[priority]\nown = false\n[publisher]\nidle_poll = \"100ms\"\n[lease]\nttl = \"5s\"",
            )
            .replace("interval = \"1s\"", "interval = \"100ms\"");
        let config = format!("{party}/{name}.toml");
        fs::write(self.file(&config), change(text)).unwrap();
        (config, port)
    }

    pub(crate) fn social(&self, name: &str) -> Agent {
        self.agent("bureau", name, |text| text)
    }

    pub(crate) fn poller(&self, name: &str) -> Agent {
        self.agent("insurer-a", name, |text| text)
    }

    pub(crate) fn open(&self, database: &str) -> Connection {
        let opened = Connection::open(self.file(database)).unwrap();
        opened.busy_timeout(DEADLINE).unwrap();
        opened
    }

    pub(crate) fn add(&self, rows: u32) {
        write(&mut self.open("bureau/core.db"), |core| insert(core, rows));
    }

    /// Adds a row now and then, until it is stopped.
    pub(crate) fn business(&self) -> Background {
        let mut core = self.open("bureau/core.db");
        Background::repeat(Duration::from_millis(300), move || {
            write(&mut core, |core| insert(core, 1));
        })
    }

    /// Waits until every column of every row is the same on both sides.
    pub(crate) async fn wait_until_equal(&self) {
        until_with_progress("core and store to agree", DEADLINE, async || {
            let core = rows(&self.open("bureau/core.db")).map_err(|error| error.to_string())?;
            let store = rows(&self.open("insurer-a/store.db")).map_err(|error| error.to_string())?;
            if core == store {
                return Ok(());
            }
            Err(format!("core has {} rows, store {}", core.len(), store.len()))
        })
        .await;
    }

    /// Asserts that the ledger has every number once, without a gap, and that nothing is in quarantine.
    pub(crate) fn assert_ledger_gapless(&self) {
        let count = |sql: &str| -> i64 {
            self.open("insurer-a/store.db")
                .query_row(sql, [], |row| row.get(0))
                .unwrap()
        };
        assert_eq!(
            count("SELECT max(number) - count(*) FROM slacktide_ledger"),
            0,
            "numbers are missing"
        );
        assert_eq!(count("SELECT count(*) FROM slacktide_quarantine"), 0);
    }
}

/// Writes to the core as an application with a declared lag must: a transaction that could not commit well within the lag on a
/// busy machine is rolled back and done again with new times.
pub(crate) fn write(core: &mut Connection, work: impl Fn(&Connection)) {
    loop {
        let begun = Instant::now();
        let writing = core
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .unwrap();
        work(&writing);
        if begun.elapsed() < LAG / 2 {
            return writing.commit().unwrap();
        }
        writing.rollback().unwrap();
    }
}

fn rows(database: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut asked = database.prepare(ROWS)?;
    let found = asked.query_map([], |row| row.get(0))?;
    found.collect()
}

impl Agent {
    /// Waits until the value at a JSON pointer of its status is as wanted.
    pub(crate) async fn wait_status(
        &self,
        what: &str,
        pointer: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        self.wait_status_within(DEADLINE, what, pointer, wanted).await
    }

    /// Waits with another deadline.
    pub(crate) async fn wait_status_within(
        &self,
        deadline: Duration,
        what: &str,
        pointer: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        let page = format!("http://127.0.0.1:{}/status", self.port);
        until(what, deadline, async || {
            assert!(
                !self.process.has_exited(),
                "it ended before {what}:\n{}",
                self.process.stderr()
            );
            let status = http_get(&page).await.map_err(|error| error.to_string())?.json();
            let value = status.pointer(pointer).cloned().unwrap_or(Value::Null);
            if wanted(&value) {
                Ok(value)
            } else {
                Err(format!("{pointer} is {value} in {status:#}"))
            }
        })
        .await
    }

    pub(crate) async fn page(&self, name: &str) -> String {
        let answer = http_get(&format!("http://127.0.0.1:{}/{name}", self.port)).await;
        answer.unwrap().body
    }

    /// Waits until the exchange's state and reason are these.
    pub(crate) async fn wait_exchange_state(&self, state: &str, why: &str) {
        self.wait_status(
            &format!("the exchange to be {state}: {why}"),
            "/exchange",
            |exchange| {
                exchange["state"] == state && exchange["why"].as_str().unwrap_or_default().contains(why)
            },
        )
        .await;
    }

    /// Stops the agent as a service manager would, and asserts that it succeeds.
    pub(crate) async fn stop(mut self) {
        self.process.sigterm();
        let status = self.process.wait_exit(DEADLINE).await;
        assert!(
            status.success(),
            "ended with {status}:\n{}",
            self.process.stderr()
        );
    }
}

fn insert(core: &Connection, rows: u32) {
    core.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
         INSERT INTO claim SELECT (SELECT max(id) FROM claim) + i, strftime('%Y-%m-%d %H:%M:%f', 'now'),
             'person ' || hex(randomblob(8)), printf('%d.%02d', i * 7, i % 100), hex(randomblob(40)), 0 FROM n",
        [rows],
    )
    .unwrap();
}
