//! kill -9 at random moments, while a business inserts, updates and deletes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use harness::{Db, until};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::site::{Agent, Site};

/// Runs transactions of a few statements; some stay open for a while and commit late.
async fn business(core: Db, seed: u64, rows: u32, stop: Arc<AtomicBool>) {
    let (session, mut rng) = (core.connect().await, StdRng::seed_from_u64(seed));
    let mut next = 1_000_000_000 * (seed + 1);
    while !stop.load(Ordering::Relaxed) {
        session.batch_execute("BEGIN").await.unwrap();
        for _ in 0..rng.random_range(1..20) {
            let id = rng.random_range(1..=rows);
            next += 1;
            let sql = match rng.random_range(0..10) {
                0..=3 => format!("INSERT INTO claim (id, name, amount) VALUES ({next}, 'new', {id} / 100.0)"),
                4..=7 => format!(
                    "UPDATE claim SET amount = amount + 0.01, deleted = false, updated_at = now() WHERE id = {id}"
                ),
                _ => format!("UPDATE claim SET deleted = true, updated_at = now() WHERE id = {id}"),
            };
            session.batch_execute(&sql).await.unwrap();
        }
        let late = if rng.random_bool(0.05) {
            "SELECT pg_sleep(0.7); COMMIT"
        } else {
            "SELECT pg_sleep(0.005); COMMIT"
        };
        // Two businesses may deadlock; the database rolls one of them back.
        if session.batch_execute(late).await.is_err() {
            let _ = session.batch_execute("ROLLBACK").await;
        }
    }
}

/// `FLOW_KILLS` and `FLOW_ROWS` set the size: a release is tested with 50 kills over a million rows.
#[tokio::test(flavor = "multi_thread")]
async fn agent_killed_at_random_loses_and_doubles_nothing() {
    let asked = |name: &str, default: u32| {
        std::env::var(name)
            .ok()
            .and_then(|n| n.parse().ok())
            .unwrap_or(default)
    };
    let (kills, rows) = (asked("FLOW_KILLS", 14), asked("FLOW_ROWS", 60_000));
    let mut site = Site::start("faults", rows, "mode = \"open\"").await;
    let mut agents: Vec<(String, Agent)> = Vec::new();
    for name in ["social-1", "social-2", "poller-1", "poller-2"] {
        agents.push((name.to_owned(), start(&site, name)));
    }
    let stop = Arc::new(AtomicBool::new(false));
    let businesses: Vec<_> = (0..2)
        .map(|seed| tokio::spawn(business(site.core.clone(), seed, rows, Arc::clone(&stop))))
        .collect();
    let mut rng = StdRng::seed_from_u64(7);
    for _ in 0..kills {
        // The moment of the kill is the input of this test, not a wait for something.
        tokio::time::sleep(Duration::from_millis(rng.random_range(100..1_200))).await;
        let victim = rng.random_range(0..=agents.len());
        match agents.get_mut(victim) {
            Some((name, agent)) => {
                agent.process.kill9();
                *agent = start(&site, name);
            }
            None => {
                site.nats.kill9();
                site.nats.restart().await;
            }
        }
    }
    stop.store(true, Ordering::Relaxed);
    for business in businesses {
        business.await.unwrap();
    }
    site.wait_until_equal().await;
    site.assert_evidence_valid().await;
    until("the ledger without gaps", Duration::from_secs(60), async || {
        site.store.number("SELECT count(*) FROM slacktide.ledger").await
            == site
                .store
                .number("SELECT max(number) FROM slacktide.ledger")
                .await
    })
    .await;
    site.assert_ledger_gapless().await;
    for (_, agent) in agents {
        agent.stop().await;
    }
}

fn start(site: &Site, name: &str) -> Agent {
    if name.starts_with("social") {
        site.social(name)
    } else {
        site.poller(name)
    }
}
