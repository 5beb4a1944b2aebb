//! Two of core, store and exchange are restored from older copies at once. This is detected within 30 s and repaired by the
//! commands of docs/operate.md, in its order. Core and store are SQLite files, compared by this test's own SQL.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use harness::until;
use rusqlite::Connection;
use serde_json::Value;

use crate::tls::site::{Agent, DEADLINE, Site, write};

/// A restore must be detected within this time.
const FOUND_WITHIN: Duration = Duration::from_secs(30);

const LANE: &str = "/lanes/insurer-a.claim";
const CORE: &str = "bureau/core.db";
const STORE: &str = "insurer-a/store.db";

/// Copies a database as a backup does: consistently, while it is in use.
fn back_up(site: &Site, database: &str) -> PathBuf {
    let copy = site.file(format!("{database}.copy"));
    site.open(database)
        .execute("VACUUM INTO ?1", [copy.to_str().unwrap()])
        .unwrap();
    let opened = Connection::open(&copy).unwrap();
    opened.pragma_update(None, "journal_mode", "wal").unwrap();
    opened.close().unwrap();
    copy
}

/// Replaces a database that is not in use with a copy.
fn restore(site: &Site, database: &str, copy: &Path) {
    for end in ["-wal", "-shm"] {
        let _ = fs::remove_file(site.file(format!("{database}{end}")));
    }
    fs::rename(copy, site.file(database)).unwrap();
}

/// Inserts, updates and deletes rows that no copy holds, and waits until the insurer has acknowledged all of it.
async fn continue_without_copies(site: &Site, poller: &Agent) {
    site.add(150);
    site.wait_until_equal().await;
    for sql in [
        "UPDATE claim SET amount = 4711, updated_at = strftime('%Y-%m-%d %H:%M:%f', 'now') WHERE id % 5 = 0",
        "UPDATE claim SET deleted = 1, updated_at = strftime('%Y-%m-%d %H:%M:%f', 'now') WHERE id % 11 = 0",
    ] {
        write(&mut site.open(CORE), |core| {
            core.execute(sql, []).unwrap();
        });
        site.wait_until_equal().await;
    }
    wait_acknowledged(poller).await;
}

async fn wait_acknowledged(poller: &Agent) {
    poller
        .wait_status("every chunk to be acknowledged", LANE, |lane| {
            lane["frontier"].as_u64() > Some(0) && lane["frontier"] == lane["receipted"]
        })
        .await;
}

async fn wait_stopped(social: &Agent, reasons: &[&str]) {
    let pointer = format!("{LANE}/state");
    let wanted = |state: &Value| {
        let state = state.as_str().unwrap_or_default();
        reasons.iter().any(|reason| state.contains(reason))
    };
    social
        .wait_status_within(FOUND_WITHIN, "the bureau's lane to stop", &pointer, wanted)
        .await;
}

async fn wait_store_behind(poller: &Agent) {
    let pointer = format!("{LANE}/unverified/store_behind/remedy");
    poller
        .wait_status_within(FOUND_WITHIN, "the store to be behind", &pointer, Value::is_string)
        .await;
}

/// Arguments that the bureau's operator gives with each order.
fn operator_args(config: &str) -> [&str; 6] {
    ["--actor", "li.na", "--reason", "restored", "--config", config]
}

async fn refill(site: &Site, poller: &Agent) {
    site.run_ok(&["feed", "refill", "claim", "--config", &poller.config])
        .await;
}

/// Confirms the orders, then opens a new epoch; repeats both as long as the command asks for a confirmation.
async fn confirm_and_open(site: &Site, social: &Agent, words: &[&str]) {
    until("a new epoch", DEADLINE, async || {
        let show = ["orders", "show", "--json", "--config", &social.config];
        let shown = site.command(&show).await.stdout;
        let shown: Value = serde_json::from_str(&shown).unwrap_or_else(|_| panic!("no JSON: {shown}"));
        let mark = &shown["record"];
        let record = mark["digest"]
            .as_str()
            .map_or("none".to_owned(), |digest| format!("{}:{digest}", mark["number"]));
        let confirm = ["orders", "confirm", "--record", &record];
        site.run_ok(&[&confirm[..], &operator_args(&social.config)].concat())
            .await;
        let opened = site
            .command(&[words, &operator_args(&social.config)].concat())
            .await;
        if opened.status.success() {
            Ok(())
        } else {
            Err(opened.stdout + &opened.stderr)
        }
    })
    .await;
}

const RESYNC: [&str; 5] = ["feed", "resync", "claim", "--recipient", "insurer-a"];

const REWIND: [&str; 7] = [
    "feed",
    "rewind",
    "claim",
    "--recipient",
    "insurer-a",
    "--from",
    "receipt",
];

/// Asserts that core and store are equal in a new epoch, neither side shows anything to do, and the evidence is valid.
async fn assert_repaired(site: &Site, [social, poller]: [Agent; 2]) {
    until("the new epoch at the store", DEADLINE, async || {
        let epoch = site
            .open(STORE)
            .query_row("SELECT max(epoch) FROM slacktide_ledger", [], |row| {
                row.get::<_, i64>(0)
            })
            .map_err(|error| error.to_string())?;
        if epoch > 1 {
            Ok(())
        } else {
            Err(format!("epoch {epoch}"))
        }
    })
    .await;
    for agent in [&social, &poller] {
        agent
            .wait_status("nothing to be left to do", LANE, |lane| {
                // One side does not show a stop, or the other one does not show why.
                let is_stopped = !lane["stopped"].is_null() && lane["stopped"] != false;
                lane.is_object() && lane["unverified"].is_null() && !is_stopped
            })
            .await;
    }
    site.wait_until_equal().await;
    wait_acknowledged(&poller).await;
    site.run_ok(&["audit", "verify", "--config", "auditor/auditor.toml"])
        .await;
    social.stop().await;
    poller.stop().await;
}

/// The business continues on the restored core, and gives the numbers of lost rows to new rows.
#[tokio::test(flavor = "multi_thread")]
async fn core_and_store_restored_are_detected_and_repaired() {
    let site = Site::start(&["insurer-a"], |text| text).await;
    let (social, poller) = (site.social("social"), site.poller("poller"));
    site.wait_until_equal().await;
    let copies = [CORE, STORE].map(|database| (database, back_up(&site, database)));
    continue_without_copies(&site, &poller).await;
    social.stop().await;
    poller.stop().await;
    for (database, copy) in &copies {
        restore(&site, database, copy);
    }
    let business = site.business();
    let (social, poller) = (site.social("social"), site.poller("poller"));
    wait_stopped(&social, &["the source changed"]).await;
    wait_store_behind(&poller).await;

    refill(&site, &poller).await;
    site.run_ok(&[&RESYNC[..], &operator_args(&social.config)].concat())
        .await;
    // Some changes happen during the resynchronisation.
    until("the business to continue", DEADLINE, async || {
        let rows: i64 = site
            .open(CORE)
            .query_row("SELECT count(*) FROM claim", [], |row| row.get(0))
            .unwrap();
        if rows > 110 { Ok(()) } else { Err(rows) }
    })
    .await;
    business.stop();
    assert_repaired(&site, [social, poller]).await;
}

/// Core and bureau's agent keep running.
#[tokio::test(flavor = "multi_thread")]
async fn store_and_exchange_restored_are_detected_and_repaired() {
    let mut site = Site::start(&["insurer-a"], |text| text).await;
    let (social, poller) = (site.social("social"), site.poller("poller"));
    site.wait_until_equal().await;
    let store = back_up(&site, STORE);
    // The exchange's copy is newer: it holds chunks that the store's copy lacks and has acknowledged.
    site.add(150);
    site.wait_until_equal().await;
    wait_acknowledged(&poller).await;
    site.nats.stop().await;
    let exchange = site.nats.copy_store();
    site.nats.restart().await;
    continue_without_copies(&site, &poller).await;
    let business = site.business();
    poller.stop().await;
    restore(&site, STORE, &store);
    site.nats.restore_store(&exchange).await;
    let poller = site.poller("poller");
    wait_stopped(&social, &["exchange restored or rewritten"]).await;
    wait_store_behind(&poller).await;

    refill(&site, &poller).await;
    confirm_and_open(&site, &social, &REWIND).await;
    business.stop();
    assert_repaired(&site, [social, poller]).await;
}

/// Only the store shows what was lost, and it holds rows that the core does not.
#[tokio::test(flavor = "multi_thread")]
async fn core_and_exchange_restored_are_detected_and_repaired() {
    let mut site = Site::start(&["insurer-a"], |text| text).await;
    let (social, poller) = (site.social("social"), site.poller("poller"));
    site.wait_until_equal().await;
    wait_acknowledged(&poller).await;
    site.nats.stop().await;
    let (core, exchange) = (back_up(&site, CORE), site.nats.copy_store());
    site.nats.restart().await;
    continue_without_copies(&site, &poller).await;
    social.stop().await;
    restore(&site, CORE, &core);
    site.nats.restore_store(&exchange).await;
    // The numbers of lost rows are given to other rows.
    site.add(20);
    let social = site.social("social");
    wait_stopped(&social, &["the source changed", "exchange restored or rewritten"]).await;

    confirm_and_open(&site, &social, &RESYNC).await;
    assert_repaired(&site, [social, poller]).await;
}
