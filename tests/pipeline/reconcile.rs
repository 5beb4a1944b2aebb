//! An insurer compares its store with the core by digests, and the bureau sends again what differs.

use std::process::Command;

use harness::until;
use rusqlite::Connection;
use serde_json::Value;

use super::site::{Agent, DEADLINE, Site};

const OPEN: &str = "mode = \"open\"";

/// Lets recipients reconcile.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape of a change of the configuration"
)]
pub(crate) fn with_reconciliation(text: String) -> String {
    assert!(text.contains("[lease]"), "{text}");
    text.replace("[lease]", "[reconcile]\nenabled = true\n[lease]")
}

/// Compares, and returns the exit code and the report.
pub(super) async fn run(site: &Site, command: &str) -> (Option<i32>, Value) {
    let words = ["reconcile", command, "claim", "--json", "--config", "poller.toml"];
    let (code, output) = site.command_stdout(&words).await;
    let report = serde_json::from_str(&output).unwrap_or_else(|error| panic!("{error}: {output}"));
    (code, report)
}

/// Returns the values of `id` of the findings of a kind; `null` where the store does not have the key.
fn ids(report: &Value, difference: &str) -> Vec<String> {
    let findings = report["findings"].as_array().unwrap().iter();
    let of_kind = findings.filter(|finding| finding["difference"] == difference);
    let id = |finding: &Value| {
        finding
            .pointer("/key/id")
            .and_then(Value::as_str)
            .unwrap_or("null")
            .to_owned()
    };
    let mut ids: Vec<String> = of_kind.map(id).collect();
    ids.sort();
    ids
}

/// The command that repairs, without the configuration of the insurer's agent.
pub(crate) const REPAIR: [&str; 7] = [
    "reconcile",
    "repair",
    "claim",
    "--actor",
    "li.na",
    "--reason",
    "rows differ",
];

/// Runs the command that repairs, with these arguments added. Returns whether it succeeded, and its output.
pub(super) async fn try_repair(site: &Site, more: &[&str]) -> (bool, String) {
    site.command(&[&REPAIR[..], &["--config", "poller.toml"], more].concat())
        .await
}

/// Repairs until core and store are equal.
pub(super) async fn repair(site: &Site) {
    let (is_done, output) = try_repair(site, &[]).await;
    assert!(is_done, "{output}");
}

/// Starts both agents on a site whose recipients may reconcile, and waits until every chunk is stored.
pub(super) async fn start_agents(site: &Site) -> (Agent, Agent) {
    let agents = (
        site.social_with("social", with_reconciliation),
        site.poller("poller"),
    );
    wait_published(site, &agents.1).await;
    agents
}

/// Builds the store from the streams, and compares it with the live one.
async fn assert_rebuilt_equals(site: &Site) {
    let words = [
        "audit",
        "rebuild",
        "--config",
        "auditor.toml",
        "--recipient",
        "insurer-a",
    ];
    let (is_done, output) = site
        .command(&[&words[..], &["--into", "rebuilt.db"]].concat())
        .await;
    assert!(is_done, "{output}");
    let words = ["audit", "diff", "--rebuilt", "rebuilt.db"];
    let (is_equal, output) = site
        .command(&[&words[..], &["--live", "poller.toml"]].concat())
        .await;
    assert!(is_equal, "{output}");
}

/// Writes the report as a workbook, and reads its texts with another program.
async fn assert_workbook(site: &Site, report: &Value) {
    let file = site.file("report.xlsx");
    let words = ["reconcile", "show", "claim", "--xlsx"];
    let more = [file.to_str().unwrap(), "--config", "poller.toml"];
    let (code, _) = site.command_stdout(&[&words[..], &more].concat()).await;
    assert_eq!(code, Some(7));
    let script =
        "import sys, zipfile; print(zipfile.ZipFile(sys.argv[1]).read('xl/sharedStrings.xml').decode())";
    let read = Command::new("python3")
        .args(["-c", script])
        .arg(&file)
        .output()
        .unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let texts = String::from_utf8(read.stdout).unwrap();
    for finding in report["findings"].as_array().unwrap() {
        let digest = finding["key_digest"].as_str().unwrap();
        assert!(texts.contains(digest), "{digest}");
    }
    for id in ids(report, "different") {
        assert!(texts.contains(&format!("<t>{id}</t>")), "{id}: {texts}");
    }
}

pub(super) async fn wait_published(site: &Site, poller: &Agent) {
    site.wait_until_equal().await;
    until("every chunk to be stored", DEADLINE, async || {
        let status = poller.status().await.unwrap_or_default();
        let lane = status
            .pointer("/lanes/insurer-a.claim")
            .cloned()
            .unwrap_or_default();
        let is_done = lane["frontier"].as_u64() > Some(0) && lane["frontier"] == lane["receipted"];
        if is_done { Ok(()) } else { Err(lane.to_string()) }
    })
    .await;
}

/// A missing, a doubled and an altered row at the store; a hard delete, a changed key and a row that the cursor skipped at the core.
#[tokio::test(flavor = "multi_thread")]
async fn reconcile_finds_shows_and_repairs_planted_rows() {
    let site = Site::start("reconcile", 5_000, OPEN).await;
    let (social, poller) = start_agents(&site).await;
    let (code, report) = run(&site, "run").await;
    assert_eq!(
        (code, &report["is_balanced"]),
        (Some(0), &Value::Bool(true)),
        "{report:#}"
    );
    assert_eq!(
        (&report["core_rows"], &report["store_rows"]),
        (&5_000.into(), &5_000.into())
    );
    assert!(report["costs"][0]["quanta"].as_u64() > Some(0), "{report:#}");
    assert!(
        report["days"].as_array().is_some_and(|days| !days.is_empty()),
        "{report:#}"
    );

    site.store
        .execute(
            "DELETE FROM claim WHERE id = 7; UPDATE claim SET amount = amount + 0.01 WHERE id = 9;
             INSERT INTO claim SELECT 900008, updated_at, deleted, name, amount, memo, _slacktide_epoch, _slacktide_number
             FROM claim WHERE id = 8",
        )
        .await;
    site.core
        .execute(
            "DELETE FROM claim WHERE id = 10; UPDATE claim SET id = 700011 WHERE id = 11;
             INSERT INTO claim (id, updated_at, name, amount) VALUES (600001, '2025-12-31', 'skipped', 1.25)",
        )
        .await;
    let (code, report) = run(&site, "run").await;
    assert_eq!(code, Some(7), "{report:#}");
    assert_eq!(ids(&report, "missing"), ["null", "null", "null"], "{report:#}");
    assert_eq!(ids(&report, "extra"), ["10", "11", "900008"], "{report:#}");
    assert_eq!(ids(&report, "different"), ["9"], "{report:#}");
    let (code, shown) = run(&site, "show").await;
    assert_eq!((code, &shown), (Some(7), &report));
    assert_workbook(&site, &report).await;
    let words = ["reconcile", "show", "claim", "--csv", "--config", "poller.toml"];
    let (_, csv) = site.command_stdout(&words).await;
    assert!(csv.starts_with("difference,is_error,key_digest,id\n"), "{csv}");
    assert!(
        csv.lines()
            .any(|line| line.starts_with("extra,true,") && line.ends_with(",900008")),
        "{csv}"
    );

    // The bureau sends exactly these rows again, in the same epoch.
    repair(&site).await;
    site.wait_until_equal().await;
    let epochs = "SELECT count(DISTINCT epoch) FROM slacktide.ledger";
    assert_eq!(site.store.number(epochs).await, 1);
    let again =
        "SELECT count(*) FROM claim WHERE _slacktide_number = (SELECT max(number) FROM slacktide.ledger)";
    assert_eq!(
        site.store.number(again).await,
        4,
        "only the rows that differ are sent"
    );
    let words = ["audit", "replay", "--stream", "audit", "--config", "auditor.toml"];
    let (_, audit) = site.command(&words).await;
    assert!(
        audit.contains("feed.repair") && audit.contains("store.reconcile"),
        "{audit}"
    );
    assert_rebuilt_equals(&site).await;
    poller
        .wait_status("the lane caught up", "/states/insurer-a.claim/state", |state| {
            state == "caught_up"
        })
        .await;
    let (code, report) = run(&site, "run").await;
    assert_eq!(code, Some(0), "{report:#}");
    site.assert_evidence_valid().await;
    site.assert_ledger_gapless().await;
    for agent in [social, poller] {
        agent.stop().await;
    }
}

/// Rows that were not read yet, and rows that are marked as deleted, are explained.
#[tokio::test(flavor = "multi_thread")]
async fn reconcile_explains_late_and_deleted_rows() {
    let site = Site::start("reconcile_late", 1_000, OPEN).await;
    let (social, poller) = start_agents(&site).await;
    site.core
        .execute("UPDATE claim SET deleted = true, updated_at = now() WHERE id % 10 = 0")
        .await;
    wait_published(&site, &poller).await;
    // One transaction holds the fence, so that newer rows wait.
    let slow = site.core.connect().await;
    slow.batch_execute("BEGIN; UPDATE claim SET name = 'open', updated_at = now() WHERE id = 1")
        .await
        .unwrap();
    site.core
        .execute(
            "UPDATE claim SET name = 'later', updated_at = now() WHERE id BETWEEN 11 AND 15;
             INSERT INTO claim (id, name) VALUES (900001, 'new')",
        )
        .await;
    let (code, report) = run(&site, "run").await;
    assert_eq!(
        (code, &report["is_balanced"]),
        (Some(0), &Value::Bool(true)),
        "{report:#}"
    );
    assert_eq!(
        (&report["late"], &report["deleted"]),
        (&6.into(), &100.into()),
        "{report:#}"
    );
    // Only keys of buckets that differ are named: the new row is not at the store, and not due there.
    assert!(ids(&report, "late").len() >= 5, "{report:#}");
    slow.batch_execute("COMMIT").await.unwrap();
    wait_published(&site, &poller).await;
    for agent in [social, poller] {
        agent.stop().await;
    }
}

/// The same over a SQLite store.
#[tokio::test(flavor = "multi_thread")]
async fn reconcile_with_a_sqlite_store_finds_planted_rows() {
    let mut site = Site::start("reconcile_sqlite", 2_000, OPEN).await;
    let path = site.file("store.db");
    site.links.store = Some(format!("kind = \"sqlite\"\npath = \"{}\"", path.display()));
    let poller = site.poller("poller");
    let social = site.social_with("social", with_reconciliation);
    poller
        .wait_status("all rows to be stored", "/lanes/insurer-a.claim/rows", |rows| {
            rows == 2_000
        })
        .await;
    let (code, report) = run(&site, "run").await;
    assert_eq!(
        (code, &report["is_balanced"]),
        (Some(0), &Value::Bool(true)),
        "{report:#}"
    );
    let planted = "DELETE FROM claim WHERE id = 7; UPDATE claim SET amount = '0.02' WHERE id = 1;";
    Connection::open(&path).unwrap().execute_batch(planted).unwrap();
    site.core.execute("DELETE FROM claim WHERE id = 10").await;
    let (code, report) = run(&site, "run").await;
    assert_eq!(code, Some(7), "{report:#}");
    assert_eq!(ids(&report, "missing"), ["null"]);
    assert_eq!(ids(&report, "extra"), ["10"]);
    assert_eq!(ids(&report, "different"), ["1"]);
    repair(&site).await;
    let (code, report) = run(&site, "run").await;
    assert_eq!(
        (code, &report["store_rows"]),
        (Some(0), &1_999.into()),
        "{report:#}"
    );
    for agent in [social, poller] {
        agent.stop().await;
    }
}

/// The agent repeats a comparison that an operator has made once, and its metrics show the result.
#[tokio::test(flavor = "multi_thread")]
async fn reconcile_is_repeated_by_the_agent() {
    let site = Site::start("reconcile_daily", 500, OPEN).await;
    let social = site.social_with("social", with_reconciliation);
    let first = site.poller("poller");
    wait_published(&site, &first).await;
    first.stop().await;
    let text = std::fs::read_to_string(site.file("poller.toml")).unwrap();
    let port = harness::free_port();
    let (head, _) = text.split_once("[health]").unwrap();
    let text = format!("{head}[health]\nlisten = \"127.0.0.1:{port}\"\n[reconcile]\nevery = \"1s\"\n");
    let poller = site.agent("poller", "commercial", &text, port);
    wait_published(&site, &poller).await;
    let (code, report) = run(&site, "run").await;
    assert_eq!(code, Some(0), "{report:#}");
    site.store.execute("DELETE FROM claim WHERE id = 7").await;
    let errors = "/comparisons/insurer-a.claim/errors";
    poller
        .wait_status("the missing row to be found", errors, |errors| *errors == 1)
        .await;
    let metrics = poller.page("/metrics").await.unwrap().body;
    let line = "slacktide_reconcile_balanced{lane=\"insurer-a.claim\"} 0";
    assert!(metrics.contains(line), "{metrics}");
    for agent in [social, poller] {
        agent.stop().await;
    }
}
