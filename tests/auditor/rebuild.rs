//! A store rebuilt from the stream equals the live one, at its end and at an earlier point, in both databases.

use std::fs;

use exchange::AuditExchange as _;
use exchange::port::Stream;
use harness::{Postgres, until_with_progress};
use rusqlite::Connection;
use serde_json::Value;

use super::site::{run, write_auditor};
use crate::gate_config::STOP_FILE_GATE;
use crate::pipeline::site::{Agent, DEADLINE};
use crate::requests::request_site::{INSURERS, RequestSite, claims};

/// Rows at the core before anything changes. `SLACKTIDE_REBUILD_ROWS` sets another number.
fn rows() -> u32 {
    let rows = std::env::var("SLACKTIDE_REBUILD_ROWS").ok();
    rows.map_or(20_000, |rows| rows.parse().unwrap())
}

const SUM: &str = "SELECT count(*), coalesce(sum(amount), 0)::text FROM claim";

/// Waits until both stores hold what the core holds.
async fn wait_stored(site: &RequestSite) {
    until_with_progress("both stores to hold everything", DEADLINE, async || {
        let core: (i64, String) = {
            let rows = site.core.query(SUM).await;
            (rows[0].get(0), rows[0].get(1))
        };
        let first = site.store.connect().await.query(SUM, &[]).await;
        let first = first.map_err(|error| error.to_string())?;
        let second = Connection::open(site.file("insurer-b.db")).map_err(|error| error.to_string())?;
        let second: (i64, i64) = second
            .query_row(
                "SELECT count(*), sum(CAST(round(amount * 100) AS INTEGER)) FROM claim",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .map_err(|error| error.to_string())?;
        let cents: i64 = core.1.replace('.', "").parse().unwrap();
        let stored: (i64, String) = (first[0].get(0), first[0].get(1));
        if stored == core && second == (core.0, cents) {
            Ok(())
        } else {
            Err(format!("core {core:?}, stores {stored:?} and {second:?}"))
        }
    })
    .await;
}

async fn last_sequence(site: &RequestSite, insurer: &str) -> u64 {
    let auditor = site.exchange("auditor").await;
    let state = auditor
        .stream_state(Stream::Data, &insurer.parse().unwrap())
        .await;
    exchange::Exchange::close(&auditor).await;
    state.unwrap().last_sequence
}

async fn rebuild(site: &RequestSite, insurer: &str, into: &str, to: Option<&str>) -> Value {
    let mut line = vec!["audit", "rebuild", "--json", "--config", "auditor.toml"];
    line.extend(["--recipient", insurer, "--into", into]);
    line.extend(to.iter().flat_map(|to| ["--to", to]));
    let (code, report) = run(site, &line).await;
    assert_eq!(
        (code, &report["is_complete"]),
        (Some(0), &Value::Bool(true)),
        "{report}"
    );
    assert_eq!(report["is_end_reached"], true, "{report}");
    report
}

async fn diff(site: &RequestSite, rebuilt: &str, live: &str, more: &[&str]) -> (Option<i32>, Value) {
    let line = ["audit", "diff", "--json", "--rebuilt", rebuilt, "--live", live];
    run(site, &[&line[..], more].concat()).await
}

/// Starts a site, lets its rows be changed in two steps, and stops its agents. Returns the sequence, time and rows of
/// insurer-a between the steps.
async fn changed_site(name: &str) -> (RequestSite, u64, (i64, String)) {
    let site = RequestSite::start(name, rows(), STOP_FILE_GATE).await;
    write_auditor(&site);
    let mut agents: Vec<Agent> = vec![site.bureau().await];
    agents.extend(INSURERS.map(|insurer| site.commercial(insurer, insurer)));
    wait_stored(&site).await;
    let middle = last_sequence(&site, INSURERS[0]).await;
    let kept = site.store.query(SUM).await;
    let kept = (kept[0].get(0), kept[0].get(1));
    site.core
        .execute("UPDATE claim SET amount = amount + 1, updated_at = now() WHERE id % 7 = 0")
        .await;
    site.core.execute(&claims(rows() + 1, rows() + 500)).await;
    site.core
        .execute(&format!(
            "UPDATE claim SET updated_at = now() WHERE id > {}",
            rows()
        ))
        .await;
    wait_stored(&site).await;
    for agent in agents {
        agent.stop().await;
    }
    (site, middle, kept)
}

#[tokio::test(flavor = "multi_thread")]
async fn rebuild_equals_the_live_store_in_both_databases() {
    let (site, middle, kept) = changed_site("rebuild").await;

    // insurer-a's store is PostgreSQL and is rebuilt as SQLite; insurer-b's the other way round.
    let report = rebuild(&site, "insurer-a", "rebuilt-a.db", None).await;
    assert_eq!(report["last_sequence"], report["leader_sequence"], "{report}");
    let (code, report) = diff(&site, "rebuilt-a.db", "insurer-a.toml", &[]).await;
    assert_eq!(
        (code, &report["is_equal"]),
        (Some(0), &Value::Bool(true)),
        "{report}"
    );
    assert_eq!(report["items"][0]["equal"], u64::from(rows()) + 500, "{report}");
    let other = Postgres::shared().await.database("rebuilt").await;
    let text = format!(
        "[store]\nkind = \"postgres\"\nurl = {{ value = \"{}\" }}\n",
        other.url
    );
    fs::write(site.file("rebuilt-b.toml"), text).unwrap();
    rebuild(&site, "insurer-b", "rebuilt-b.toml", None).await;
    let (code, report) = diff(&site, "rebuilt-b.toml", "insurer-b.toml", &[]).await;
    assert_eq!(code, Some(0), "{report}");

    // An earlier state. Rebuilding again stores nothing twice.
    for _ in 0..2 {
        rebuild(&site, "insurer-a", "earlier.db", Some(&middle.to_string())).await;
        let earlier = Connection::open(site.file("earlier.db")).unwrap();
        let found: (i64, String) = earlier
            .query_row(
                "SELECT count(*), printf('%.2f', sum(CAST(round(amount * 100) AS INTEGER)) / 100.0) FROM claim",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .unwrap();
        assert_eq!(found, kept);
    }
    let (code, report) = diff(&site, "earlier.db", "insurer-a.toml", &[]).await;
    assert_eq!(
        (code, &report["is_equal"]),
        (Some(9), &Value::Bool(true)),
        "{report}"
    );
    assert!(report["items"][0]["newer"].as_u64() > Some(500), "{report}");
    assert!(
        report["not_covered"][0]
            .as_str()
            .unwrap()
            .contains("audit rebuild --feed claim --to"),
        "{report}"
    );

    // A later store is no store of an earlier time, and a live store is never written.
    let early = (middle / 2).to_string();
    for (into, to, expected) in [
        ("earlier.db", early.as_str(), "beyond --to"),
        ("insurer-a.toml", "1", "it is a live store"),
    ] {
        let line = [
            "audit",
            "rebuild",
            "--config",
            "auditor.toml",
            "--recipient",
            "insurer-a",
        ];
        let done = site
            .command(&[&line[..], &["--into", into, "--to", to]].concat())
            .await;
        assert!(!done.0 && done.1.contains(expected), "{into}: {}", done.1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn diff_finds_every_manipulation_of_the_live_store() {
    let (site, _, _) = changed_site("diff").await;
    rebuild(&site, "insurer-a", "rebuilt.db", None).await;
    for statement in [
        "UPDATE claim SET amount = 4711.11 WHERE id = 5",
        "UPDATE claim SET psn_no = 'p999999', amount = NULL WHERE id = 6",
        "DELETE FROM claim WHERE id = 8",
        "INSERT INTO claim SELECT 900000, updated_at, psn_no, day, amount, _slacktide_epoch, _slacktide_number FROM claim WHERE id = 9",
    ] {
        site.store.execute(statement).await;
    }
    let (code, report) = diff(&site, "rebuilt.db", "insurer-a.toml", &[]).await;
    assert_eq!(
        (code, &report["is_equal"]),
        (Some(7), &Value::Bool(false)),
        "{report}"
    );
    let item = &report["items"][0];
    let counts = ["missing", "surplus", "differing"].map(|name| item[name].as_u64().unwrap());
    assert_eq!(counts, [1, 1, 2], "{report}");
    assert_eq!(item["columns"], serde_json::json!({ "amount": 2, "psn_no": 1 }));
    let rows: Vec<(&str, &str)> = item["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let key = row["key"][0].as_str().unwrap();
            (key, row["difference"].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        rows,
        [
            ("5", "differing"),
            ("6", "differing"),
            ("8", "missing"),
            ("900000", "surplus")
        ]
    );
    // Values are printed on demand only.
    assert!(!report.to_string().contains("4711.11") && !report.to_string().contains("p999999"));
    let (_, report) = diff(&site, "rebuilt.db", "insurer-a.toml", &["--values"]).await;
    assert!(report.to_string().contains("4711.11") && report.to_string().contains("p999999"));
    let (_, report) = diff(&site, "rebuilt.db", "insurer-a.toml", &["--limit", "1"]).await;
    assert_eq!(report["items"][0]["rows"].as_array().unwrap().len(), 1);
}
