//! Agents over HTTPS, while the gateway is killed at random moments and rows are written.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use harness::{Db, until};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::certificates::Certificates;
use super::gateway_server::{GatewayServer, Party, Setup, wide_limits};
use super::scene::token;
use crate::pipeline::site::{DEADLINE, Site};

const KILLS: u32 = 8;
const ROWS: u32 = 30_000;

/// Changes rows until `stop`.
async fn business(core: Db, stop: Arc<AtomicBool>) {
    let (session, mut rng) = (core.connect().await, StdRng::seed_from_u64(11));
    let mut next = 1_000_000_000;
    while !stop.load(Ordering::Relaxed) {
        let id = rng.random_range(1..=ROWS);
        next += 1;
        let sql = format!(
            "BEGIN; INSERT INTO claim (id, name, amount) VALUES ({next}, 'new', {id} / 100.0); \
             UPDATE claim SET amount = amount + 0.01, updated_at = now() WHERE id = {id}; \
             UPDATE claim SET deleted = true, updated_at = now() WHERE id = {}; SELECT pg_sleep(0.01); COMMIT",
            id / 2 + 1
        );
        session.batch_execute(&sql).await.unwrap();
    }
}

/// Writes the token of a party, and returns the variables that make an agent use it.
fn environment(site: &Site, party: &str) -> Vec<(OsString, OsString)> {
    let path = site.file(&format!("{party}.token"));
    fs::write(&path, token(party)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    [
        (
            "SLACKTIDE_EXCHANGE__TOKEN",
            format!("{{ file = \"{}\" }}", path.display()),
        ),
        (
            "SLACKTIDE_EXCHANGE__TLS",
            format!("{{ ca = \"{}\" }}", site.file("ca.pem").display()),
        ),
    ]
    .map(|(name, value)| (name.into(), value.into()))
    .to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn gateway_killed_at_random_loses_and_doubles_nothing() {
    let mut site = Site::start("https", ROWS, "mode = \"open\"").await;
    let certificates = Certificates::write(site.file("ca.pem").parent().unwrap());
    let party = |name: &str| Party {
        name: name.to_owned(),
        seed: fs::read_to_string(site.file("keys").join(name).join("connect.seed"))
            .unwrap()
            .trim()
            .to_owned(),
        token: token(name),
    };
    let mut gateway = GatewayServer::start(Setup {
        nats: site.nats.url(),
        parties: ["bureau", "insurer-a"].map(party).to_vec(),
        tls: Some(certificates.server()),
        limits: wide_limits(),
    })
    .await;
    site.links.exchange = [Some(gateway.url()), Some(gateway.url())];
    site.links.env = environment(&site, "bureau");
    let social = site.social("social");
    site.links.env = environment(&site, "insurer-a");
    let poller = site.poller("poller");
    let stop = Arc::new(AtomicBool::new(false));
    let business = tokio::spawn(business(site.core.clone(), Arc::clone(&stop)));
    let mut rng = StdRng::seed_from_u64(7);
    for _ in 0..KILLS {
        // The moments of kill and restart are the input of this test, not a wait for something.
        tokio::time::sleep(Duration::from_millis(rng.random_range(100..1_500))).await;
        gateway.kill().await;
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..800))).await;
        gateway.restart().await;
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
    for agent in [&social, &poller] {
        agent
            .wait_status("the connection", "/exchange/state", |state| state == "connected")
            .await;
    }
    social.stop().await;
    poller.stop().await;
}
