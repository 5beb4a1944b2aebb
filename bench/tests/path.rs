//! Runs `make bench-path` completely. It starts the product's processes with configuration files like a user, so a
//! change of the product can break it.

use std::process::Command;
use std::time::Duration;

use harness::{run, slacktide};

#[tokio::test]
async fn path_is_measured_with_a_fresh_store_in_each_run() {
    let report = tempfile::tempdir().expect("a folder for the report");
    let mut path = Command::new(env!("CARGO_BIN_EXE_path"));
    path.args(["--rows", "1000", "--rounds", "2", "--only", "whole"])
        .env("SLACKTIDE_BIN", slacktide().get_program())
        .env("CARGO_TARGET_DIR", report.path());
    let measured = run("path", &mut path, Duration::from_secs(180)).await;
    let printed = format!("{}{}", measured.stdout, measured.stderr);
    assert!(measured.status.success(), "{printed}");
    for line in ["a quarter of the rows: ", "round 1: whole ", "round 2: whole "] {
        assert!(measured.stdout.contains(line), "no {line:?} in:\n{printed}");
    }
    assert!(report.path().join("bench/path.json").is_file(), "{printed}");
}

#[tokio::test]
async fn path_over_https_is_compared_with_nats() {
    let report = tempfile::tempdir().expect("a folder for the report");
    let mut path = Command::new(env!("CARGO_BIN_EXE_path"));
    path.args([
        "--rows",
        "1000",
        "--rounds",
        "1",
        "--only",
        "whole",
        "--transport",
        "https",
    ])
    .env("SLACKTIDE_BIN", slacktide().get_program())
    .env("CARGO_TARGET_DIR", report.path());
    let measured = run("path", &mut path, Duration::from_secs(180)).await;
    let printed = format!("{}{}", measured.stdout, measured.stderr);
    assert!(measured.status.success(), "{printed}");
    for line in [
        "round 1: whole ",
        "round 1: https ",
        "over https:// the whole path reaches ",
    ] {
        assert!(measured.stdout.contains(line), "no {line:?} in:\n{printed}");
    }
}
