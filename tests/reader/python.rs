//! The shipped Python reader on a real gateway.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use harness::{Process, run, workspace};
use schemas::digest::Digest;
use serde_json::Value;

use super::gateway_site::{GatewaySite, wait_rows};
use crate::pipeline::site::{DEADLINE, Site};

const ROWS: u32 = 100_000;

fn reader(folder: &Path, out: &str, more: &[&str]) -> Command {
    let mut command = Command::new("python3");
    command.arg(workspace().join("client/python/slacktide_read.py"));
    command
        .current_dir(folder)
        .args(["--profile", "reader.json", "--feed", "claim", "--out", out]);
    command.args(more);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn python_reader_killed_midway_has_each_row_once() {
    let site = Site::start("reader", ROWS, "mode = \"open\"").await;
    let social = site.social("social");
    let folder = site.file(".");
    let gateway = GatewaySite::start(&folder, &site.nats.url()).await;
    let token = gateway.token().await;
    wait_rows(&gateway, &token, "claim", ROWS as usize).await;
    let endpoint = format!("http://127.0.0.1:{}", gateway.port);
    let sign_pub = fs::read_to_string(site.file("keys/bureau/sign.pub")).unwrap();
    let profile = [
        "profile",
        "new",
        "--recipient",
        "insurer-a",
        "--endpoint",
        &endpoint,
        "--out",
        "reader.json",
    ];
    gateway
        .command(&[&profile[..], &["--trust", sign_pub.trim()]].concat())
        .await;

    // Killed as soon as it has some rows; one chunk in each download.
    let mut first = Process::spawn("reader", &mut reader(&folder, "rows.ndjson", &["--max", "1"]));
    let cursor = site.file("rows.ndjson.cursor");
    first
        .until("its first rows", DEADLINE, async || cursor.exists())
        .await;
    first.kill9();
    let rows = |name: &str| fs::read(site.file(name)).unwrap();
    let before = rows("rows.ndjson").iter().filter(|byte| **byte == b'\n').count();
    assert!(before < ROWS as usize, "it was killed too late: {before} rows");
    for (out, more) in [
        ("rows.ndjson", &["--max", "7"][..]),
        ("whole.ndjson", &["--max", "1000"]),
        ("rows.csv", &["--csv", "--max", "50"]),
    ] {
        let done = run("reader", &mut reader(&folder, out, more), DEADLINE).await;
        assert!(done.status.success(), "{out}: {}", done.stderr);
    }
    let (resumed, whole) = (rows("rows.ndjson"), rows("whole.ndjson"));
    assert_eq!(Digest::of(&[&resumed]), Digest::of(&[&whole]));
    let mut ids = BTreeSet::new();
    for line in whole.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let row: Value = serde_json::from_slice(line).unwrap();
        assert!(row["row"]["amount"].is_string(), "money is exact: {row}");
        assert!(ids.insert(row["row"]["id"].as_u64().unwrap()), "twice: {row}");
    }
    assert!(ids.into_iter().eq(1..=u64::from(ROWS)));
    // No value of this table contains a line break.
    let csv = rows("rows.csv").iter().filter(|byte| **byte == b'\n').count();
    assert_eq!(csv, ROWS as usize + 1, "header and rows");
    gateway.stop().await;
    social.stop().await;
}

#[tokio::test]
async fn python_reader_passes_its_own_tests() {
    let mut command = Command::new("python3");
    command
        .args(["-m", "unittest"])
        .current_dir(workspace().join("client/python"));
    let done = run("unittest", &mut command, DEADLINE).await;
    assert!(done.status.success(), "{}{}", done.stdout, done.stderr);
}
