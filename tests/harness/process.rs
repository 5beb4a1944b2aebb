//! The real `slacktide` binary, and any other program, as a child under test.
//!
//! The binary is looked for beside the test's own, in the target directory. Cargo builds it for an integration test of
//! its own package only, so here it is built when it is missing or older than a source it was made from.

use crate::{Leash, find, logs, signal, until};
use nix::sys::signal::Signal;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

/// A command line for the `slacktide` binary of this build; `SLACKTIDE_BIN` names another.
///
/// # Panics
/// When it has to be built and does not compile.
#[must_use]
pub fn slacktide() -> Command {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    let mut command = Command::new(
        BINARY.get_or_init(|| std::env::var_os("SLACKTIDE_BIN").map_or_else(built, PathBuf::from)),
    );
    // The harness's own settings are no configuration of the product.
    command.env_remove("SLACKTIDE_PG_BIN").env_remove("SLACKTIDE_BIN");
    command
}

fn built() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let profile = test
        .ancestors()
        .nth(2)
        .expect("tests run from target/PROFILE/deps")
        .to_owned();
    let binary = profile.join("slacktide");
    if !fresh(&binary) {
        let name = profile.file_name().expect("a profile's directory has a name");
        let name = if name == "debug" { "dev".as_ref() } else { name };
        let build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args([
                "build",
                "--quiet",
                "--locked",
                // The features of the dependencies are those of the workspace, so that nothing is built twice.
                "--workspace",
                "--bin",
                "slacktide",
                "--profile",
            ])
            .arg(name)
            .arg("--target-dir")
            .arg(
                profile
                    .parent()
                    .expect("a profile's directory is in the target directory"),
            )
            .current_dir(find::workspace())
            .stdin(Stdio::null())
            .output()
            .expect("cargo runs");
        assert!(
            build.status.success(),
            "slacktide does not build:\n{}",
            String::from_utf8_lossy(&build.stderr)
        );
    }
    assert!(binary.exists(), "cargo built no {}", binary.display());
    binary
}

/// Whether no source that cargo lists for the binary is newer than it.
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

/// A child whose output goes to files, which are kept if the test fails. Dropped, it is killed.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    status: Option<ExitStatus>,
    leash: Leash,
    logs: PathBuf,
}

/// How a [`run`] ended.
#[derive(Debug)]
pub struct Finished {
    /// The exit status.
    pub status: ExitStatus,
    /// Standard output, as text.
    pub stdout: String,
    /// Standard error, as text.
    pub stderr: String,
}

impl Process {
    /// Starts `command` under a `name` for messages, with nothing on its standard input.
    ///
    /// # Panics
    /// When the program cannot be started.
    #[must_use]
    pub fn spawn(name: &str, command: &mut Command) -> Self {
        let logs = logs::directory(name);
        let file = |name| File::create(logs.join(name)).expect("a file for its output");
        // For whoever reads the logs of a failed test.
        fs::write(logs.join("command"), format!("{command:?}\n")).expect("a file for the command line");
        let mut leash = Leash::new(Signal::SIGKILL, None);
        let child = command
            .stdin(Stdio::null())
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}: {command:?}"));
        leash.holds(&child);
        Self {
            name: name.to_owned(),
            child,
            status: None,
            leash,
            logs,
        }
    }

    /// The id of the process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything it has written to standard output so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.text("stdout")
    }

    /// Everything it has written to standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.text("stderr")
    }

    /// Its exit status, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().expect("a child can be asked");
            if self.status.is_some() {
                self.leash.lost();
            }
        }
        self.status
    }

    /// Whether it has ended, as the kernel tells it: one that was not waited for is a zombie. For whoever may only look.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid()));
        stat.ok()
            .and_then(|stat| stat.rsplit_once(") ").map(|(_, rest)| rest.starts_with('Z')))
            .unwrap_or(true)
    }

    /// SIGKILL; returns when it is gone. Nothing happens when it had already ended.
    pub fn kill9(&mut self) {
        if self.ended().is_none() {
            self.child.kill().expect("a child can be killed");
            self.status = Some(self.child.wait().expect("a killed child is reaped"));
            self.leash.lost();
        }
    }

    /// SIGTERM: asks it to stop. Wait with [`wait_exit`](Self::wait_exit).
    ///
    /// # Panics
    /// When it has already ended; the message has its output. So for the other signals.
    pub fn sigterm(&mut self) {
        self.signal(Signal::SIGTERM);
    }

    /// SIGINT, as Ctrl-C.
    pub fn sigint(&mut self) {
        self.signal(Signal::SIGINT);
    }

    /// SIGSTOP: suspended, with its connections open. Returns when it stands still.
    pub fn suspend(&mut self) {
        self.assert_alive(Signal::SIGSTOP);
        signal::suspend(&self.child);
    }

    /// SIGCONT.
    pub fn resume(&mut self) {
        self.signal(Signal::SIGCONT);
    }

    /// Waits until it has ended, and gives its status.
    ///
    /// # Panics
    /// When `deadline` passes first; the message has its output.
    pub async fn wait_exit(&mut self, deadline: Duration) -> ExitStatus {
        let what = format!("{} to end", self.name);
        until(&what, deadline, async || {
            self.ended().ok_or_else(|| self.report())
        })
        .await
    }

    /// Waits for a condition, but no longer than the process lives: a crash is told at once, with its output.
    ///
    /// # Panics
    /// When `deadline` passes, or the process ends first.
    pub async fn until<S: crate::Seen>(
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
                .seen()
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

    /// The tail of its output.
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

/// Runs a command to its end.
///
/// # Panics
/// When `deadline` passes first; the message has its output.
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
    fn the_tail_is_the_last_lines() {
        let long: String = (1..=100).map(|n| format!("{n}\n")).collect();
        assert!(tail(&long).starts_with("61\n"));
        assert_eq!(tail("one\ntwo"), "one\ntwo");
    }

    #[tokio::test]
    async fn a_command_runs_to_its_end() {
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
    async fn a_process_that_ends_too_soon_is_told_with_its_output() {
        let message = logs::expected_panic(async {
            let mut command = Command::new("sh");
            command.args(["-c", "echo its last words >&2"]);
            let mut process = Process::spawn("sh", &mut command);
            process
                .until(
                    "something that never comes",
                    Duration::from_secs(60),
                    async || false,
                )
                .await;
        });
        let message = message.await;
        assert!(message.contains("its last words"), "{message}");
    }

    #[tokio::test]
    async fn signals_reach_it() {
        let mut process = Process::spawn("sleep", Command::new("sleep").arg("600"));
        process.suspend();
        process.resume();
        process.sigterm();
        assert!(!process.wait_exit(Duration::from_secs(10)).await.success());
        process.kill9();
    }
}
