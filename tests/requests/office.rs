//! Two insurers at one bureau: servers, keys, configuration files as users would write them, and the
//! kinds of questions that the bureau takes. insurer-a keeps its answers in PostgreSQL, insurer-b in SQLite.

mod kinds;
mod programs;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use exchange::port::{From, Stream};
use exchange::{Exchange, Stored};
use harness::{Db, NatsServer, Postgres, Process, free_port, run, slacktide, until, until_still};
use nats::{JetStream, Options, topology};
use schemas::envelope::{Envelope, Payload};
use schemas::name::{PartyName, RecipientName};
use serde_json::Value;
use tempfile::TempDir;

use crate::path::site::{Agent, PATIENCE};
use kinds::KINDS;

pub(crate) const INSURERS: [&str; 2] = ["insurer-a", "insurer-b"];
const OFFICERS: [&str; 2] = ["li_na", "wang_wei"];

/// What the core holds. The comment is what nobody may have, and says so in each row.
const TABLE: &str = "CREATE TABLE claim (
    id bigint PRIMARY KEY, updated_at timestamptz NOT NULL DEFAULT now(), psn_no text NOT NULL, psn_name text,
    day date NOT NULL, amount numeric(16,2), secret text);
    CREATE INDEX ON claim (updated_at, id); CREATE INDEX ON claim (psn_no, day); CREATE INDEX ON claim (day)";

/// Persons in the core; each has some claims.
pub(crate) const PERSONS: u32 = 500;

const FEED: &str = "[[feed]]\nname = \"claim\"\nsql = \"SELECT id, updated_at, psn_no, day, amount FROM claim\"\n\
     cursor = [\"updated_at\", \"id\"]\ncursor_set_by = \"transaction\"\nlag = \"300ms\"\nkey = [\"id\"]\n\
     money = [\"amount\"]\nrecipients = [\"insurer-a\", \"insurer-b\"]\n";

/// The site.
pub(crate) struct Office {
    pub(crate) nats: NatsServer,
    pub(crate) core: Db,
    pub(crate) store: Db,
    reader: String,
    folder: TempDir,
    gate: String,
    pub(crate) kinds: String,
    /// More of the bureau's file, before the feeds.
    pub(crate) more: String,
    /// More of an insurer's `[store]`.
    pub(crate) store_more: String,
}

impl Office {
    /// Started with `rows` claims in the core and the streams applied. `gate` is the body of `[gate]`.
    pub(crate) async fn start(name: &str, rows: u32, gate: &str) -> Self {
        let cluster = Postgres::shared().await;
        let core = cluster.database(&format!("{name}_core")).await;
        let store = cluster.database(&format!("{name}_store")).await;
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys");
        let users = ["admin", "bureau", "auditor", INSURERS[0], INSURERS[1]];
        for user in users.iter().chain(&OFFICERS) {
            let mut command = slacktide();
            command.args(["keys", "new", "--out"]).arg(keys.join(user));
            assert!(run("keys", &mut command, PATIENCE).await.status.success());
        }
        let connect: Vec<(&str, String)> = users
            .iter()
            .map(|user| (*user, read(&keys.join(user).join("connect.pub"))))
            .collect();
        let connect: Vec<(&str, &str)> = connect.iter().map(|(user, key)| (*user, key.as_str())).collect();
        fs::create_dir(folder.path().join("accounts")).unwrap();
        for (path, text) in
            topology::server::files(&INSURERS.map(|name| RecipientName::new(name).unwrap())).unwrap()
        {
            fs::write(folder.path().join(path), text).unwrap();
        }
        let env = topology::server::environment("127.0.0.1:4222", "127.0.0.1:8222", folder.path(), &connect);
        let env: Vec<(&str, &str)> = env
            .iter()
            .filter(|(name, _)| name != "SLACKTIDE_STORE")
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let nats = NatsServer::with_config(&folder.path().join("server.conf"), &env).await;
        core.execute(TABLE).await;
        core.execute(&claims(1, rows)).await;
        core.execute("ANALYZE claim").await;
        let reader = core
            .role(
                "reader",
                "GRANT SELECT ON claim TO $role; GRANT pg_read_all_stats TO $role",
            )
            .await;
        let office = Self {
            nats,
            core,
            store,
            reader,
            folder,
            gate: gate.to_owned(),
            kinds: KINDS.to_owned(),
            more: String::new(),
            store_more: String::new(),
        };
        let admin = office.party("admin");
        fs::write(office.file("admin.toml"), admin).unwrap();
        let (applied, told) = office
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
        assert!(applied, "{told}");
        for insurer in INSURERS {
            office.write_commercial(insurer, insurer, free_port());
        }
        office.write_social("bureau", free_port());
        office
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn sign_pub(&self, user: &str) -> String {
        read(&self.file("keys").join(user).join("sign.pub"))
    }

    fn party(&self, user: &str) -> String {
        let exchange = format!(
            "[exchange]\nurl = \"{}\"\nuser = \"{user}\"\nseed = {{ file = \"keys/{user}/connect.seed\" }}\n",
            self.nats.url()
        );
        match user {
            "admin" => exchange,
            _ => format!("{exchange}[signing]\nseed = {{ file = \"keys/{user}/sign.seed\" }}\n"),
        }
    }

    /// Writes the auditor's file, which trusts nobody yet: enough to replay.
    pub(crate) fn write_auditor(&self) {
        let exchange = format!(
            "[exchange]\nurl = \"{}\"\nuser = \"auditor\"\nseed = {{ file = \"keys/auditor/connect.seed\" }}\n",
            self.nats.url()
        );
        fs::write(self.file("auditor.toml"), exchange).unwrap();
    }

    /// Runs a command of the binary in the site's folder: whether it went well, and what it printed.
    pub(crate) async fn command(&self, arguments: &[&str]) -> (bool, String) {
        let done = self.done(arguments).await;
        (done.status.success(), done.stdout + &done.stderr)
    }

    pub(crate) async fn done(&self, arguments: &[&str]) -> harness::Finished {
        let mut command = slacktide();
        command.current_dir(self.folder.path()).args(arguments);
        run("slacktide", &mut command, PATIENCE).await
    }

    /// What a command with `--json` printed.
    pub(crate) async fn json(&self, arguments: &[&str]) -> Value {
        let done = self.done(arguments).await;
        serde_json::from_str(&done.stdout)
            .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {}{}", done.stdout, done.stderr))
    }

    fn agent(&self, name: &str, kind: &str, port: u16) -> Agent {
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
            crate::gates::with_equal_priority(&self.gate),
            self.more,
            self.kinds,
        );
        let secret = self.file("masking.key");
        // Once: an agent that is starting now would read a file that is being written as an empty secret.
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

    /// The account that reads the core.
    pub(crate) fn reader(&self) -> &str {
        &self.reader
    }

    /// The bureau's agent, once it is at work.
    pub(crate) async fn bureau(&self) -> Agent {
        let agent = self.social("bureau");
        agent
            .shows("the bureau's agent to be at work", "/lease/held", |held| {
                *held == true
            })
            .await;
        agent
    }

    fn write_commercial(&self, insurer: &str, name: &str, port: u16) {
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

    /// An agent of the insurer, under a name of its own.
    pub(crate) fn commercial(&self, insurer: &str, name: &str) -> Agent {
        let port = free_port();
        self.write_commercial(insurer, name, port);
        self.agent(name, "commercial", port)
    }

    /// Files one request with these arguments, and gives its id.
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
        let told = self.json(&line).await;
        told.pointer("/id")
            .and_then(Value::as_str)
            .unwrap_or_else(|| panic!("no id: {told}"))
            .to_owned()
    }

    /// Asks the bureau not to answer any more.
    pub(crate) async fn cancel(&self, insurer: &str, id: &str) {
        let config = format!("{insurer}.toml");
        let why = ["--actor", "clerk", "--reason", "a mistake", "--config", &config];
        let done = self.done(&[&["request", "cancel", id], &why[..]].concat()).await;
        // 11: its outcome was first.
        assert!(
            matches!(done.status.code(), Some(0 | 11)),
            "{}{}",
            done.stdout,
            done.stderr
        );
    }

    /// How a request stands, from the streams alone.
    pub(crate) async fn shown(&self, insurer: &str, id: &str) -> Value {
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

    /// Waits until a request stands so.
    pub(crate) async fn stands(&self, insurer: &str, id: &str, wanted: &str) -> Value {
        until(&format!("{id} to be {wanted}"), PATIENCE, async || {
            let shown = self.shown(insurer, id).await;
            let states = states(&shown);
            if states.iter().any(|state| state == wanted) {
                Ok(shown)
            } else {
                Err(shown.to_string())
            }
        })
        .await
    }

    /// Every file of both agents is gone but their configuration and keys.
    pub(crate) fn forget_local_files(&self) {
        for entry in fs::read_dir(self.file(".")).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if entry.file_type().unwrap().is_file() && !name.ends_with(".toml") {
                fs::remove_file(entry.path()).unwrap();
            }
        }
    }

    /// The exchange as a party sees it.
    pub(crate) async fn exchange(&self, user: &str) -> JetStream {
        let seed = read(&self.file("keys").join(user).join("connect.seed"));
        JetStream::connect(Options::command(self.nats.url(), user, &seed))
            .await
            .unwrap()
    }

    /// Waits until a stream holds so many messages, reading each of them once.
    pub(crate) async fn until_stream(&self, stream: Stream, messages: usize) {
        let auditor = self.exchange("auditor").await;
        let next: RefCell<BTreeMap<PartyName, u64>> = RefCell::default();
        let seen = Cell::new(0);
        until_still(
            &format!("{messages} messages of {stream:?}"),
            PATIENCE,
            async || {
                // The exchange may be down just now.
                let parties = auditor.parties(stream).await;
                for party in parties.map_err(|error| error.to_string())? {
                    let from = next.borrow().get(&party).copied().unwrap_or(1);
                    let filter = format!("{}.{party}.>", stream.token());
                    let read = auditor.read(stream, From::Sequence(from), &filter, 500).await;
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

    /// Everything that a stream holds, as its auditor reads it.
    pub(crate) async fn stream(&self, stream: Stream) -> Vec<Stored> {
        let auditor = self.exchange("auditor").await;
        let mut all = Vec::new();
        for party in auditor.parties(stream).await.unwrap() {
            let filter = format!("{}.{party}.>", stream.token());
            let mut from = 1;
            loop {
                let read = auditor
                    .read(stream, From::Sequence(from), &filter, 500)
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

/// The steps of a request, by name.
pub(crate) fn states(shown: &Value) -> Vec<String> {
    let steps = shown.pointer("/steps").and_then(Value::as_array);
    steps
        .into_iter()
        .flatten()
        .filter_map(|step| step["state"].as_str().or_else(|| step["state"]["state"].as_str()))
        .map(str::to_owned)
        .collect()
}

/// What a message says, its signature left to the product.
pub(crate) fn payload<T: Payload>(stored: &Stored) -> T {
    let envelope = Envelope::decode(&stored.bytes).unwrap();
    envelope.read().unwrap()
}

/// Claims with these ids: some a day, of all persons in turn.
pub(crate) fn claims(from: u32, to: u32) -> String {
    format!(
        "INSERT INTO claim SELECT g, timestamptz '2026-01-01' + g * interval '1 ms', 'p' || lpad((g % {PERSONS})::text, 6, '0'), \
         'person ' || g % {PERSONS}, date '2026-01-01' + (g % 200), (g % 100000) / 100.0, 'unsaid-' || md5(g::text) \
         FROM generate_series({from}, {to}) g"
    )
}

/// What a file says, without the line's end.
pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap().trim().to_owned()
}
