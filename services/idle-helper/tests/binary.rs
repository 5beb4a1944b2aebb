//! The program as a service manager starts it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails there and then"
)]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use harness::Process;
use idle_helper::exit::Exit;
use priority::cgroup::Hierarchy;

const TIMEOUT: Duration = Duration::from_secs(60);

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_slacktide-idle-helper"))
}

fn code(exit: Exit) -> Option<i32> {
    Some(exit.code().into())
}

#[tokio::test]
async fn binary_help_names_options_and_exit_codes() {
    let help = harness::run("helper", program().arg("--help"), TIMEOUT).await;
    assert_eq!(help.status.code(), code(Exit::Done), "{}", help.stderr);
    for wanted in ["--config FILE", "--help", "--version", "Exit codes", "Example:"] {
        assert!(
            help.stdout.contains(wanted),
            "{wanted} is not in\n{}",
            help.stdout
        );
    }
    let version = harness::run("helper", program().arg("--version"), TIMEOUT).await;
    assert!(
        version.stdout.contains(env!("CARGO_PKG_VERSION")),
        "{}",
        version.stdout
    );
}

#[tokio::test]
async fn binary_invalid_arguments_and_files_are_usage_errors() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = folder.path().join("wrong.toml");
    std::fs::write(&wrong, "[idle_helper]\nallowed = [1]\n").unwrap();
    let empty = folder.path().join("empty.toml");
    std::fs::write(&empty, "[idle_helper]\nallow = []\n").unwrap();
    for (path, wanted) in [
        (Path::new("/nowhere/helper.toml"), "/nowhere/helper.toml"),
        (&wrong, "wrong.toml:2:1"),
        (&empty, "allow is empty"),
    ] {
        let ended = harness::run("helper", program().arg("--config").arg(path), TIMEOUT).await;
        assert_eq!(ended.status.code(), code(Exit::Usage), "{}", ended.stderr);
        assert!(ended.stderr.contains(wanted), "{}", ended.stderr);
    }
    let ended = harness::run("helper", program().args(["run", "--force"]), TIMEOUT).await;
    assert_eq!(ended.status.code(), code(Exit::Usage), "{}", ended.stderr);
}

/// A helper that listens, and its group; `None` without root.
struct Listening {
    process: Process,
    socket: std::path::PathBuf,
    group: String,
    _folder: tempfile::TempDir,
}

impl Listening {
    async fn start(name: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let (file, socket) = (folder.path().join("helper.toml"), folder.path().join("idle.sock"));
        let group = format!("/slacktide-test-{name}-{}", std::process::id());
        let uid = rustix::process::getuid().as_raw();
        let text =
            format!("[idle_helper]\nsocket = {socket:?}\nallow = [{uid}]\nowner = 0\ncgroup = {group:?}\n");
        std::fs::write(&file, text).unwrap();
        let mut process = Process::spawn("helper", program().arg("--config").arg(&file));
        if !rustix::process::geteuid().is_root() {
            let status = process.wait_exit(TIMEOUT).await;
            assert_eq!(status.code(), code(Exit::Denied), "{}", process.stderr());
            harness::skip("root");
            return None;
        }
        process
            .until("the helper to listen", TIMEOUT, async || socket.exists())
            .await;
        Some(Self {
            process,
            socket,
            group,
            _folder: folder,
        })
    }

    fn remove_group(&self) {
        let directory = Hierarchy::of_host().unwrap().directory(&self.group);
        std::fs::remove_dir(directory).unwrap();
    }
}

#[tokio::test]
async fn binary_sigterm_removes_the_socket_and_exits_0() {
    let Some(mut helper) = Listening::start("sigterm").await else {
        return;
    };
    helper.process.sigterm();
    let status = helper.process.wait_exit(TIMEOUT).await;
    let log = helper.process.stderr();
    assert_eq!(status.code(), code(Exit::Done), "{log}");
    assert!(log.contains("idle helper stopped"), "{log}");
    assert!(!helper.socket.exists());
    helper.remove_group();
}

/// Both signals are pending when the process continues, so that it cannot end after the first one.
#[tokio::test]
async fn binary_second_signal_ends_it_at_once() {
    let Some(mut helper) = Listening::start("second").await else {
        return;
    };
    helper.process.suspend();
    helper.process.sigterm();
    helper.process.sigint();
    helper.process.resume();
    let status = helper.process.wait_exit(TIMEOUT).await;
    assert_eq!(
        status.code(),
        code(Exit::Unfinished),
        "{}",
        helper.process.stderr()
    );
    helper.remove_group();
}
