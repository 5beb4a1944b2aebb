//! A gate that shuts: nothing is read, asked or held open, and nothing grows.
//!
//! FLOW_SHUT_SECONDS makes the shut longer; an hour was run by hand.

use std::fs;
use std::time::Duration;

use harness::{Postgres, PostgresOptions, until};
use serde_json::Value;

use super::site::{PATIENCE, Site, yielded};
use crate::gates::BY_FILE;

/// What a reader of tables cannot help leaving behind.
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
async fn while_shut_the_core_is_not_touched_and_afterwards_nothing_is_lost() {
    // A cluster of its own: what other tests write is no business of the core's log.
    let cluster = Postgres::private(PostgresOptions::default()).await;
    let (core, store) = (cluster.database("core").await, cluster.database("store").await);
    let site = Site::between(core, store, 120_000, BY_FILE, |text| text).await;
    fs::write(site.file("stop"), "").unwrap();
    let (social, poller) = (site.social("social"), site.poller("poller"));
    let samples = |status: &Value| {
        status
            .pointer("/gate/samples")
            .and_then(Value::as_u64)
            .unwrap_or(0)
    };
    social
        .shows("samples under a shut gate", "/gate/samples", |n| {
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
        .shows("rows to be read", "/driver/rows", |rows| {
            rows.as_u64() > Some(3_000)
        })
        .await;
    fs::write(site.file("stop"), "").unwrap();
    social
        .shows("the gate to shut", "/gate/state", |state| state == "shut")
        .await;
    let open =
        format!("{sessions} AND (state <> 'idle' OR xact_start IS NOT NULL OR backend_xmin IS NOT NULL)");
    until("no query and no transaction", PATIENCE, async || {
        site.core.number(&open).await == 0
    })
    .await;
    let shut = social.status().await.unwrap();
    // A session that falls idle tells its statistics within ten seconds: what was read before the shut is no
    // work under it.
    let talkative = format!("{sessions} AND state_change > clock_timestamp() - interval '12 s'");
    until("the sessions to have told what they did", PATIENCE, async || {
        site.core.number(&talkative).await == 0
    })
    .await;
    // The gate is shown as shut as soon as it is; the rows of the quantum that was cut short are counted when it ends.
    let before = social.status().await.unwrap();
    assert_eq!(
        before["driver"]["statements"], shut["driver"]["statements"],
        "a statement after the gate had shut"
    );
    let statistics: String = site.core.query(STATISTICS).await[0].get::<_, String>(0);
    let (wal, memory) = (
        site.core.number(WAL_FILES).await,
        resident_kb(social.process.pid()),
    );
    let seconds = std::env::var("FLOW_SHUT_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(2_u64);
    let until_sample = samples(&before) + 20 * seconds;
    social
        .shows_within(
            Duration::from_secs(seconds) + PATIENCE,
            "more samples under a shut gate",
            "/gate/samples",
            |n| n.as_u64() > Some(until_sample),
        )
        .await;
    let after = social.status().await.unwrap();
    assert_eq!(
        before["driver"], after["driver"],
        "the driver counted work under a shut gate"
    );
    yielded(&after);
    assert_eq!(site.core.number(&open).await, 0);
    assert_eq!(
        site.core.query(STATISTICS).await[0].get::<_, String>(0),
        statistics,
        "a scan or a changed row under a shut gate"
    );
    assert!(
        site.core.number(WAL_FILES).await <= wal,
        "the source keeps more WAL"
    );
    let grown = resident_kb(social.process.pid()).saturating_sub(memory);
    assert!(grown < 2_048, "{grown} KB more after {seconds} s of shut gate");
    assert_eq!(
        site.core
            .number("SELECT count(*) FROM pg_replication_slots")
            .await,
        0
    );

    fs::remove_file(site.file("stop")).unwrap();
    site.agree().await;
    yielded(&social.status().await.unwrap());
    site.evidence_holds().await;
    social.stop().await;
    poller.stop().await;
}
