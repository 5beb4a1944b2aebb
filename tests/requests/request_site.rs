//! Two insurers and one bureau: servers, keys, configuration files as users would write them, and the kinds of requests that
//! the bureau accepts. insurer-a keeps its answers in PostgreSQL, insurer-b in SQLite.

mod kinds;
mod programs;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use exchange::port::{ReadFrom, Stream};
use exchange::{AuditExchange, Exchange, Stored};
use harness::{
    Db, NatsServer, NatsServers, Postgres, Process, free_port, run, slacktide, until, until_with_progress,
};
use nats::{JetStream, Options, topology};
use schemas::envelope::{Envelope, Payload};
use schemas::name::{PartyName, RecipientName};
use schemas::reply::Reply;
use serde_json::Value;
use tempfile::TempDir;

use crate::pipeline::site::{Agent, DEADLINE};
use kinds::KINDS;

pub(crate) const INSURERS: [&str; 2] = ["insurer-a", "insurer-b"];
const OFFICERS: [&str; 2] = ["li_na", "wang_wei"];

/// The core's table. The comment column is denied to all, and its value marks each row.
const TABLE: &str = "CREATE TABLE claim (
    id bigint PRIMARY KEY, updated_at timestamptz NOT NULL DEFAULT now(), psn_no text NOT NULL, psn_name text,
    day date NOT NULL, amount numeric(16,2), secret text);
    CREATE INDEX ON claim (updated_at, id); CREATE INDEX ON claim (psn_no, day); CREATE INDEX ON claim (day)";

/// Number of persons in the core; each has some claims.
pub(crate) const PERSONS: u32 = 500;

const FEED: &str = "[[feed]]\nname = \"claim\"\nsql = \"SELECT id, updated_at, psn_no, day, amount FROM claim\"\n\
     cursor = [\"updated_at\", \"id\"]\ncursor_set_by = \"transaction\"\nlag = \"300ms\"\nkey = [\"id\"]\n\
     money = [\"amount\"]\nrecipients = [\"insurer-a\", \"insurer-b\"]\n";

/// A site with its servers and files.
pub(crate) struct RequestSite<S = NatsServer> {
    pub(crate) nats: S,
    pub(crate) core: Db,
    pub(crate) store: Db,
    reader: String,
    folder: TempDir,
    gate: String,
    /// The gateway that agents started from now on use, if they do not use NATS. Their tokens and its authority are in the folder.
    pub(crate) gateway: Option<String>,
    pub(crate) kinds: String,
    /// More text of the bureau's file, before the feeds.
    pub(crate) more: String,
    /// More text of an insurer's `[store]`.
    pub(crate) store_more: String,
}

impl RequestSite {
    /// Starts a site with `rows` claims in the core and the streams applied. `gate` is the body of `[gate]`.
    pub(crate) async fn start(name: &str, rows: u32, gate: &str) -> Self {
        Self::on_servers(name, rows, gate).await
    }
}

impl<S: NatsServers> RequestSite<S> {
    /// Starts a site whose exchange is of these servers.
    pub(crate) async fn on_servers(name: &str, rows: u32, gate: &str) -> Self {
        let cluster = Postgres::shared().await;
        let core = cluster.database(&format!("{name}_core")).await;
        let store = cluster.database(&format!("{name}_store")).await;
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys");
        let users = ["admin", "bureau", "auditor", INSURERS[0], INSURERS[1]];
        for user in users.iter().chain(&OFFICERS) {
            let mut command = slacktide();
            command.args(["keys", "new", "--out"]).arg(keys.join(user));
            assert!(run("keys", &mut command, DEADLINE).await.status.success());
        }
        let connect: Vec<(&str, String)> = users
            .iter()
            .map(|user| (*user, read(&keys.join(user).join("connect.pub"))))
            .collect();
        let connect: Vec<(&str, &str)> = connect.iter().map(|(user, key)| (*user, key.as_str())).collect();
        let recipients = INSURERS.map(|name| RecipientName::new(name).unwrap());
        let files = topology::server::files(&recipients).unwrap();
        let env = topology::server::environment("127.0.0.1:4222", "127.0.0.1:8222", folder.path(), &connect);
        let nats = S::start_with(folder.path(), files, &env).await;
        core.execute(TABLE).await;
        core.execute(&claims(1, rows)).await;
        core.execute("ANALYZE claim").await;
        let reader = core
            .role(
                "reader",
                "GRANT SELECT ON claim TO $role; GRANT pg_read_all_stats TO $role",
            )
            .await;
        let request_site = Self {
            nats,
            core,
            store,
            reader,
            folder,
            gate: gate.to_owned(),
            gateway: None,
            kinds: KINDS.to_owned(),
            more: String::new(),
            store_more: String::new(),
        };
        let admin = request_site.party("admin");
        fs::write(request_site.file("admin.toml"), admin).unwrap();
        let (applied, output) = request_site
            .command(&[
                "exchange",
                "apply",
                "--yes",
                "--config",
                "admin.toml",
                "--recipient",
                INSURERS[0],
                "--recipient",
                INSURERS[1],
            ])
            .await;
        assert!(applied, "{output}");
        for insurer in INSURERS {
            request_site.write_commercial(insurer, insurer, free_port());
        }
        request_site.write_social("bureau", free_port());
        request_site
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn sign_pub(&self, user: &str) -> String {
        read(&self.file("keys").join(user).join("sign.pub"))
    }

    fn party(&self, user: &str) -> String {
        let exchange = match &self.gateway {
            None => format!(
                "[exchange]\nurl = \"{}\"\nuser = \"{user}\"\nseed = {{ file = \"keys/{user}/connect.seed\" }}\n",
                self.nats.client_url()
            ),
            Some(url) => format!(
                "[exchange]\nurl = \"{url}\"\nuser = \"{user}\"\ntoken = {{ file = \"{user}.token\" }}\n\
                 [exchange.tls]\nca = \"ca.pem\"\n"
            ),
        };
        match user {
            "admin" => exchange,
            _ => format!("{exchange}[signing]\nseed = {{ file = \"keys/{user}/sign.seed\" }}\n"),
        }
    }

    /// Writes the auditor's file, which trusts no key yet: enough to replay.
    pub(crate) fn write_auditor(&self) {
        let exchange = format!(
            "[exchange]\nurl = \"{}\"\nuser = \"auditor\"\nseed = {{ file = \"keys/auditor/connect.seed\" }}\n",
            self.nats.client_url()
        );
        fs::write(self.file("auditor.toml"), exchange).unwrap();
    }

    /// Runs a `slacktide` command in the site's folder. Returns whether it succeeded, and its whole output.
    pub(crate) async fn command(&self, arguments: &[&str]) -> (bool, String) {
        let done = self.run_command(arguments).await;
        (done.status.success(), done.stdout + &done.stderr)
    }

    pub(crate) async fn run_command(&self, arguments: &[&str]) -> harness::Finished {
        let mut command = slacktide();
        command.current_dir(self.folder.path()).args(arguments);
        let done = run("slacktide", &mut command, DEADLINE).await;
        crate::cli_schema::check(arguments, &done.stdout);
        done
    }

    /// Returns the output of a command with `--json`.
    pub(crate) async fn json(&self, arguments: &[&str]) -> Value {
        let done = self.run_command(arguments).await;
        serde_json::from_str(&done.stdout)
            .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {}{}", done.stdout, done.stderr))
    }

    pub(crate) fn agent(&self, name: &str, kind: &str, port: u16) -> Agent {
        let mut command: Command = slacktide();
        command
            .current_dir(self.folder.path())
            .args([kind, "run", "--config"])
            .arg(self.file(&format!("{name}.toml")));
        Agent {
            process: Process::spawn(name, &mut command),
            port,
        }
    }

    /// Writes the bureau's file under a name.
    pub(crate) fn write_social(&self, name: &str, port: u16) {
        let officers: Vec<String> = OFFICERS
            .iter()
            .map(|name| format!("\"{name}\" = [\"{}\"]", self.sign_pub(name)))
            .collect();
        let text = format!(
            "[social]\nname = \"bureau\"\nsource = \"core\"\n{}[trust]\nofficers = {{ {} }}\n[trust.receipts]\n\
             insurer-a = [\"{}\"]\ninsurer-b = [\"{}\"]\n[source]\nkind = \"postgres\"\nurl = {{ value = \"{}\" }}\n\
             [gate]\n{}\n[publisher]\nquantum_rows = 2000\nidle_poll = \"100ms\"\n[lease]\nttl = \"5s\"\n\
             [requests]\ninterval = \"200ms\"\n[masking]\nkey = {{ file = \"masking.key\" }}\n\
             [health]\nlisten = \"127.0.0.1:{port}\"\n{}{FEED}{}",
            self.party("bureau"),
            officers.join(", "),
            self.sign_pub(INSURERS[0]),
            self.sign_pub(INSURERS[1]),
            self.core.url_as(&self.reader),
            crate::gate_config::with_normal_priority(&self.gate),
            self.more,
            self.kinds,
        );
        let secret = self.file("masking.key");
        // Written once: an agent that starts now could read a half-written file as an empty secret.
        if !secret.exists() {
            fs::write(&secret, "0123456789abcdef".repeat(4)).unwrap();
            fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        }
        fs::write(self.file(&format!("{name}.toml")), text).unwrap();
    }

    pub(crate) fn social(&self, name: &str) -> Agent {
        let port = free_port();
        self.write_social(name, port);
        self.agent(name, "social", port)
    }

    /// Returns the account that reads the core.
    pub(crate) fn reader(&self) -> &str {
        &self.reader
    }

    /// Starts the bureau's agent and waits until it works.
    pub(crate) async fn bureau(&self) -> Agent {
        let agent = self.social("bureau");
        agent
            .wait_status("the bureau's agent to be at work", "/lease/held", |held| {
                *held == true
            })
            .await;
        agent
    }

    pub(crate) fn write_commercial(&self, insurer: &str, name: &str, port: u16) {
        let store = if insurer == INSURERS[0] {
            format!("kind = \"postgres\"\nurl = {{ value = \"{}\" }}", self.store.url)
        } else {
            "kind = \"sqlite\"\npath = \"insurer-b.db\"".to_owned()
        };
        let more = &self.store_more;
        let text = format!(
            "[commercial]\nrecipient = \"{insurer}\"\n{}[trust]\nchunks = [\"{}\"]\n[store]\n{store}\n{more}\n\
             [poll]\ninterval = \"200ms\"\nmax_messages = 8\n[health]\nlisten = \"127.0.0.1:{port}\"\n",
            self.party(insurer),
            self.sign_pub("bureau"),
        );
        fs::write(self.file(&format!("{name}.toml")), text).unwrap();
    }

    /// Starts an agent of the insurer under its own name.
    pub(crate) fn commercial(&self, insurer: &str, name: &str) -> Agent {
        let port = free_port();
        self.write_commercial(insurer, name, port);
        self.agent(name, "commercial", port)
    }

    /// Files one request with these arguments and returns its id.
    pub(crate) async fn ask(&self, insurer: &str, kind: &str, arguments: &[&str], more: &[&str]) -> String {
        let config = format!("{insurer}.toml");
        let mut line = vec!["request", "file", "--json", "--config", &config, "--kind", kind];
        for argument in arguments {
            line.extend(["--arg", argument]);
        }
        for (flag, usual) in [("--purpose", "01"), ("--basis", "01"), ("--actor", "clerk")] {
            if !more.contains(&flag) {
                line.extend([flag, usual]);
            }
        }
        line.extend(more);
        let output = self.json(&line).await;
        output
            .pointer("/items/0/id")
            .and_then(Value::as_str)
            .unwrap_or_else(|| panic!("no id: {output}"))
            .to_owned()
    }

    pub(crate) async fn cancel(&self, insurer: &str, id: &str) {
        let config = format!("{insurer}.toml");
        let why = ["--actor", "clerk", "--reason", "a mistake", "--config", &config];
        let done = self
            .run_command(&[&["request", "cancel", id], &why[..]].concat())
            .await;
        // Exit code 11: its outcome was first.
        assert!(
            matches!(done.status.code(), Some(0 | 11)),
            "{}{}",
            done.stdout,
            done.stderr
        );
    }

    /// Returns the state of a request, from the streams alone.
    pub(crate) async fn show_request(&self, insurer: &str, id: &str) -> Value {
        self.json(&[
            "request",
            "show",
            id,
            "--json",
            "--config",
            &format!("{insurer}.toml"),
        ])
        .await
    }

    pub(crate) async fn wait_state(&self, insurer: &str, id: &str, wanted: &str) -> Value {
        until(&format!("{id} to be {wanted}"), DEADLINE, async || {
            let shown = self.show_request(insurer, id).await;
            let states = states(&shown);
            if states.iter().any(|state| state == wanted) {
                Ok(shown)
            } else {
                Err(shown.to_string())
            }
        })
        .await
    }

    /// Removes every file of both agents except for their configuration and keys.
    pub(crate) fn remove_local_files(&self) {
        for entry in fs::read_dir(self.file(".")).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if entry.file_type().unwrap().is_file() && !name.ends_with(".toml") {
                fs::remove_file(entry.path()).unwrap();
            }
        }
    }

    pub(crate) async fn exchange(&self, user: &str) -> JetStream {
        let seed = read(&self.file("keys").join(user).join("connect.seed"));
        JetStream::connect(Options::command(self.nats.client_url(), user, &seed))
            .await
            .unwrap()
    }

    /// Waits until a stream holds this many messages, reading each of them once.
    pub(crate) async fn wait_stream(&self, stream: Stream, messages: usize) {
        let auditor = self.exchange("auditor").await;
        let next: RefCell<BTreeMap<PartyName, u64>> = RefCell::default();
        let seen = Cell::new(0);
        until_with_progress(
            &format!("{messages} messages of {stream:?}"),
            DEADLINE,
            async || {
                // The exchange may be down at this moment.
                let parties = auditor.parties(stream).await;
                for party in parties.map_err(|error| error.to_string())? {
                    let from = next.borrow().get(&party).copied().unwrap_or(1);
                    let filter = format!("{}.{party}.>", stream.token());
                    let read = auditor.read(stream, ReadFrom::Sequence(from), &filter, 500).await;
                    let read = read.map_err(|error| error.to_string())?;
                    seen.set(seen.get() + read.len());
                    let last = read.last().map_or(from, |last| last.sequence + 1);
                    next.borrow_mut().insert(party, last);
                }
                if seen.get() == messages {
                    Ok(())
                } else {
                    Err(format!("{} of {messages}", seen.get()))
                }
            },
        )
        .await;
        auditor.close().await;
    }

    /// Asserts that for each request as many rows are stored as its reply declares.
    pub(crate) async fn assert_answers_stored_once(&self, replies: &[Stored]) {
        let rows: u64 = replies
            .iter()
            .map(|stored| payload::<Reply>(stored).outcome.rows())
            .sum();
        let mut stored = 0;
        for table in [
            "answer_claim__by_person",
            "answer_claim__day",
            "answer_claim__over",
        ] {
            stored += self.store.number(&format!("SELECT count(*) FROM {table}")).await;
        }
        assert_eq!(u64::try_from(stored).unwrap(), rows);
    }

    /// Returns everything that a stream holds, as its auditor reads it.
    pub(crate) async fn stream(&self, stream: Stream) -> Vec<Stored> {
        let auditor = self.exchange("auditor").await;
        let mut all = Vec::new();
        for party in auditor.parties(stream).await.unwrap() {
            let filter = format!("{}.{party}.>", stream.token());
            let mut from = 1;
            loop {
                let read = auditor
                    .read(stream, ReadFrom::Sequence(from), &filter, 500)
                    .await
                    .unwrap();
                let Some(last) = read.last() else { break };
                from = last.sequence + 1;
                all.extend(read);
            }
        }
        auditor.close().await;
        all
    }
}

/// Returns the states of a request, by name.
pub(crate) fn states(shown: &Value) -> Vec<String> {
    let steps = shown.pointer("/steps").and_then(Value::as_array);
    steps
        .into_iter()
        .flatten()
        .filter_map(|step| step["state"].as_str().or_else(|| step["state"]["state"].as_str()))
        .map(str::to_owned)
        .collect()
}

/// Returns the payload of a message; its signature is left to the product.
pub(crate) fn payload<T: Payload>(stored: &Stored) -> T {
    let envelope = Envelope::decode(&stored.bytes).unwrap();
    envelope.read().unwrap()
}

/// Returns claims with these ids: some each day, over all persons in turn.
pub(crate) fn claims(from: u32, to: u32) -> String {
    format!(
        "INSERT INTO claim SELECT g, timestamptz '2026-01-01' + g * interval '1 ms', 'p' || lpad((g % {PERSONS})::text, 6, '0'), \
         'person ' || g % {PERSONS}, date '2026-01-01' + (g % 200), (g % 100000) / 100.0, 'unsaid-' || md5(g::text) \
         FROM generate_series({from}, {to}) g"
    )
}

pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap().trim().to_owned()
}
