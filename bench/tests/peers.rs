//! Runs `make bench-peers` completely, over few rows.

use std::process::Command;
use std::time::Duration;

use harness::{run, slacktide};

#[tokio::test]
async fn peers_copy_the_same_rows_and_changes() {
    let report = tempfile::tempdir().expect("a folder for the report");
    let mut peers = Command::new(env!("CARGO_BIN_EXE_peers"));
    peers
        .args(["--rows", "2000", "--rounds", "1"])
        .env("SLACKTIDE_BIN", slacktide().get_program())
        .env("CARGO_TARGET_DIR", report.path());
    let measured = run("peers", &mut peers, Duration::from_secs(300)).await;
    let printed = format!("{}{}", measured.stdout, measured.stderr);
    assert!(measured.status.success(), "{printed}");
    for line in [
        "round 1: initial  copy ",
        "round 1: initial  slacktide, TLS ",
        "round 1: changes  logical ",
        "round 1: changes  slacktide ",
        "initial: slacktide to copy, rows/s ",
    ] {
        assert!(measured.stdout.contains(line), "no {line:?} in:\n{printed}");
    }
    let written = std::fs::read_to_string(report.path().join("bench/peers.json")).expect("the report");
    let written: serde_json::Value = serde_json::from_str(&written).expect("JSON");
    assert_eq!(
        written["results"].as_array().map(Vec::len),
        Some(7),
        "{written:#}"
    );
    assert_eq!(written["ratios"].as_array().map(Vec::len), Some(6), "{written:#}");
}
