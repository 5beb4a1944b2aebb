//! A private site: a nats-server with the shipped accounts, a core, a store, keys, and configuration files as a user would
//! write them. Dropping it ends everything.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use harness::{
    Db, NatsServer, NatsServers, Postgres, Process, Proxy, Response, free_port, http_get, run, slacktide,
    until, until_with_progress,
};
use nats::topology;
use schemas::name::RecipientName;
use serde_json::Value;
use tempfile::TempDir;

use crate::gate_config::with_normal_priority;

/// Deadline of every wait. Generous: machines are small and shared.
pub(crate) const DEADLINE: Duration = Duration::from_secs(150);

/// Duration of an agent's lease: short enough for takeovers, long enough to be kept on a busy machine.
const LEASE: &str = "ttl = \"5s\"";

/// Opens a new epoch from the last receipt; actor and reason follow.
pub(crate) const REWIND: [&str; 7] = [
    "feed",
    "rewind",
    "claim",
    "--recipient",
    "insurer-a",
    "--from",
    "receipt",
];

const USERS: [&str; 4] = ["admin", "bureau", "auditor", "insurer-a"];

/// The core's table: late cursors, deletes by tombstone, and money.
const TABLE: &str = "CREATE TABLE claim (
    id bigint PRIMARY KEY, updated_at timestamptz NOT NULL DEFAULT now(), deleted boolean NOT NULL DEFAULT false,
    name text, amount numeric(16,2), memo text);
    CREATE INDEX ON claim (updated_at, id);";

/// The feed of the table.
const FEED: &str = "[[feed]]\nname = \"claim\"\nsql = \"SELECT id, updated_at, deleted, name, amount, memo FROM claim\"\n\
     cursor = [\"updated_at\", \"id\"]\ncursor_set_by = \"transaction\"\nlag = \"300ms\"\nkey = [\"id\"]\n\
     money = [\"amount\"]\ntombstone = \"deleted\"\nrecipients = [\"insurer-a\"]\n";

/// A text that is the same on both sides only if every column of every row is.
const SUM: &str = "SELECT count(*) || ' rows, ' || coalesce(sum(amount), 0) || ' in all, ' || coalesce(sum(hashtextextended(
    concat_ws('|', id, updated_at, name, amount, memo), 0)), 0) FROM claim";

pub(crate) struct Site<S = NatsServer> {
    pub(crate) nats: S,
    pub(crate) core: Db,
    pub(crate) store: Db,
    pub(crate) reader: String,
    pub(crate) links: Links,
    folder: TempDir,
    gate: &'static str,
}

/// How agents reach the servers, if not directly: a test may use proxies.
#[derive(Default)]
pub(crate) struct Links {
    /// URLs of the exchange, for the bureau and for the insurer.
    pub(crate) exchange: [Option<String>; 2],
    pub(crate) source: Option<String>,
    /// The whole `[store]` section of the insurer.
    pub(crate) store: Option<String>,
    /// The insurer's `feeds = […]`: the feeds that it stores.
    pub(crate) only: Option<String>,
    pub(crate) feeds: Option<String>,
    pub(crate) env: Vec<(OsString, OsString)>,
}

/// An agent: its process and the port of its status page.
pub(crate) struct Agent {
    pub(crate) process: Process,
    pub(crate) port: u16,
}

/// Changes a configuration to a lease that outlasts any delay of a busy machine, for tests with one agent.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape of a change of the configuration"
)]
pub(crate) fn with_long_lease(text: String) -> String {
    assert!(text.contains(LEASE), "{text}");
    text.replace(LEASE, "ttl = \"60s\"")
}

impl Site {
    /// Starts a site with `rows` rows in the core and the streams applied. `gate` is the body of `[gate]`.
    pub(crate) async fn start(name: &str, rows: u32, gate: &'static str) -> Self {
        let cluster = Postgres::shared().await;
        let core = cluster.database(&format!("{name}_core")).await;
        let store = cluster.database(&format!("{name}_store")).await;
        Self::between(core, store, rows, gate, |text| text).await
    }

    /// Starts a site between two given databases, with a change to the exchange's configuration.
    pub(crate) async fn between(
        core: Db,
        store: Db,
        rows: u32,
        gate: &'static str,
        server: impl Fn(String) -> String,
    ) -> Self {
        Self::on_servers(core, store, rows, gate, server).await
    }
}

impl<S: NatsServers> Site<S> {
    /// The same on servers of any kind, such as a cluster.
    pub(crate) async fn on_servers(
        core: Db,
        store: Db,
        rows: u32,
        gate: &'static str,
        server: impl Fn(String) -> String,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys");
        for user in USERS {
            let mut command = slacktide();
            command.args(["keys", "new", "--out"]).arg(keys.join(user));
            assert!(run("keys", &mut command, DEADLINE).await.status.success());
        }
        let public = |user: &str| {
            fs::read_to_string(keys.join(user).join("connect.pub"))
                .unwrap()
                .trim()
                .to_owned()
        };
        let connect: Vec<(&str, String)> = USERS.iter().map(|user| (*user, public(user))).collect();
        let connect: Vec<(&str, &str)> = connect.iter().map(|(user, key)| (*user, key.as_str())).collect();
        let files = topology::server::files(&[RecipientName::new("insurer-a").unwrap()]).unwrap();
        let files = files.into_iter().map(|(path, text)| match path.as_str() {
            "server.conf" => (path, server(text)),
            _ => (path, text),
        });
        let env = topology::server::environment("127.0.0.1:4222", "127.0.0.1:8222", folder.path(), &connect);
        let nats = S::start_with(folder.path(), files.collect(), &env).await;

        core.execute(TABLE).await;
        core.execute(&format!(
            "INSERT INTO claim SELECT g, timestamptz '2026-01-01' + g * interval '1 ms', false, 'person ' || g, \
             (g % 100000) / 100.0, repeat(md5(g::text), 6) FROM generate_series(1, {rows}) g; ANALYZE claim"
        ))
        .await;
        let reader = core
            .role(
                "reader",
                "GRANT SELECT ON claim TO $role; GRANT pg_read_all_stats TO $role",
            )
            .await;
        let site = Self {
            nats,
            core,
            store,
            reader,
            links: Links::default(),
            folder,
            gate,
        };
        for user in ["admin", "auditor"] {
            fs::write(site.file(&format!("{user}.toml")), site.party(user)).unwrap();
        }
        let applied = site
            .command(&["exchange", "apply", "--yes", "--config", "admin.toml"])
            .await;
        assert!(applied.0, "{}", applied.1);
        site
    }

    /// Puts a proxy in front of the store, for pollers that are started afterwards.
    pub(crate) async fn store_behind_a_proxy(&mut self) -> Proxy {
        let proxy = Proxy::start(Postgres::shared().await.port()).await;
        let grants = format!(
            "GRANT CREATE ON DATABASE \"{}\" TO $role; GRANT CREATE, USAGE ON SCHEMA public TO $role",
            self.store.name()
        );
        let writer = self.store.role("writer", &grants).await;
        let url = self.store.url_via(proxy.port(), &writer);
        self.links.store = Some(format!("kind = \"postgres\"\nurl = {{ value = \"{url}\" }}"));
        proxy
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn sign_pub(&self, user: &str) -> String {
        fs::read_to_string(self.file("keys").join(user).join("sign.pub"))
            .unwrap()
            .trim()
            .to_owned()
    }

    fn exchange(&self, user: &str) -> String {
        let [bureau, insurer] = &self.links.exchange;
        let by = match user {
            "bureau" => bureau,
            "insurer-a" => insurer,
            _ => &None,
        };
        by.clone().unwrap_or_else(|| self.nats.client_url())
    }

    fn party(&self, user: &str) -> String {
        let mut text = format!(
            "[exchange]\nurl = \"{}\"\nuser = \"{user}\"\nseed = {{ file = \"keys/{user}/connect.seed\" }}\n",
            self.exchange(user)
        );
        let (bureau, insurer) = (self.sign_pub("bureau"), self.sign_pub("insurer-a"));
        match user {
            "auditor" => write!(
                text,
                "[trust]\nchunks = [\"{bureau}\"]\nreceipts = [\"{insurer}\"]\nentries = [\"{bureau}\", \"{insurer}\"]\n"
            ),
            "admin" => Ok(()),
            _ => write!(text, "[signing]\nseed = {{ file = \"keys/{user}/sign.seed\" }}\n"),
        }
        .unwrap();
        text
    }

    /// Runs a `slacktide` command in the site's folder. Returns whether it succeeded, and its whole output.
    pub(crate) async fn command(&self, arguments: &[&str]) -> (bool, String) {
        let mut command = slacktide();
        command.current_dir(self.folder.path()).args(arguments);
        let done = run("slacktide", &mut command, DEADLINE).await;
        crate::cli_schema::check(arguments, &done.stdout);
        (done.status.success(), done.stdout + &done.stderr)
    }

    /// Runs a `slacktide` command. Returns its exit code and its standard output.
    pub(crate) async fn command_stdout(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = slacktide();
        command.current_dir(self.folder.path()).args(arguments);
        let done = run("slacktide", &mut command, DEADLINE).await;
        crate::cli_schema::check(arguments, &done.stdout);
        (done.status.code(), done.stdout)
    }

    pub(crate) fn agent(&self, name: &str, kind: &str, text: &str, port: u16) -> Agent {
        let file = self.file(&format!("{name}.toml"));
        fs::write(&file, text).unwrap();
        let mut command: Command = slacktide();
        command.args([kind, "run", "--config"]).arg(file);
        command.envs(self.links.env.iter().map(|(name, value)| (name, value)));
        Agent {
            process: Process::spawn(name, &mut command),
            port,
        }
    }

    pub(crate) fn social(&self, name: &str) -> Agent {
        self.social_with(name, |text| text)
    }

    /// Starts the bureau's agent with a change to its configuration.
    pub(crate) fn social_with(&self, name: &str, change: impl Fn(String) -> String) -> Agent {
        let port = free_port();
        let text = format!(
            "[social]\nname = \"bureau\"\nsource = \"core\"\n{}[trust.receipts]\ninsurer-a = [\"{}\"]\n\
             [source]\nkind = \"postgres\"\nurl = {{ value = \"{}\" }}\n[gate]\n{}\n\
             [publisher]\nquantum_rows = 2000\nidle_poll = \"100ms\"\n[lease]\n{LEASE}\n\
             [health]\nlisten = \"127.0.0.1:{port}\"\n{}",
            self.party("bureau"),
            self.sign_pub("insurer-a"),
            self.links
                .source
                .clone()
                .unwrap_or_else(|| self.core.url_as(&self.reader)),
            with_normal_priority(self.gate),
            self.links.feeds.as_deref().unwrap_or(FEED),
        );
        self.agent(name, "social", &change(text), port)
    }

    pub(crate) fn poller(&self, name: &str) -> Agent {
        let port = free_port();
        let store =
            self.links.store.clone().unwrap_or_else(|| {
                format!("kind = \"postgres\"\nurl = {{ value = \"{}\" }}", self.store.url)
            });
        let only = self
            .links
            .only
            .as_deref()
            .map_or_else(String::new, |only| format!("feeds = {only}\n"));
        let text = format!(
            "[commercial]\nrecipient = \"insurer-a\"\n{only}{}[trust]\nchunks = [\"{}\"]\n\
             [store]\n{store}\n[poll]\ninterval = \"200ms\"\nmax_messages = 4\n\
             [health]\nlisten = \"127.0.0.1:{port}\"\n",
            self.party("insurer-a"),
            self.sign_pub("bureau"),
        );
        self.agent(name, "commercial", &text, port)
    }

    /// Waits until every column of every row that is not deleted is the same on both sides.
    pub(crate) async fn wait_until_equal(&self) {
        until_with_progress("core and store to agree", DEADLINE, async || {
            let core: String = self.core.query(&format!("{SUM} WHERE NOT deleted")).await[0].get(0);
            let store = self.store.connect().await.query(SUM, &[]).await;
            let store: String = store.map_err(|error| error.to_string())?[0].get(0);
            if core == store {
                Ok(())
            } else {
                Err(format!("core {core}, store {store}"))
            }
        })
        .await;
    }

    /// Opens a new epoch from the store's frontier, as an operator would. The receipt with the frontier may have to be signed again
    /// from the ledger first.
    pub(crate) async fn rewind(&self, config: &str, reason: &str) {
        until("a new epoch from the store's frontier", DEADLINE, async || {
            let why = ["--actor", "li.na", "--reason", reason, "--config", config];
            let (opened, text) = self.command(&[&REWIND[..], &why].concat()).await;
            if opened { Ok(()) } else { Err(text) }
        })
        .await;
    }

    /// Confirms the orders at the exchange, as an operator does after a restore.
    pub(crate) async fn confirm_orders(&self, config: &str, reason: &str) {
        let (_, shown) = self
            .command_stdout(&["orders", "show", "--json", "--config", config])
            .await;
        let shown: Value = serde_json::from_str(&shown).unwrap_or_else(|_| panic!("no JSON: {shown}"));
        let record = |mark: &Value| {
            let digest = mark["digest"].as_str()?;
            Some(format!("{}:{digest}", mark["number"]))
        };
        let named = record(&shown["record"]).unwrap_or_else(|| "none".to_owned());
        let words = [
            "orders", "confirm", "--record", &named, "--actor", "li.na", "--reason", reason,
        ];
        let (is_done, output) = self.command(&[&words[..], &["--config", config]].concat()).await;
        assert!(is_done, "{output}");
    }

    /// Asserts that every chunk, receipt and link at the exchange is valid.
    pub(crate) async fn assert_evidence_valid(&self) {
        let (is_valid, text) = self
            .command(&["audit", "verify", "--config", "auditor.toml"])
            .await;
        assert!(is_valid, "{text}");
    }

    /// Asserts that the ledger has every number once, without a gap.
    pub(crate) async fn assert_ledger_gapless(&self) {
        let gaps = "SELECT count(*) FROM (SELECT epoch, max(number) - count(*) AS gap FROM slacktide.ledger \
                    GROUP BY epoch) e WHERE gap <> 0";
        assert_eq!(
            self.store.number(gaps).await,
            0,
            "numbers are missing in the ledger"
        );
        assert_eq!(
            self.store
                .number("SELECT count(*) FROM slacktide.quarantine")
                .await,
            0
        );
    }
}

/// Asserts that no statement began while the gate was closed, and that no row was delivered after the agent had yielded. A late
/// row is excused where the agent itself measured that it got no processor in time.
pub(crate) fn assert_yielded(status: &Value) {
    let driver = &status["driver"];
    assert_eq!(driver["statements_while_closed"], 0, "{driver}");
    let longest = status.pointer("/gate/yields/max_us").and_then(Value::as_u64);
    let in_time = longest.is_some_and(|longest| longest <= 100_000);
    assert!(
        driver["rows_while_closed"] == 0 || !in_time,
        "{driver}, yielded within {longest:?} us"
    );
}

impl Agent {
    /// Returns its status; `None` while it does not answer.
    pub(crate) async fn status(&self) -> Option<Value> {
        http_get(&format!("http://127.0.0.1:{}/status", self.port))
            .await
            .ok()
            .map(|response| response.json())
    }

    /// Returns a page, such as `/readyz`; `None` while it does not answer.
    pub(crate) async fn page(&self, path: &str) -> Option<Response> {
        http_get(&format!("http://127.0.0.1:{}{path}", self.port))
            .await
            .ok()
    }

    /// Waits until a page answers with this code, and returns its body.
    pub(crate) async fn wait_page(&self, path: &str, code: u16) -> String {
        until(
            &format!("{path} to answer {code}"),
            DEADLINE,
            async || match self.page(path).await {
                Some(page) if page.status == code => Ok(page.body),
                Some(page) => Err(format!("{} {}", page.status, page.body)),
                None => Err(format!("no answer; it wrote:\n{}", self.process.stderr())),
            },
        )
        .await
    }

    /// Waits until the value at a JSON pointer is as wanted, and returns it.
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
        until(what, deadline, async || {
            let Some(status) = self.status().await else {
                assert!(
                    !self.process.has_exited(),
                    "it ended before {what}:\n{}",
                    self.process.stderr()
                );
                return Err(format!("no answer; it wrote:\n{}", self.process.stderr()));
            };
            let value = status.pointer(pointer).cloned().unwrap_or(Value::Null);
            if wanted(&value) {
                Ok(value)
            } else {
                Err(format!("{pointer} is {value}"))
            }
        })
        .await
    }

    /// Waits for an agent in the idle class. Its progress depends on the load of the machine, so the limit is on its own processor
    /// time.
    pub(crate) async fn wait_status_by_cpu_time(
        &self,
        what: &str,
        pointer: &str,
        wanted: impl Fn(&Value) -> bool,
    ) {
        const MOST: Duration = Duration::from_secs(60);
        until_with_progress(what, DEADLINE, async || {
            let used = self.process.processor_time();
            assert!(
                used < MOST,
                "{what}: not after {used:?} of processor time:\n{}",
                self.process.stderr()
            );
            let status = self.status().await.unwrap_or_default();
            match status.pointer(pointer) {
                Some(value) if wanted(value) => Ok(()),
                value => Err(format!("{pointer} is {value:?} after {used:?} of processor time")),
            }
        })
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
        let log = self.process.stderr();
        assert!(!log.contains("the tasks of this process do not run"), "{log}");
    }
}
