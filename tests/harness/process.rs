//! The product's binaries, or any other program, as a child of a test.
//!
//! A binary is expected in the target directory of the test. Cargo builds it only for integration tests of its own package,
//! so the harness builds it when it is missing or older than one of its sources.

use crate::{ChildGuard, find, logs, signal, until};
use nix::sys::signal::Signal;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

/// Returns a command line for the `slacktide` binary of this build; `SLACKTIDE_BIN` names another one.
#[must_use]
pub fn slacktide() -> Command {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    let named = || std::env::var_os("SLACKTIDE_BIN").map(PathBuf::from);
    command(BINARY.get_or_init(|| named().unwrap_or_else(|| built("slacktide"))))
}

/// Returns a command line for the `slacktide-idle-helper` binary of this build, or for the one in the folder of the binary
/// that `SLACKTIDE_BIN` names.
#[must_use]
pub fn idle_helper() -> Command {
    const NAME: &str = "slacktide-idle-helper";
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    let named = || Some(PathBuf::from(std::env::var_os("SLACKTIDE_BIN")?).with_file_name(NAME));
    command(BINARY.get_or_init(|| named().unwrap_or_else(|| built(NAME))))
}

/// Returns a command line for the `slacktide-verify` binary of this build, or for the one in the folder of the binary that
/// `SLACKTIDE_BIN` names.
#[must_use]
pub fn verify_program() -> Command {
    const NAME: &str = "slacktide-verify";
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    let named = || Some(PathBuf::from(std::env::var_os("SLACKTIDE_BIN")?).with_file_name(NAME));
    command(BINARY.get_or_init(|| named().unwrap_or_else(|| built(NAME))))
}

fn command(binary: &Path) -> Command {
    let mut command = Command::new(binary);
    // These are settings of the harness, not of the product.
    command.env_remove("SLACKTIDE_PG_BIN").env_remove("SLACKTIDE_BIN");
    command
}

fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let folder = test
        .ancestors()
        .nth(2)
        .expect("tests run from target/PROFILE/deps")
        .to_owned();
    let binary = folder.join(name);
    if !fresh(&binary) {
        let profile = folder.file_name().expect("a profile's directory has a name");
        let profile = if profile == "debug" {
            "dev".as_ref()
        } else {
            profile
        };
        let build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args([
                "build",
                "--quiet",
                "--locked",
                // With the features of the whole workspace, nothing is compiled twice.
                "--workspace",
                "--bin",
                name,
                "--profile",
            ])
            .arg(profile)
            .arg("--target-dir")
            .arg(
                folder
                    .parent()
                    .expect("a profile's directory is in the target directory"),
            )
            .current_dir(find::workspace())
            .stdin(Stdio::null())
            .output()
            .expect("cargo runs");
        assert!(
            build.status.success(),
            "{name} does not build:\n{}",
            String::from_utf8_lossy(&build.stderr)
        );
    }
    assert!(binary.exists(), "cargo built no {}", binary.display());
    binary
}

/// Returns whether no source that cargo lists for the binary is newer than it.
fn fresh(binary: &Path) -> bool {
    let modified = |path: &Path| fs::metadata(path).and_then(|data| data.modified()).ok();
    let (Some(made), Ok(sources)) = (modified(binary), fs::read_to_string(binary.with_extension("d"))) else {
        return false;
    };
    let sources = sources
        .lines()
        .filter_map(|line| line.split_once(": "))
        .flat_map(|(_, list)| list.split(' '));
    sources
        .map(Path::new)
        .all(|source| modified(source).is_some_and(|changed| changed <= made))
}

/// A child whose output goes to files, which are kept if the test fails. Dropping it kills the child.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    status: Option<ExitStatus>,
    guard: ChildGuard,
    logs: PathBuf,
}

/// The result of [`run`].
#[derive(Debug)]
pub struct Finished {
    /// The exit status.
    pub status: ExitStatus,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Process {
    /// Starts `command` with empty standard input. `name` is used in messages and log paths.
    #[must_use]
    pub fn spawn(name: &str, command: &mut Command) -> Self {
        let logs = logs::directory(name);
        let file = |name| File::create(logs.join(name)).expect("a file for its output");
        // Helps the reader of the logs of a failed test.
        fs::write(logs.join("command"), format!("{command:?}\n")).expect("a file for the command line");
        let mut guard = ChildGuard::new(Signal::SIGKILL, None);
        let child = command
            .stdin(Stdio::null())
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}: {command:?}"));
        guard.watch(&child);
        Self {
            name: name.to_owned(),
            child,
            status: None,
            guard,
            logs,
        }
    }

    /// Returns the process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns what the process has written to standard output so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.text("stdout")
    }

    /// Returns what the process has written to standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.text("stderr")
    }

    /// Returns the exit status, if the process has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().expect("the status of a child is readable");
            if self.status.is_some() {
                self.guard.release();
            }
        }
        self.status
    }

    /// Returns whether the process has ended, from `/proc`: before it is reaped it is a zombie. Needs no `&mut self`.
    #[must_use]
    pub fn has_exited(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid()));
        stat.ok()
            .and_then(|stat| stat.rsplit_once(") ").map(|(_, rest)| rest.starts_with('Z')))
            .unwrap_or(true)
    }

    /// Kills the process with SIGKILL; returns when it has ended. Does nothing if it had already ended.
    pub fn kill9(&mut self) {
        if self.ended().is_none() {
            self.child.kill().expect("a child can be killed");
            self.status = Some(self.child.wait().expect("a killed child is reaped"));
            self.guard.release();
        }
    }

    /// Sends SIGTERM. Wait with [`wait_exit`](Self::wait_exit).
    pub fn sigterm(&mut self) {
        self.signal(Signal::SIGTERM);
    }

    /// Sends SIGINT, as Ctrl-C does.
    pub fn sigint(&mut self) {
        self.signal(Signal::SIGINT);
    }

    /// Suspends the process with SIGSTOP; its connections stay open. Returns when it is stopped.
    pub fn suspend(&mut self) {
        self.assert_alive(Signal::SIGSTOP);
        signal::suspend(&self.child);
    }

    /// Resumes the process with SIGCONT.
    pub fn resume(&mut self) {
        self.signal(Signal::SIGCONT);
    }

    /// Waits until the process has ended and returns its exit status.
    pub async fn wait_exit(&mut self, deadline: Duration) -> ExitStatus {
        let what = format!("{} to end", self.name);
        until(&what, deadline, async || {
            self.ended().ok_or_else(|| self.report())
        })
        .await
    }

    /// Waits for a condition while the process runs. A crash is reported at once, with its output.
    pub async fn until<S: crate::PollResult>(
        &mut self,
        what: &str,
        deadline: Duration,
        mut condition: impl AsyncFnMut() -> S,
    ) -> S::Value {
        let what = format!("{} and {what}", self.name);
        until(&what, deadline, async || {
            if let Some(status) = self.ended() {
                panic!(
                    "{} ended with {status} before {what}\n{}",
                    self.name,
                    self.report()
                );
            }
            condition()
                .await
                .into_result()
                .map_err(|seen| format!("{seen}\n{}", self.report()))
        })
        .await
    }

    fn signal(&mut self, signal: Signal) {
        self.assert_alive(signal);
        signal::send(&self.child, signal);
    }

    fn assert_alive(&mut self, signal: Signal) {
        if let Some(status) = self.ended() {
            panic!(
                "{} had ended with {status} before it could get {signal}\n{}",
                self.name,
                self.report()
            );
        }
    }

    /// Returns the last lines of its output.
    fn report(&self) -> String {
        format!(
            "--- {} stdout\n{}\n--- stderr\n{}",
            self.name,
            tail(&self.stdout()),
            tail(&self.stderr())
        )
    }

    fn text(&self, name: &str) -> String {
        let bytes = fs::read(self.logs.join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.status.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Runs a command and waits until it has ended.
pub async fn run(name: &str, command: &mut Command, deadline: Duration) -> Finished {
    let mut process = Process::spawn(name, command);
    let status = process.wait_exit(deadline).await;
    Finished {
        status,
        stdout: process.stdout(),
        stderr: process.stderr(),
    }
}

fn tail(text: &str) -> &str {
    const LINES: usize = 40;
    let start = text
        .trim_end()
        .rmatch_indices('\n')
        .nth(LINES - 1)
        .map_or(0, |(at, _)| at + 1);
    &text[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tail_returns_the_last_lines() {
        let long: String = (1..=100).map(|n| format!("{n}\n")).collect();
        assert!(tail(&long).starts_with("61\n"));
        assert_eq!(tail("one\ntwo"), "one\ntwo");
    }

    #[tokio::test]
    async fn run_returns_status_and_output() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo out; echo err >&2; exit 7"]);
        let finished = run("sh", &mut command, Duration::from_secs(10)).await;
        assert_eq!(finished.status.code(), Some(7));
        assert_eq!(
            (finished.stdout.as_str(), finished.stderr.as_str()),
            ("out\n", "err\n")
        );
    }

    #[tokio::test]
    async fn process_early_exit_is_reported_with_its_output() {
        let message = logs::expected_panic(async {
            let mut command = Command::new("sh");
            command.args(["-c", "echo its output >&2"]);
            let mut process = Process::spawn("sh", &mut command);
            process
                .until("an impossible event", Duration::from_secs(60), async || false)
                .await;
        });
        let message = message.await;
        assert!(message.contains("its output"), "{message}");
    }

    #[tokio::test]
    async fn process_receives_signals() {
        let mut process = Process::spawn("sleep", Command::new("sleep").arg("600"));
        process.suspend();
        process.resume();
        process.sigterm();
        assert!(!process.wait_exit(Duration::from_secs(10)).await.success());
        process.kill9();
    }
}
