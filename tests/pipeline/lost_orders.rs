//! A pause and a hold are given after the copy was made, and the exchange is restored from it: nothing is delivered until an
//! operator confirms the orders.

use harness::until;
use serde_json::Value;

use super::order_commands::{WHO, add_hold, give_order, hold_id, wait_gate_reason, wait_hold};
use super::site::{Agent, DEADLINE, REWIND, Site, with_long_lease};

const OPEN: &str = "mode = \"open\"";
const CLAIMS: &str = "SELECT count(*) FROM claim";

fn with_record_file(text: String) -> String {
    with_long_lease(text).replacen(
        "source = \"core\"\n",
        "source = \"core\"\nhigh_water = \"orders.high-water\"\n",
        1,
    )
}

async fn wait_record(agent: &Agent, wanted: u64) {
    agent
        .wait_status("the record", "/orders/record/number", |number| *number == wanted)
        .await;
}

async fn add_rows(site: &Site, from: i64) {
    let sql = format!(
        "INSERT INTO claim (id, name, amount) SELECT {from} + g, 'later ' || g, 1.00 FROM generate_series(1, 50) g"
    );
    site.core.execute(&sql).await;
}

/// Asserts that every status surface shows that the agent's orders are behind, and why.
async fn assert_orders_behind(site: &Site, agent: &Agent, named_by: &str) {
    let reason = agent
        .wait_status("the lost record", "/orders/reason", |why| {
            why.as_str()
                .is_some_and(|why| why.contains(named_by) && why.contains("orders confirm --record"))
        })
        .await;
    assert_eq!(
        agent.status().await.unwrap()["orders"]["state"],
        "behind",
        "{reason}"
    );
    agent
        .wait_status("a closed gate", "/gate/state", |state| state == "closed")
        .await;
    let page = agent.wait_page("/readyz", 503).await;
    assert!(page.contains("orders confirm"), "{page}");
    let metrics = agent.page("/metrics").await.unwrap().body;
    assert!(metrics.contains("slacktide_orders_behind 1"), "{metrics}");
    let (_, screen) = site.command_stdout(&["status", "--config", "social.toml"]).await;
    assert!(screen.contains("orders confirm"), "{screen}");
}

/// Gives some of the lost orders again, confirms, and continues.
async fn confirm_and_continue(site: &Site, agent: &Agent) {
    // More orders than were lost: their numbers pass the lost record's, which stays lost.
    add_hold(site, "court order, again").await;
    for _ in 0..3 {
        give_order(site, &["gate", "limit", "--duty", "100%"]).await;
    }
    let (code, shown) = site
        .command_stdout(&["orders", "show", "--json", "--config", "social.toml"])
        .await;
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(code, Some(7), "{shown}");
    let lost = shown["lost"]["number"].as_u64().unwrap();
    let here = shown["record"]["number"].as_u64().unwrap();
    assert!(here >= lost, "{shown}");
    // Wait until the agent has seen the newest record.
    agent
        .wait_status("the newest record", "/orders/reason", |why| {
            let here = format!("the exchange holds record {here}:");
            why.as_str().is_some_and(|why| why.contains(&here))
        })
        .await;
    let (is_open, output) = site.command(&[&REWIND[..], &WHO].concat()).await;
    assert!(!is_open && output.contains("orders confirm"), "{output}");
    let wrong_record = format!("{here}:{}", "ab".repeat(32));
    let confirm = ["orders", "confirm", "--record", &wrong_record];
    let (is_done, output) = site.command(&[&confirm[..], &WHO].concat()).await;
    assert!(
        !is_done && output.contains("not the one that was named"),
        "{output}"
    );
    site.confirm_orders(
        "social.toml",
        "the pause was taken back, the hold was given again",
    )
    .await;
    agent
        .wait_status("the confirmed orders", "/orders/state", |state| {
            state == "in force"
        })
        .await;
    wait_hold(agent, Some("court order, again")).await;
    let (_, entries) = site
        .command(&["audit", "replay", "--config", "auditor.toml", "--stream", "audit"])
        .await;
    let named = format!("\"lost\":\"{lost}:");
    assert!(
        entries.contains("orders.confirm.order") && entries.contains(&named),
        "{entries}"
    );
    give_order(
        site,
        &["hold", "release", &hold_id(site, "court order, again").await],
    )
    .await;
}

/// The copy is consistent: only the host's own file shows what is missing.
#[tokio::test(flavor = "multi_thread")]
async fn lost_orders_of_a_full_restore_are_found_by_the_local_file() {
    let mut site = Site::start("lost_orders_file", 100, OPEN).await;
    let (social, poller) = (
        site.social_with("social", with_record_file),
        site.poller("poller"),
    );
    site.wait_until_equal().await;
    give_order(&site, &["gate", "limit", "--duty", "100%"]).await;
    wait_record(&social, 1).await;
    social.stop().await;
    site.nats.stop().await;
    let copy = site.nats.copy_store();
    site.nats.restart().await;
    add_hold(&site, "court order").await;
    give_order(&site, &["gate", "pause"]).await;
    site.nats.restore_store(&copy).await;
    add_rows(&site, 1_000).await;

    let social = site.social_with("social", with_record_file);
    assert_orders_behind(&site, &social, "orders.high-water").await;
    assert_nothing_read(&social).await;
    assert_eq!(site.store.number(CLAIMS).await, 100, "rows were delivered");
    confirm_and_continue(&site, &social).await;
    site.wait_until_equal().await;
    site.assert_evidence_valid().await;
    social.stop().await;
    poller.stop().await;
}

async fn assert_nothing_read(agent: &Agent) {
    let status = agent.status().await.unwrap();
    assert_eq!(status["driver"]["rows"], 0, "the core was read: {status}");
    assert_eq!(status["gate"]["openings"], 0, "the gate was open: {status}");
}

/// Without the file: the running agent remembers the record, and its lease names it to the next agent.
#[tokio::test(flavor = "multi_thread")]
async fn lost_orders_are_found_by_the_agent_and_by_its_successor() {
    let mut site = Site::start("lost_orders_agent", 100, OPEN).await;
    let (social, poller) = (site.social("social"), site.poller("poller"));
    site.wait_until_equal().await;
    give_order(&site, &["gate", "limit", "--duty", "100%"]).await;
    wait_record(&social, 1).await;
    site.nats.stop().await;
    let copy = site.nats.copy_store();
    site.nats.restart().await;
    until("the exchange to take an order", DEADLINE, async || {
        let words = [
            "hold",
            "add",
            "--feed",
            "claim",
            "--config",
            "social.toml",
            "--actor",
            "li.na",
            "--reason",
            "court order",
        ];
        let (is_done, output) = site.command(&words).await;
        if is_done { Ok(()) } else { Err(output) }
    })
    .await;
    wait_hold(&social, Some("court order")).await;
    give_order(&site, &["gate", "pause"]).await;
    wait_gate_reason(&social, "paused").await;
    site.nats.restore_store(&copy).await;
    add_rows(&site, 1_000).await;
    assert_orders_behind(&site, &social, "this agent").await;
    // The successor never saw them: the lease that the first agent released names them.
    social.stop().await;
    let social = site.social("social");
    assert_orders_behind(&site, &social, "the lease of core").await;
    assert_nothing_read(&social).await;
    assert_eq!(site.store.number(CLAIMS).await, 100, "rows were delivered");
    confirm_and_continue(&site, &social).await;
    site.wait_until_equal().await;
    site.assert_evidence_valid().await;
    social.stop().await;
    poller.stop().await;
}

/// Only the orders are from an older copy: the lane's last chunk names the lost record.
#[tokio::test(flavor = "multi_thread")]
async fn lost_orders_are_found_by_the_last_chunk_of_a_lane() {
    let site = Site::start("lost_orders_chunk", 100, OPEN).await;
    let (social, poller) = (site.social_with("social", with_long_lease), site.poller("poller"));
    site.wait_until_equal().await;
    give_order(&site, &["gate", "limit", "--duty", "100%"]).await;
    wait_record(&social, 1).await;
    let admin = nats::topology::Admin::new(super::order_commands::connect(&site, "admin").await);
    // Orders that the copy does not hold: chunks are published under them.
    add_hold(&site, "court order").await;
    give_order(&site, &["hold", "release", &hold_id(&site, "court order").await]).await;
    wait_record(&social, 3).await;
    add_rows(&site, 1_000).await;
    site.wait_until_equal().await;
    social.stop().await;
    // The lease is restored too.
    for stream in ["CONTROL_bureau", "LEASES"] {
        let subject = format!("STREAM.PURGE.{stream}");
        admin.api(&subject, &serde_json::json!({})).await.unwrap();
    }
    add_rows(&site, 2_000).await;
    let social = site.social_with("social", with_long_lease);
    assert_orders_behind(&site, &social, "the last chunk of lane insurer-a.claim").await;
    assert_nothing_read(&social).await;
    site.confirm_orders("social.toml", "nothing is ordered").await;
    site.wait_until_equal().await;
    site.assert_evidence_valid().await;
    social.stop().await;
    poller.stop().await;
}
