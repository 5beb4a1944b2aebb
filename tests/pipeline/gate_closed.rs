//! A closed gate: nothing is read, queried or held open, and memory does not grow.
//!
//! `FLOW_GATE_CLOSED_SECONDS` sets how long the gate stays closed; an hour was run by hand.

use std::fs;
use std::time::Duration;

use harness::{Postgres, PostgresOptions, until};
use serde_json::Value;

use super::site::{DEADLINE, Site, assert_yielded};
use crate::gate_config::STOP_FILE_GATE;

/// Table statistics that every read changes.
const STATISTICS: &str = "SELECT sum(seq_scan) || ' ' || sum(coalesce(idx_scan, 0)) || ' ' || sum(n_tup_ins + n_tup_upd + n_tup_del)
     FROM pg_stat_user_tables";

/// Files of the write-ahead log: a replication slot would keep them.
const WAL_FILES: &str = "SELECT count(*) FROM pg_ls_waldir()";

fn resident_kb(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn gate_closed_leaves_the_core_alone_and_loses_nothing() {
    // A private cluster: other tests must not write to this core's log.
    let cluster = Postgres::private(PostgresOptions::default()).await;
    let (core, store) = (cluster.database("core").await, cluster.database("store").await);
    let site = Site::between(core, store, 120_000, STOP_FILE_GATE, |text| text).await;
    fs::write(site.file("stop"), "").unwrap();
    let (social, poller) = (site.social("social"), site.poller("poller"));
    let samples = |status: &Value| {
        status
            .pointer("/gate/samples")
            .and_then(Value::as_u64)
            .unwrap_or(0)
    };
    social
        .wait_status("samples while the gate is closed", "/gate/samples", |n| {
            n.as_u64() > Some(20)
        })
        .await;
    let sessions = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE usename = '{}'",
        site.reader
    );
    assert_eq!(
        site.core.number(&sessions).await,
        0,
        "a session before the gate ever opened"
    );

    fs::remove_file(site.file("stop")).unwrap();
    social
        .wait_status("rows to be read", "/driver/rows", |rows| {
            rows.as_u64() > Some(3_000)
        })
        .await;
    fs::write(site.file("stop"), "").unwrap();
    social
        .wait_status("the gate to close", "/gate/state", |state| state == "closed")
        .await;
    let open =
        format!("{sessions} AND (state <> 'idle' OR xact_start IS NOT NULL OR backend_xmin IS NOT NULL)");
    until("no query and no transaction", DEADLINE, async || {
        site.core.number(&open).await == 0
    })
    .await;
    let closed = social.status().await.unwrap();
    // An idle session reports its statistics within ten seconds. Reads from before the gate closed must not be counted after it.
    let talkative = format!("{sessions} AND state_change > clock_timestamp() - interval '12 s'");
    until(
        "the sessions to have reported their statistics",
        DEADLINE,
        async || site.core.number(&talkative).await == 0,
    )
    .await;
    // The gate is shown as closed at once; the rows of the interrupted quantum are counted when it ends.
    let before = social.status().await.unwrap();
    assert_eq!(
        before["driver"]["statements"], closed["driver"]["statements"],
        "a statement after the gate had closed"
    );
    let statistics: String = site.core.query(STATISTICS).await[0].get::<_, String>(0);
    let (wal, memory) = (
        site.core.number(WAL_FILES).await,
        resident_kb(social.process.pid()),
    );
    let seconds = std::env::var("FLOW_GATE_CLOSED_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(2_u64);
    let until_sample = samples(&before) + 20 * seconds;
    social
        .wait_status_within(
            Duration::from_secs(seconds) + DEADLINE,
            "more samples while the gate is closed",
            "/gate/samples",
            |n| n.as_u64() > Some(until_sample),
        )
        .await;
    let after = social.status().await.unwrap();
    assert_eq!(
        before["driver"], after["driver"],
        "the driver counted work while the gate was closed"
    );
    assert_yielded(&after);
    assert_eq!(site.core.number(&open).await, 0);
    assert_eq!(
        site.core.query(STATISTICS).await[0].get::<_, String>(0),
        statistics,
        "a scan or a changed row while the gate was closed"
    );
    assert!(
        site.core.number(WAL_FILES).await <= wal,
        "the source keeps more WAL"
    );
    let grown = resident_kb(social.process.pid()).saturating_sub(memory);
    assert!(
        grown < 2_048,
        "{grown} KB more after {seconds} s with the gate closed"
    );
    assert_eq!(
        site.core
            .number("SELECT count(*) FROM pg_replication_slots")
            .await,
        0
    );

    fs::remove_file(site.file("stop")).unwrap();
    site.wait_until_equal().await;
    assert_yielded(&social.status().await.unwrap());
    site.assert_evidence_valid().await;
    social.stop().await;
    poller.stop().await;
}
