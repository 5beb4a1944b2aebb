//! An exchange restored from an older copy.

use std::time::Duration;

use harness::until;
use serde_json::Value;

use super::site::{DEADLINE, REWIND, Site};

#[tokio::test(flavor = "multi_thread")]
async fn exchange_restored_stops_the_feed_until_a_new_epoch() {
    let mut site = Site::start("restore", 3_000, "mode = \"open\"").await;
    let (social, poller) = (site.social("social"), site.poller("poller"));
    site.wait_until_equal().await;
    site.nats.stop().await;
    let copy = site.nats.copy_store();
    site.nats.restart().await;
    site.core
        .execute("INSERT INTO claim (id, name) SELECT g, 'lost there' FROM generate_series(100001, 101000) g")
        .await;
    site.wait_until_equal().await;

    // The agent is stopped too: the restore must be detected without its memory.
    social.stop().await;
    site.nats.kill9();
    site.nats.restore_store(&copy).await;
    let social = site.social("social-again");
    site.core
        .execute("INSERT INTO claim (id, name) SELECT g, 'afterwards' FROM generate_series(200001, 201000) g")
        .await;
    let stopped =
        |text: Option<&str>| text.is_some_and(|text| text.contains("exchange restored or rewritten"));
    until(
        "the feed to stop on either side",
        Duration::from_secs(60),
        async || {
            let (here, there) = (social.status().await?, poller.status().await?);
            let social = stopped(
                here.pointer("/lanes/insurer-a.claim/state")
                    .and_then(|v| v.as_str()),
            );
            let poller = stopped(
                there
                    .pointer("/lanes/insurer-a.claim/stopped")
                    .and_then(|v| v.as_str()),
            );
            (social || poller).then_some(())
        },
    )
    .await;
    let newer = "SELECT count(*) FROM claim WHERE id > 200000";
    assert_eq!(site.store.number(newer).await, 0, "a stopped feed went on");

    // The receipt with the frontier is signed again from the ledger. The copy may lack a hold, so an operator confirms the orders
    // first.
    let operator_args = [
        "--actor",
        "li.na",
        "--reason",
        "restored",
        "--config",
        "social-again.toml",
    ];
    until(
        "the rewind to ask for a confirmation",
        super::site::DEADLINE,
        async || {
            let (is_open, output) = site.command(&[&REWIND[..], &operator_args].concat()).await;
            assert!(!is_open, "an epoch was opened under unconfirmed orders: {output}");
            if output.contains("orders confirm --record none") {
                Ok(())
            } else {
                Err(output)
            }
        },
    )
    .await;
    site.confirm_orders("social-again.toml", "nothing was ordered")
        .await;
    site.rewind("social-again.toml", "restored from the night's copy")
        .await;
    site.wait_until_equal().await;
    site.assert_evidence_valid().await;
    assert_eq!(
        site.store
            .number("SELECT max(epoch)::bigint FROM slacktide.ledger")
            .await,
        2
    );
    social.stop().await;
    poller.stop().await;
}

/// The exchange has lost the chunks of missing rows. After the bureau sends the feed again, a refill is complete.
#[tokio::test(flavor = "multi_thread")]
async fn refill_of_lost_chunks_resent_by_the_bureau_is_complete() {
    let mut site = Site::start("emptied", 2_000, "mode = \"open\"").await;
    site.nats.stop().await;
    let empty = site.nats.copy_store();
    site.nats.restart().await;
    let (social, poller) = (site.social("social"), site.poller("poller"));
    site.wait_until_equal().await;
    site.nats.kill9();
    site.nats.restore_store(&empty).await;
    until("the lane to stop", DEADLINE, async || {
        let status = social.status().await.unwrap_or_default();
        let state = status["lanes"]["insurer-a.claim"]["state"].to_string();
        let is_found = state.contains("exchange restored or rewritten");
        if is_found { Ok(()) } else { Err(state) }
    })
    .await;
    let by = [
        "--actor",
        "li.na",
        "--reason",
        "it is lost",
        "--config",
        "social.toml",
    ];
    until("a new epoch", DEADLINE, async || {
        site.confirm_orders("social.toml", "nothing was ordered").await;
        let (is_open, output) = site.command(&[&REWIND[..], &by].concat()).await;
        if is_open { Ok(()) } else { Err(output) }
    })
    .await;
    site.core
        .execute("INSERT INTO claim (id, name) SELECT g, 'afterwards' FROM generate_series(200001, 200500) g")
        .await;
    site.wait_until_equal().await;

    site.store.execute("DELETE FROM claim WHERE id % 3 = 0").await;
    let refill = [
        "feed",
        "refill",
        "claim",
        "--from",
        "start",
        "--config",
        "poller.toml",
    ];
    let (is_whole, output) = site.command(&refill).await;
    let asks = output.contains("missing at the exchange") && output.contains("--from beginning");
    assert!(!is_whole && asks, "{output}");
    let beginning = [&REWIND[..6], &["beginning"]].concat();
    let by = [
        "--actor",
        "li.na",
        "--reason",
        "rows are lost",
        "--config",
        "social.toml",
    ];
    let (is_open, output) = site.command(&[&beginning[..], &by].concat()).await;
    assert!(is_open, "{output}");
    site.wait_until_equal().await;
    let (is_whole, output) = site.command(&refill).await;
    assert!(is_whole, "{output}");
    poller
        .wait_status(
            "the lane to be verified",
            "/lanes/insurer-a.claim/unverified",
            Value::is_null,
        )
        .await;
    site.wait_until_equal().await;
    site.assert_evidence_valid().await;
    social.stop().await;
    poller.stop().await;
}
