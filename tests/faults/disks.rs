//! Disks that are full or slow, at the store and at the exchange.

use std::fs;

use harness::{Shim, until_still};

use super::log::Listening;
use super::scene::{LANE, OPEN, Scene, rounds, says};
use crate::path::site::{PATIENCE, Site};

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_and_a_slow_one_at_a_postgres_store_are_waited_out() {
    let shim = Shim::new();
    let mut scene = Scene::with_store_under(&shim, 2_000).await;
    let (social, poller) = scene.agents().await;

    // The disk of the tables.
    let listening = Listening::to(&poller);
    shim.fill_disk("/data/base/");
    scene.work().await;
    poller
        .shows(
            "the store to be full",
            &format!("{LANE}/last_error"),
            says("make room"),
        )
        .await;
    rounds(&poller, 20).await;
    listening.said_at_most(2, &poller);
    shim.empty_disk();
    scene.goes_on().await;

    // The disk of the log: PostgreSQL itself ends by that.
    shim.fill_disk("/pg_wal/");
    scene.work().await;
    poller
        .shows("the store to be down", "/last_error", says("the store "))
        .await;
    shim.empty_disk();
    scene.store.restart().await;
    scene.goes_on().await;

    shim.slow_disk(150);
    scene.goes_on().await;
    shim.slow_disk(0);
    scene.is_whole().await;
    social.stop().await;
    poller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_and_a_slow_one_at_a_sqlite_store_are_waited_out() {
    let shim = Shim::new();
    let mut site = Site::start("sqlite_disk", 2_000, OPEN).await;
    site.links.store = Some("kind = \"sqlite\"\npath = \"store.db\"".to_owned());
    site.links.env = shim.env();
    let (social, poller) = (site.social("social"), site.poller("poller"));
    same(&site).await;

    let listening = Listening::to(&poller);
    shim.fill_disk("store.db");
    add(&site, 1).await;
    poller
        .shows(
            "the store to be full",
            &format!("{LANE}/last_error"),
            says("make room"),
        )
        .await;
    rounds(&poller, 20).await;
    listening.said_at_most(2, &poller);
    shim.empty_disk();
    same(&site).await;

    shim.slow_disk(100);
    add(&site, 2).await;
    same(&site).await;
    shim.slow_disk(0);
    site.evidence_holds().await;
    social.stop().await;
    poller.stop().await;
}

/// The whole exchange is full, its leases and receipts too: nobody holds the lease, nothing is read, nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_at_the_exchange_is_waited_out() {
    let mut scene = Scene::start(2_000, OPEN).await;
    let (social, poller) = scene.agents().await;
    let listening = Listening::to(&social);
    let path = scene.site.file("server.conf");
    let before = fs::read_to_string(&path).unwrap();
    let full = before.replace(
        "sync_interval: always",
        "sync_interval: always\n  max_file_store: 1KB",
    );
    assert_ne!(full, before);
    fs::write(&path, full).unwrap();
    scene.site.nats.stop().await;
    scene.site.nats.restart().await;
    scene.work().await;
    social
        .shows("the exchange to be full", "/lease/trouble", says("insufficient"))
        .await;
    rounds(&poller, 20).await;
    listening.said_at_most(2, &social);
    fs::write(&path, before).unwrap();
    scene.site.nats.stop().await;
    scene.site.nats.restart().await;
    scene.goes_on().await;
    scene.is_whole().await;
    social.stop().await;
    poller.stop().await;
}

async fn add(site: &Site, round: u32) {
    site.core
        .execute(&format!(
            "INSERT INTO claim (id, name, amount, memo) SELECT {round} * 1000000 + g, 'new', g / 7.0, 'memo'
             FROM generate_series(1, 500) g; UPDATE claim SET amount = 0.01, updated_at = now() WHERE id = {round}"
        ))
        .await;
}

/// Waits until the SQLite store holds what the core holds.
async fn same(site: &Site) {
    const ROWS: &str =
        "SELECT CAST(id AS text) || '|' || name || '|' || CAST(amount AS text) || '|' || memo FROM claim";
    let file = site.file("store.db");
    until_still("core and store to agree", PATIENCE, async || {
        let mut core: Vec<String> = site.core.query(ROWS).await.iter().map(|row| row.get(0)).collect();
        let mut store = stored(&file, ROWS).map_err(|error| error.to_string())?;
        core.sort_unstable();
        store.sort_unstable();
        if core == store {
            Ok(())
        } else {
            Err(format!("core {} rows, store {}", core.len(), store.len()))
        }
    })
    .await;
}

fn stored(file: &std::path::Path, sql: &str) -> rusqlite::Result<Vec<String>> {
    let store = rusqlite::Connection::open_with_flags(file, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut rows = store.prepare(sql)?;
    let rows = rows.query_map([], |row| row.get(0))?;
    rows.collect()
}
