//! Two of core, store and exchange are restored from older copies at once: found within 30 s, and healed by the commands that
//! docs/operate.md names, in its order. Core and store are SQLite files, which are compared by SQL of this test's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use harness::until;
use rusqlite::Connection;
use serde_json::Value;

use crate::tls::site::{Agent, PATIENCE, Site, write};

/// What is restored has to be found within this time.
const FOUND_WITHIN: Duration = Duration::from_secs(30);

const LANE: &str = "/lanes/insurer-a.claim";
const CORE: &str = "bureau/core.db";
const STORE: &str = "insurer-a/store.db";

/// Copies a database as a backup does: whole, while others use it.
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

/// Puts a copy in the place of a database that nobody uses.
fn put_back(site: &Site, database: &str, copy: &Path) {
    for end in ["-wal", "-shm"] {
        let _ = fs::remove_file(site.file(format!("{database}{end}")));
    }
    fs::rename(copy, site.file(database)).unwrap();
}

/// Adds, changes and deletes rows that no copy holds, and waits until the insurer signed for all of it.
async fn go_on_without_copies(site: &Site, poller: &Agent) {
    site.add(150);
    site.agree().await;
    for sql in [
        "UPDATE claim SET amount = 4711, updated_at = strftime('%Y-%m-%d %H:%M:%f', 'now') WHERE id % 5 = 0",
        "UPDATE claim SET deleted = 1, updated_at = strftime('%Y-%m-%d %H:%M:%f', 'now') WHERE id % 11 = 0",
    ] {
        write(&mut site.open(CORE), |core| {
            core.execute(sql, []).unwrap();
        });
        site.agree().await;
    }
    is_receipted(poller).await;
}

async fn is_receipted(poller: &Agent) {
    poller
        .shows("every chunk to be receipted", LANE, |lane| {
            lane["frontier"].as_u64() > Some(0) && lane["frontier"] == lane["receipted"]
        })
        .await;
}

async fn stopped_because(social: &Agent, reasons: &[&str]) {
    let pointer = format!("{LANE}/state");
    let wanted = |state: &Value| {
        let state = state.as_str().unwrap_or_default();
        reasons.iter().any(|reason| state.contains(reason))
    };
    social
        .shows_within(FOUND_WITHIN, "the bureau's lane to stop", &pointer, wanted)
        .await;
}

async fn store_is_behind(poller: &Agent) {
    let pointer = format!("{LANE}/unverified/store_behind/remedy");
    poller
        .shows_within(FOUND_WITHIN, "the store to be behind", &pointer, Value::is_string)
        .await;
}

/// What an operator of the bureau gives with each order.
fn by(config: &str) -> [&str; 6] {
    ["--actor", "li.na", "--reason", "restored", "--config", config]
}

async fn refill(site: &Site, poller: &Agent) {
    site.well(&["feed", "refill", "claim", "--config", &poller.config])
        .await;
}

/// Confirms what is ordered, then opens a new epoch: both again for as long as the command asks for a confirmation.
async fn confirm_and_open(site: &Site, social: &Agent, words: &[&str]) {
    until("a new epoch", PATIENCE, async || {
        let show = ["orders", "show", "--json", "--config", &social.config];
        let shown = site.command(&show).await.stdout;
        let shown: Value = serde_json::from_str(&shown).unwrap_or_else(|_| panic!("no JSON: {shown}"));
        let mark = &shown["record"];
        let record = mark["digest"]
            .as_str()
            .map_or("none".to_owned(), |digest| format!("{}:{digest}", mark["number"]));
        let confirm = ["orders", "confirm", "--record", &record];
        site.well(&[&confirm[..], &by(&social.config)].concat()).await;
        let opened = site.command(&[words, &by(&social.config)].concat()).await;
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

/// Core and store are equal in a new epoch, nothing is left to do on either side, and every signature holds.
async fn is_healed(site: &Site, [social, poller]: [Agent; 2]) {
    until("the new epoch at the store", PATIENCE, async || {
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
            .shows("nothing to be left to do", LANE, |lane| {
                // One side says that it is not stopped, the other one does not say why.
                let is_stopped = !lane["stopped"].is_null() && lane["stopped"] != false;
                lane.is_object() && lane["unverified"].is_null() && !is_stopped
            })
            .await;
    }
    site.agree().await;
    is_receipted(&poller).await;
    site.well(&["audit", "verify", "--config", "auditor/auditor.toml"])
        .await;
    social.stop().await;
    poller.stop().await;
}

/// The business goes on with the restored core, and gives the numbers of lost rows to new ones.
#[tokio::test(flavor = "multi_thread")]
async fn core_and_store_restored_are_found_and_healed_under_traffic() {
    let site = Site::start(&["insurer-a"], |text| text).await;
    let (social, poller) = (site.social("social"), site.poller("poller"));
    site.agree().await;
    let copies = [CORE, STORE].map(|database| (database, back_up(&site, database)));
    go_on_without_copies(&site, &poller).await;
    social.stop().await;
    poller.stop().await;
    for (database, copy) in &copies {
        put_back(&site, database, copy);
    }
    let business = site.business();
    let (social, poller) = (site.social("social"), site.poller("poller"));
    stopped_because(&social, &["the source is not what it was"]).await;
    store_is_behind(&poller).await;

    refill(&site, &poller).await;
    site.well(&[&RESYNC[..], &by(&social.config)].concat()).await;
    // Some of the business falls into the resynchronisation.
    until("the business to go on", PATIENCE, async || {
        let rows: i64 = site
            .open(CORE)
            .query_row("SELECT count(*) FROM claim", [], |row| row.get(0))
            .unwrap();
        if rows > 110 { Ok(()) } else { Err(rows) }
    })
    .await;
    business.stop();
    is_healed(&site, [social, poller]).await;
}

/// The core goes on all the time, and so does the bureau's agent.
#[tokio::test(flavor = "multi_thread")]
async fn store_and_exchange_restored_are_found_and_healed_under_traffic() {
    let mut site = Site::start(&["insurer-a"], |text| text).await;
    let (social, poller) = (site.social("social"), site.poller("poller"));
    site.agree().await;
    let store = back_up(&site, STORE);
    // The exchange's copy is younger: it holds chunks that the store's lacks and has signed for.
    site.add(150);
    site.agree().await;
    is_receipted(&poller).await;
    site.nats.stop().await;
    let exchange = site.nats.copy_store();
    site.nats.restart().await;
    go_on_without_copies(&site, &poller).await;
    let business = site.business();
    poller.stop().await;
    put_back(&site, STORE, &store);
    site.nats.restore_store(&exchange).await;
    let poller = site.poller("poller");
    stopped_because(&social, &["exchange restored or rewritten"]).await;
    store_is_behind(&poller).await;

    refill(&site, &poller).await;
    confirm_and_open(&site, &social, &REWIND).await;
    business.stop();
    is_healed(&site, [social, poller]).await;
}

/// The store alone knows what was lost, and holds rows that the core does not.
#[tokio::test(flavor = "multi_thread")]
async fn core_and_exchange_restored_are_found_and_healed() {
    let mut site = Site::start(&["insurer-a"], |text| text).await;
    let (social, poller) = (site.social("social"), site.poller("poller"));
    site.agree().await;
    is_receipted(&poller).await;
    site.nats.stop().await;
    let (core, exchange) = (back_up(&site, CORE), site.nats.copy_store());
    site.nats.restart().await;
    go_on_without_copies(&site, &poller).await;
    social.stop().await;
    put_back(&site, CORE, &core);
    site.nats.restore_store(&exchange).await;
    // The numbers of lost rows are given to others.
    site.add(20);
    let social = site.social("social");
    stopped_because(
        &social,
        &["the source is not what it was", "exchange restored or rewritten"],
    )
    .await;

    confirm_and_open(&site, &social, &RESYNC).await;
    is_healed(&site, [social, poller]).await;
}
