//! A gate that shuts: nothing is read, asked or held open.

use std::fs;
use std::time::Duration;

use harness::until;
use serde_json::Value;

use super::site::Site;

const GATE: &str = "interval = \"50ms\"\nhold = \"200ms\"\ngood_samples = 2\n\
                    [gate.signals.host_cpu]\nenabled = false\n[gate.signals.stop_file]\npath = \"stop\"";

#[tokio::test(flavor = "multi_thread")]
async fn while_shut_the_core_is_not_touched_and_afterwards_nothing_is_lost() {
    let site = Site::start("shut", 120_000, GATE).await;
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
    until(
        "no query and no transaction",
        Duration::from_secs(2),
        async || site.core.number(&open).await == 0,
    )
    .await;
    let before = social.status().await.unwrap();
    let until_sample = samples(&before) + 40;
    social
        .shows("two more seconds of samples", "/gate/samples", |n| {
            n.as_u64() > Some(until_sample)
        })
        .await;
    let after = social.status().await.unwrap();
    assert_eq!(
        before["driver"], after["driver"],
        "the driver counted work under a shut gate"
    );
    assert_eq!(after["driver"]["rows_while_shut"], 0);
    assert_eq!(after["driver"]["statements_while_shut"], 0);
    assert_eq!(site.core.number(&open).await, 0);
    assert_eq!(
        site.core
            .number("SELECT count(*) FROM pg_replication_slots")
            .await,
        0
    );

    fs::remove_file(site.file("stop")).unwrap();
    site.agree().await;
    assert_eq!(social.status().await.unwrap()["driver"]["rows_while_shut"], 0);
    site.evidence_holds().await;
    social.stop().await;
    poller.stop().await;
}
