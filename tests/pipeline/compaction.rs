//! A compacted ledger: rows are still counted, and everything can be stored again.

use harness::until_with_progress;
use serde_json::Value;

use super::site::{Agent, DEADLINE, Site};

const LANE: &str = "/lanes/insurer-a.claim";

/// Entries that the ledger keeps in this test.
const KEPT: i64 = 5;

const ENTRIES: &str = "SELECT count(*) FROM slacktide.ledger";

/// Waits until the agent has compacted all entries that it does not keep.
async fn wait_compacted(site: &Site, poller: &Agent) {
    let pointer = format!("{LANE}/compacted/number");
    poller
        .wait_status("entries to be compacted", &pointer, Value::is_u64)
        .await;
    until_with_progress("the ledger to be small", DEADLINE, async || {
        match site.store.number(ENTRIES).await {
            KEPT => Ok(()),
            entries => Err(format!("{entries} entries")),
        }
    })
    .await;
}

async fn wait_verified(poller: &Agent) {
    let pointer = format!("{LANE}/unverified");
    poller
        .wait_status("the lane to be verified", &pointer, Value::is_null)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ledger_compacted_still_counts_rows_and_is_refilled() {
    let mut site = Site::start("compacted", 12_000, "mode = \"open\"").await;
    site.links.store = Some(format!(
        "kind = \"postgres\"\nurl = {{ value = \"{}\" }}\n[store.ledger]\nentries = {KEPT}\nage = \"0s\"",
        site.store.url
    ));
    let (social, poller) = (site.social("social"), site.poller("first"));
    site.wait_until_equal().await;
    for sql in [
        "UPDATE claim SET name = 'changed', updated_at = now() WHERE id % 3 = 0",
        "UPDATE claim SET deleted = true, updated_at = now() WHERE id % 7 = 0",
    ] {
        site.core.execute(sql).await;
        site.wait_until_equal().await;
    }
    poller.stop().await;
    let chunks = site
        .store
        .number("SELECT max(number) FROM slacktide.ledger")
        .await;
    assert!(chunks > 2 * KEPT, "{chunks} chunks");

    // An agent compacts when it is idle for the first time.
    let poller = site.poller("poller");
    wait_compacted(&site, &poller).await;
    site.core
        .execute("INSERT INTO claim (id, name) SELECT g, 'later' FROM generate_series(900001, 900500) g")
        .await;
    site.wait_until_equal().await;
    wait_verified(&poller).await;
    let gone = site
        .store
        .number("SELECT count(*) FROM claim WHERE id % 5 = 0")
        .await;
    site.store.execute("DELETE FROM claim WHERE id % 5 = 0").await;
    let found = format!("{gone} rows fewer than stored");
    poller
        .wait_status(
            "the missing rows",
            &format!("{LANE}/unverified/rows_differ"),
            |what| what.to_string().contains(&found),
        )
        .await;

    let refill = [
        "feed",
        "refill",
        "claim",
        "--from",
        "chunk:1.2",
        "--config",
        "poller.toml",
    ];
    let (is_done, output) = site.command(&refill).await;
    assert!(
        is_done && output.contains("from the start, because the ledger keeps no entry"),
        "{output}"
    );
    site.wait_until_equal().await;
    wait_verified(&poller).await;
    site.assert_ledger_gapless().await;
    poller.stop().await;

    let poller = site.poller("poller");
    wait_compacted(&site, &poller).await;
    site.wait_until_equal().await;
    wait_verified(&poller).await;
    site.assert_evidence_valid().await;
    social.stop().await;
    poller.stop().await;
}
