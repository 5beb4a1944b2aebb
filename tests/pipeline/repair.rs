//! Repairs of single rows: what is withheld stays withheld, a closed gate stays closed, and kills neither lose nor double rows.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::masking::{FEED, import, wait_stored_rows, write_list};
use super::order_commands::{add_hold, give_order, hold_id, wait_hold};
use super::reconcile::{repair, run, start_agents, try_repair, with_reconciliation};
use super::site::{DEADLINE, Site, assert_yielded};
use crate::gate_config::STOP_FILE_GATE;

/// Rows that the cursor skipped, hard deletes and changes without a new time; at the store, removed, altered and added rows.
async fn plant(site: &Site) {
    site.core
        .execute(
            "DELETE FROM claim WHERE id IN (10, 20); UPDATE claim SET id = 700011 WHERE id = 11;
             UPDATE claim SET amount = amount + 0.01 WHERE id = 12;
             INSERT INTO claim (id, updated_at, name, amount) VALUES (600001, '2025-12-31', 'skipped', 1.25)",
        )
        .await;
    site.store
        .execute(
            "DELETE FROM claim WHERE id = 7; UPDATE claim SET amount = amount + 0.01 WHERE id = 9;
             INSERT INTO claim SELECT 900008, updated_at, deleted, name, amount, memo, _slacktide_epoch, _slacktide_number
             FROM claim WHERE id = 8",
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn repair_keeps_masked_and_withheld_rows_hidden() {
    let mut site = Site::start("repair_hidden", 300, "mode = \"open\"").await;
    site.links.feeds = Some(FEED.to_owned());
    let secret = site.file("keys/masking.key");
    fs::write(&secret, "0123456789abcdef0123456789abcdef").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    // The first start writes the configuration; without the list the agent ends.
    let mut early = site.social_with("social", with_reconciliation);
    early.process.wait_exit(DEADLINE).await;
    write_list(&site, "2026-01-31", &[7, 11], 2);
    let (done, output) = import(&site).await;
    assert!(done, "{output}");
    let social = site.social_with("social", with_reconciliation);
    let poller = site.poller("poller");
    wait_stored_rows(&site, 298).await;
    site.store.execute("DELETE FROM claim WHERE id IN (5, 6)").await;
    // A row of a blocked person that the cursor skipped, and one whose key is gone at the core.
    site.core
        .execute(
            "INSERT INTO claim (id, updated_at, name, amount) VALUES (600001, '2025-12-31', 'person 7', 1.25);
             DELETE FROM claim WHERE id = 8",
        )
        .await;
    repair(&site).await;
    wait_stored_rows(&site, 297).await;
    let shown = "SELECT count(*) FROM claim WHERE name LIKE 'person%' OR id IN (7, 8, 11, 600001)";
    assert_eq!(site.store.number(shown).await, 0);
    let whole = "SELECT count(*) FROM claim WHERE id IN (5, 6) AND length(name) = 32";
    assert_eq!(site.store.number(whole).await, 2);
    site.assert_evidence_valid().await;
    for agent in [social, poller] {
        agent.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn repair_waits_for_the_gate() {
    let site = Site::start("repair_gate", 3_000, STOP_FILE_GATE).await;
    let (social, poller) = start_agents(&site).await;
    plant(&site).await;
    fs::write(site.file("stop"), "").unwrap();
    social
        .wait_status("the gate to close", "/gate/state", |state| state == "closed")
        .await;
    let read = social.status().await.unwrap()["driver"]["rows"].as_u64();
    let (done, output) = try_repair(&site, &["--timeout", "3s"]).await;
    assert!(!done, "{output}");
    let status = social.status().await.unwrap();
    assert_eq!(status["driver"]["rows"].as_u64(), read, "read while closed");
    assert_yielded(&status);
    fs::remove_file(site.file("stop")).unwrap();
    repair(&site).await;
    site.wait_until_equal().await;
    for agent in [social, poller] {
        agent.stop().await;
    }
}

/// A hold of the feed holds a repair too.
#[tokio::test(flavor = "multi_thread")]
async fn repair_waits_for_a_hold() {
    let site = Site::start("repair_hold", 1_000, "mode = \"open\"").await;
    let (social, poller) = start_agents(&site).await;
    plant(&site).await;
    add_hold(&site, "court order").await;
    wait_hold(&social, Some("court order")).await;
    let (done, output) = try_repair(&site, &["--timeout", "3s"]).await;
    assert!(!done, "{output}");
    give_order(&site, &["hold", "release", &hold_id(&site, "court order").await]).await;
    wait_hold(&social, None).await;
    repair(&site).await;
    site.wait_until_equal().await;
    for agent in [social, poller] {
        agent.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn repair_killed_at_random_loses_and_doubles_nothing() {
    let site = Site::start("repair_kills", 20_000, "mode = \"open\"").await;
    let (mut social, mut poller) = start_agents(&site).await;
    plant(&site).await;
    let mut rng = StdRng::seed_from_u64(11);
    let repairing = try_repair(&site, &["--timeout", "60s"]);
    tokio::pin!(repairing);
    let mut first = None;
    for _ in 0..6 {
        // The moment of the kill is the input of this test, not a wait for something.
        let pause = Duration::from_millis(rng.random_range(300..1_500));
        tokio::select! {
            done = &mut repairing, if first.is_none() => first = Some(done),
            () = tokio::time::sleep(pause) => {}
        }
        if rng.random_bool(0.6) {
            social.process.kill9();
            social = site.social_with("social", with_reconciliation);
        } else {
            poller.process.kill9();
            poller = site.poller("poller");
        }
    }
    if first.is_none() {
        repairing.await;
    }
    repair(&site).await;
    site.wait_until_equal().await;
    let (code, report) = run(&site, "run").await;
    assert_eq!(code, Some(0), "{report:#}");
    site.assert_evidence_valid().await;
    site.assert_ledger_gapless().await;
    for agent in [social, poller] {
        agent.stop().await;
    }
}

/// A business changes rows while they are repaired: the newer version stays.
#[tokio::test(flavor = "multi_thread")]
async fn repair_under_load_keeps_newer_versions() {
    let site = Site::start("repair_load", 20_000, "mode = \"open\"").await;
    let (social, poller) = start_agents(&site).await;
    site.core
        .execute("UPDATE claim SET amount = amount + 0.01 WHERE id % 100 = 0")
        .await;
    let (core, ended) = (site.core.clone(), Arc::new(AtomicBool::new(false)));
    let is_ended = Arc::clone(&ended);
    let business = tokio::spawn(async move {
        let mut rounds = 0;
        while !is_ended.load(Ordering::Relaxed) {
            rounds += 1;
            core.execute(&format!(
                "UPDATE claim SET name = 'round {rounds}', updated_at = now() WHERE id % 200 = 0; SELECT pg_sleep(0.05)"
            ))
            .await;
        }
        rounds
    });
    // It may leave rows that changed meanwhile.
    try_repair(&site, &[]).await;
    ended.store(true, Ordering::Relaxed);
    assert!(business.await.unwrap() > 1, "nothing changed during the repair");
    repair(&site).await;
    site.wait_until_equal().await;
    site.assert_evidence_valid().await;
    for agent in [social, poller] {
        agent.stop().await;
    }
}
