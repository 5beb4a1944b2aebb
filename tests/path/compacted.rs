//! A ledger whose old entries are folded: rows are counted all the same, and everything can be stored again.

use harness::until_still;
use serde_json::Value;

use super::site::{Agent, PATIENCE, Site};

const LANE: &str = "/lanes/insurer-a.claim";

/// Entries that the ledger keeps here.
const KEPT: i64 = 5;

const ENTRIES: &str = "SELECT count(*) FROM slacktide.ledger";

/// Waits until the agent has folded everything that it does not keep.
async fn is_folded(site: &Site, poller: &Agent) {
    let pointer = format!("{LANE}/compacted/number");
    poller
        .shows("entries to be folded", &pointer, Value::is_u64)
        .await;
    until_still("the ledger to be small", PATIENCE, async || {
        match site.store.number(ENTRIES).await {
            KEPT => Ok(()),
            entries => Err(format!("{entries} entries")),
        }
    })
    .await;
}

async fn is_verified(poller: &Agent) {
    let pointer = format!("{LANE}/unverified");
    poller
        .shows("the lane to be verified", &pointer, Value::is_null)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ledger_folded_still_counts_rows_and_is_refilled() {
    let mut site = Site::start("compacted", 12_000, "mode = \"open\"").await;
    site.links.store = Some(format!(
        "kind = \"postgres\"\nurl = {{ value = \"{}\" }}\n[store.ledger]\nentries = {KEPT}\nage = \"0s\"",
        site.store.url
    ));
    let (social, poller) = (site.social("social"), site.poller("first"));
    site.agree().await;
    for sql in [
        "UPDATE claim SET name = 'changed', updated_at = now() WHERE id % 3 = 0",
        "UPDATE claim SET deleted = true, updated_at = now() WHERE id % 7 = 0",
    ] {
        site.core.execute(sql).await;
        site.agree().await;
    }
    poller.stop().await;
    let chunks = site
        .store
        .number("SELECT max(number) FROM slacktide.ledger")
        .await;
    assert!(chunks > 2 * KEPT, "{chunks} chunks");

    // An agent folds when it has nothing to do for the first time.
    let poller = site.poller("poller");
    is_folded(&site, &poller).await;
    site.core
        .execute("INSERT INTO claim (id, name) SELECT g, 'later' FROM generate_series(900001, 900500) g")
        .await;
    site.agree().await;
    is_verified(&poller).await;
    let gone = site
        .store
        .number("SELECT count(*) FROM claim WHERE id % 5 = 0")
        .await;
    site.store.execute("DELETE FROM claim WHERE id % 5 = 0").await;
    let found = format!("{gone} rows fewer than were stored");
    poller
        .shows(
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
    site.agree().await;
    is_verified(&poller).await;
    site.ledger_is_gapless().await;
    poller.stop().await;

    let poller = site.poller("poller");
    is_folded(&site, &poller).await;
    site.agree().await;
    is_verified(&poller).await;
    site.evidence_holds().await;
    social.stop().await;
    poller.stop().await;
}
