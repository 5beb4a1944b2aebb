//! The `slacktide` binary as a user starts it.

use harness::{run, slacktide};
use std::process::Stdio;
use std::time::Duration;

#[tokio::test]
async fn help_lists_every_command() {
    let help = run("slacktide", slacktide().arg("--help"), Duration::from_secs(30)).await;
    assert!(help.status.success(), "{}", help.stderr);
    for command in [
        "social",
        "commercial",
        "exchange",
        "audit",
        "config",
        "keys",
        "doctor",
        "demo",
    ] {
        assert!(help.stdout.contains(command), "no {command} in:\n{}", help.stdout);
    }
}

#[tokio::test]
async fn unknown_command_is_a_usage_error() {
    let wrong = run("slacktide", slacktide().arg("sociable"), Duration::from_secs(30)).await;
    assert_eq!(wrong.status.code(), Some(2), "{}", wrong.stderr);
    assert!(wrong.stderr.contains("sociable"), "{}", wrong.stderr);
}

/// As `slacktide … | head -1` does: the reader goes away while the program still writes.
#[test]
fn closed_pipe_ends_a_command_silently() {
    let mut command = slacktide();
    command.args(["completions", "bash"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert!(ended.status.success(), "{}", ended.status);
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = slacktide();
    command.args(["completions", "bash"]);
    let ended = command.stdout(full).stderr(Stdio::piped()).output().unwrap();
    let error = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(9), "{error}");
    assert!(error.contains("cannot write the result"), "{error}");
}
