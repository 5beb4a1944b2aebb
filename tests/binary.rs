//! The `slacktide` binary as a user starts it.

use harness::{run, slacktide};
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
