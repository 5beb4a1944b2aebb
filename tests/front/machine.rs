//! A front made of the files of `keys site`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::{Process, free_port, http_get, nats_server_binary, run, slacktide, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::pipeline::site::DEADLINE;

/// The files and ports of a front; it is not started yet.
pub(super) struct Machine {
    folder: TempDir,
    pub(super) gateway: u16,
    pub(super) health: u16,
}

impl Machine {
    /// Makes a site whose exchange is at `host`, and the front's file in it.
    pub(super) async fn create(host: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (nats, gateway, health) = (free_port(), free_port(), free_port());
        let listen = format!("{host}:{nats}");
        let mut command = slacktide();
        command
            .args([
                "keys",
                "site",
                "--recipient",
                "insurer-a",
                "--host",
                host,
                "--listen",
                &listen,
                "--out",
            ])
            .arg(folder.path());
        let made = run("keys site", &mut command, DEADLINE).await;
        assert!(made.status.success(), "{}", made.stderr);
        let machine = Self {
            folder,
            gateway,
            health,
        };
        // Its monitor's port is fixed.
        let variables = machine.read("exchange/server.env");
        machine.write(
            "exchange/server.env",
            &variables.replace("127.0.0.1:8222", &format!("127.0.0.1:{}", free_port())),
        );
        let server = nats_server_binary();
        machine.write(
            "front.toml",
            &format!(
                "[server]\nprogram = \"{}\"\nconfig = \"exchange/server.conf\"\nenvironment = \"exchange/server.env\"\n\
                 [gateway]\nlisten = \"127.0.0.1:{gateway}\"\ntokens = \"tokens.json\"\n\
                 [exchange]\nurl = \"tls://{listen}\"\n\
                 [exchange.tls]\nca = \"insurer-a/ca.pem\"\ncert = \"insurer-a/client.pem\"\nkey = \"insurer-a/client.key\"\n\
                 [[party]]\nname = \"insurer-a\"\nrole = \"recipient\"\nseed = {{ file = \"insurer-a/connect.seed\" }}\n\
                 [health]\nlisten = \"127.0.0.1:{health}\"\n",
                server.display()
            ),
        );
        machine
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap()
    }

    /// Writes a file that others cannot read.
    pub(super) fn write(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        fs::write(self.file(name), text).unwrap();
        fs::set_permissions(self.file(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Runs a command that must succeed; returns its output.
    pub(super) async fn run_ok(&self, words: &[&str]) -> String {
        let mut command = self.command(words);
        let done = run(&words.join(" "), &mut command, DEADLINE).await;
        assert!(done.status.success(), "{words:?}: {}{}", done.stdout, done.stderr);
        done.stdout
    }

    pub(super) fn command(&self, words: &[&str]) -> Command {
        let mut command = slacktide();
        command.current_dir(self.path()).args(words);
        command
    }

    /// Creates a token of the insurer.
    pub(super) async fn token(&self) -> String {
        let words = [
            "gateway",
            "token",
            "new",
            "--party",
            "insurer-a",
            "--config",
            "front.toml",
        ];
        self.run_ok(&words).await.trim().to_owned()
    }

    /// Starts the front.
    pub(super) fn start(&self) -> Process {
        Process::spawn(
            "front",
            &mut self.command(&["front", "run", "--config", "front.toml"]),
        )
    }

    /// Creates streams and consumers, as soon as the exchange answers.
    pub(super) async fn apply(&self) {
        until("the exchange to accept the topology", DEADLINE, async || {
            let words = [
                "exchange",
                "apply",
                "--yes",
                "--recipient",
                "insurer-a",
                "--config",
                "admin/admin.toml",
            ];
            let done = run("exchange apply", &mut self.command(&words), DEADLINE).await;
            done.status.success().then_some(()).ok_or(done.stderr)
        })
        .await;
    }

    /// Waits until a health page has this status, and returns the status page.
    pub(super) async fn wait_page(&self, front: &Process, page: &str, status: u16) -> Value {
        let health = self.health;
        until(&format!("{page} to answer {status}"), DEADLINE, async || {
            assert!(!front.has_exited(), "the front ended:\n{}", front.stderr());
            let answer = http_get(&format!("http://127.0.0.1:{health}/{page}"))
                .await
                .map_err(|error| error.to_string())?;
            if answer.status == status {
                Ok(())
            } else {
                Err(format!("{}: {}", answer.status, answer.body))
            }
        })
        .await;
        let page = http_get(&format!("http://127.0.0.1:{health}/status")).await;
        page.unwrap().json()
    }
}

/// A test that fails kills the front, which then cannot end its server: every process that still runs in the folder is ended here.
impl Drop for Machine {
    fn drop(&mut self) {
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            if fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == self.path()) {
                // It may have ended since.
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
    }
}
