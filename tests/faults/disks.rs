//! Full and slow disks, at the store and at the exchange.

use std::fs;

use harness::{Shim, until_with_progress};

use super::fixture::{Fixture, LANE, OPEN, text_contains, wait_rounds};
use super::log::LogCapture;
use crate::pipeline::site::{DEADLINE, Site};

#[tokio::test(flavor = "multi_thread")]
async fn store_postgres_full_or_slow_disk_loses_nothing() {
    let shim = Shim::new();
    let mut fixture = Fixture::with_store_shim(&shim, 2_000).await;
    let (social, poller) = fixture.start_agents().await;

    // The disk of the tables.
    let log_capture = LogCapture::start(&poller);
    shim.fill_disk("/data/base/");
    fixture.change_rows().await;
    poller
        .wait_status(
            "the store to be full",
            &format!("{LANE}/last_error"),
            text_contains("make room"),
        )
        .await;
    wait_rounds(&poller, 20).await;
    log_capture.assert_logged_at_most(2, &poller);
    shim.empty_disk();
    fixture.assert_recovered().await;

    // The disk of the WAL: PostgreSQL itself ends when it is full.
    shim.fill_disk("/pg_wal/");
    fixture.change_rows().await;
    poller
        .wait_status("the store to be down", "/last_error", text_contains("the store "))
        .await;
    shim.empty_disk();
    fixture.store.restart().await;
    fixture.assert_recovered().await;

    shim.slow_disk(150);
    fixture.assert_recovered().await;
    shim.slow_disk(0);
    fixture.assert_consistent().await;
    social.stop().await;
    poller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn store_sqlite_full_or_slow_disk_loses_nothing() {
    let shim = Shim::new();
    let mut site = Site::start("sqlite_disk", 2_000, OPEN).await;
    site.links.store = Some("kind = \"sqlite\"\npath = \"store.db\"".to_owned());
    site.links.env = shim.env();
    let (social, poller) = (site.social("social"), site.poller("poller"));
    wait_until_equal(&site).await;

    let log_capture = LogCapture::start(&poller);
    shim.fill_disk("store.db");
    change_rows(&site, 1).await;
    poller
        .wait_status(
            "the store to be full",
            &format!("{LANE}/last_error"),
            text_contains("make room"),
        )
        .await;
    wait_rounds(&poller, 20).await;
    log_capture.assert_logged_at_most(2, &poller);
    shim.empty_disk();
    wait_until_equal(&site).await;

    shim.slow_disk(100);
    change_rows(&site, 2).await;
    wait_until_equal(&site).await;
    shim.slow_disk(0);
    site.assert_evidence_valid().await;
    social.stop().await;
    poller.stop().await;
}

/// The whole exchange is full, its leases and receipts too: no agent holds the lease, nothing is read, nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn exchange_full_disk_loses_nothing() {
    let mut fixture = Fixture::start(2_000, OPEN).await;
    let (social, poller) = fixture.start_agents().await;
    let log_capture = LogCapture::start(&social);
    let path = fixture.site.file("server.conf");
    let before = fs::read_to_string(&path).unwrap();
    let full = before.replace(
        "sync_interval: always",
        "sync_interval: always\n  max_file_store: 1KB",
    );
    assert_ne!(full, before);
    fs::write(&path, full).unwrap();
    fixture.site.nats.stop().await;
    fixture.site.nats.restart().await;
    fixture.change_rows().await;
    social
        .wait_status(
            "the exchange to be full",
            "/lease/error",
            text_contains("insufficient"),
        )
        .await;
    wait_rounds(&poller, 20).await;
    log_capture.assert_logged_at_most(2, &social);
    fs::write(&path, before).unwrap();
    fixture.site.nats.stop().await;
    fixture.site.nats.restart().await;
    fixture.assert_recovered().await;
    fixture.assert_consistent().await;
    social.stop().await;
    poller.stop().await;
}

async fn change_rows(site: &Site, round: u32) {
    site.core
        .execute(&format!(
            "INSERT INTO claim (id, name, amount, memo) SELECT {round} * 1000000 + g, 'new', g / 7.0, 'memo'
             FROM generate_series(1, 500) g; UPDATE claim SET amount = 0.01, updated_at = now() WHERE id = {round}"
        ))
        .await;
}

/// Waits until the SQLite store holds what the core holds.
async fn wait_until_equal(site: &Site) {
    const ROWS: &str =
        "SELECT CAST(id AS text) || '|' || name || '|' || CAST(amount AS text) || '|' || memo FROM claim";
    let file = site.file("store.db");
    until_with_progress("core and store to agree", DEADLINE, async || {
        let mut core: Vec<String> = site.core.query(ROWS).await.iter().map(|row| row.get(0)).collect();
        let mut store = store_rows(&file, ROWS).map_err(|error| error.to_string())?;
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

fn store_rows(file: &std::path::Path, sql: &str) -> rusqlite::Result<Vec<String>> {
    let store = rusqlite::Connection::open_with_flags(file, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut rows = store.prepare(sql)?;
    let rows = rows.query_map([], |row| row.get(0))?;
    rows.collect()
}
