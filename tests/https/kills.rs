//! Agents over HTTPS, while gateway, agents and nats-server are killed at random moments, and rows and requests are written.
//!
//! `FLOW_KILLS` and `FLOW_ROWS` set the size: `make test-kills` runs 40 kills over 300,000 rows.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use exchange::port::Stream;
use harness::{Db, until};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::gateway_process::GatewayProcess;
use crate::pipeline::site::{Agent, DEADLINE, Site};
use crate::requests::cases::{RequestCase, request_case};
use crate::requests::request_site::RequestSite;

fn size(name: &str, default: u32) -> u32 {
    let given = std::env::var(name).ok();
    given.and_then(|number| number.parse().ok()).unwrap_or(default)
}

/// Changes rows until `stop`, and counts the transactions.
async fn business(core: Db, rows: u32, stop: Arc<AtomicBool>, done: Arc<AtomicU64>) {
    let (session, mut rng) = (core.connect().await, StdRng::seed_from_u64(11));
    let mut next = 1_000_000_000;
    while !stop.load(Ordering::Relaxed) {
        let id = rng.random_range(1..=rows);
        next += 1;
        let sql = format!(
            "BEGIN; INSERT INTO claim (id, name, amount) VALUES ({next}, 'new', {id} / 100.0); \
             UPDATE claim SET amount = amount + 0.01, updated_at = now() WHERE id = {id}; \
             UPDATE claim SET deleted = true, updated_at = now() WHERE id = {}; SELECT pg_sleep(0.01); COMMIT",
            id / 2 + 1
        );
        session.batch_execute(&sql).await.unwrap();
        done.fetch_add(1, Ordering::Relaxed);
    }
}

/// Returns the variables that make an agent use the gateway's token of a party.
fn environment(site: &Site, party: &str) -> Vec<(OsString, OsString)> {
    let file = |name: &str| site.file(name).display().to_string();
    [
        (
            "SLACKTIDE_EXCHANGE__TOKEN",
            format!("{{ file = \"{}\" }}", file(&format!("{party}.token"))),
        ),
        (
            "SLACKTIDE_EXCHANGE__TLS",
            format!("{{ ca = \"{}\" }}", file("ca.pem")),
        ),
    ]
    .map(|(name, value)| (name.into(), value.into()))
    .to_vec()
}

fn start(site: &mut Site, name: &str) -> Agent {
    if name.starts_with("social") {
        site.links.env = environment(site, "bureau");
        site.social(name)
    } else {
        site.links.env = environment(site, "insurer-a");
        site.poller(name)
    }
}

/// What is killed next: the gateway as often as all others together.
fn victim(rng: &mut StdRng, agents: &[&'static str]) -> &'static str {
    if rng.random_bool(0.5) {
        return "gateway";
    }
    agents
        .get(rng.random_range(0..=agents.len()))
        .copied()
        .unwrap_or("nats-server")
}

#[tokio::test(flavor = "multi_thread")]
async fn https_site_killed_at_random_loses_and_doubles_nothing() {
    let (kills, rows) = (size("FLOW_KILLS", 12), size("FLOW_ROWS", 30_000));
    let mut site = Site::start("https", rows, "mode = \"open\"").await;
    let folder = site.file(".");
    let mut gateway = GatewayProcess::start(&folder, &site.nats.url(), &["bureau", "insurer-a"]).await;
    site.links.exchange = [Some(gateway.url()), Some(gateway.url())];
    let names = ["social-1", "social-2", "poller-1", "poller-2"];
    let mut agents = BTreeMap::new();
    for name in names {
        agents.insert(name, start(&mut site, name));
    }
    let (stop, transactions) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let business = tokio::spawn(business(
        site.core.clone(),
        rows,
        Arc::clone(&stop),
        Arc::clone(&transactions),
    ));
    let mut rng = StdRng::seed_from_u64(7);
    let mut killed: BTreeMap<&str, u32> = BTreeMap::new();
    for _ in 0..kills {
        // The moments of kill and restart are the input of this test, not a wait for something.
        tokio::time::sleep(Duration::from_millis(rng.random_range(100..1_500))).await;
        let victim = victim(&mut rng, &names);
        *killed.entry(victim).or_default() += 1;
        let pause = Duration::from_millis(rng.random_range(0..800));
        match victim {
            "gateway" => {
                gateway.kill9();
                tokio::time::sleep(pause).await;
                gateway.restart().await;
            }
            "nats-server" => {
                site.nats.kill9();
                tokio::time::sleep(pause).await;
                site.nats.restart().await;
            }
            name => {
                if let Some(mut agent) = agents.remove(name) {
                    agent.process.kill9();
                }
                agents.insert(name, start(&mut site, name));
            }
        }
    }
    stop.store(true, Ordering::Relaxed);
    business.await.unwrap();
    site.wait_until_equal().await;
    site.assert_evidence_valid().await;
    until("the ledger without gaps", DEADLINE, async || {
        site.store.number("SELECT count(*) FROM slacktide.ledger").await
            == site
                .store
                .number("SELECT max(number) FROM slacktide.ledger")
                .await
    })
    .await;
    site.assert_ledger_gapless().await;
    eprintln!(
        "killed: {killed:?}; {rows} rows and {} transactions: {} rows equal on both sides, {} chunks without a gap or a double",
        transactions.load(Ordering::Relaxed),
        site.store.number("SELECT count(*) FROM claim").await,
        site.store.number("SELECT count(*) FROM slacktide.ledger").await,
    );
    for (_, agent) in agents {
        agent
            .wait_status("the connection", "/exchange/state", |state| state == "connected")
            .await;
        agent.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn https_site_killed_at_random_leaves_one_outcome_each() {
    let kills = size("FLOW_KILLS", 8);
    let mut site = RequestSite::start("https_requests", 20_000, "mode = \"open\"").await;
    let folder = site.file(".");
    let mut gateway = GatewayProcess::start(&folder, &site.nats.url(), &["bureau", "insurer-a"]).await;
    site.gateway = Some(gateway.url());
    let names = ["bureau-1", "bureau-2", "insurer-a-1", "insurer-a-2"];
    let run = |site: &RequestSite, name: &str| {
        if name.starts_with("bureau") {
            site.social(name)
        } else {
            site.commercial("insurer-a", name)
        }
    };
    let mut agents = BTreeMap::new();
    for name in names {
        agents.insert(name, run(&site, name));
    }
    for name in &names[2..] {
        agents[name]
            .wait_status("the store to be prepared", "/is_prepared", |is| *is == true)
            .await;
    }
    let mut rng = StdRng::seed_from_u64(13);
    let mut killed: BTreeMap<&str, u32> = BTreeMap::new();
    let mut filed = 0;
    for _ in 0..kills {
        let more: Vec<RequestCase> = (filed..filed + 30)
            .map(|n| request_case(n, "insurer-a"))
            .collect();
        filed += 30;
        site.write_outbox_of_a(&more).await;
        tokio::time::sleep(Duration::from_millis(rng.random_range(100..1_000))).await;
        let victim = victim(&mut rng, &names);
        *killed.entry(victim).or_default() += 1;
        match victim {
            "gateway" => {
                gateway.kill9();
                gateway.restart().await;
            }
            "nats-server" => {
                site.nats.kill9();
                site.nats.restart().await;
            }
            name => {
                if let Some(mut agent) = agents.remove(name) {
                    agent.process.kill9();
                }
                agents.insert(name, run(&site, name));
            }
        }
    }
    site.wait_stream(Stream::Confirms, filed as usize).await;
    let replies = site.stream(Stream::Replies).await;
    let subjects: BTreeSet<&str> = replies.iter().map(|reply| reply.subject.as_str()).collect();
    assert_eq!((replies.len(), subjects.len()), (filed as usize, filed as usize));
    site.assert_answers_stored_once(&replies).await;
    eprintln!("killed: {killed:?}; {filed} requests, {} outcomes", replies.len());
    for (_, agent) in agents {
        agent.stop().await;
    }
}
