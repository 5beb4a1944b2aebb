//! SIGTERM, an unreachable exchange, a full stream.

use super::claims;
use super::files::OPEN;
use super::site::Site;
use harness::workspace;
use std::fs;

#[tokio::test]
async fn agents_wait_for_the_exchange_and_survive_a_disconnect() {
    let mut site = Site::start().await;
    claims::create(&site, 20_000).await;
    site.nats.stop().await;
    site.start_social("s1", OPEN);
    site.start_poller("c1");
    site.nats.restart().await;
    site.wait_status("s1", "has published", |status| {
        status["lanes"]["insurer-a.claim"]["chunks"].as_u64() > Some(0)
    })
    .await;
    site.nats.suspend();
    claims::add(&site.core, 100_001, 101_000).await;
    // The exchange does not answer for longer than the lease lasts.
    site.wait_status("s1", "has lost its lease", |status| {
        status["lease"]["held"] == false
    })
    .await;
    site.nats.resume();
    claims::wait_until_equal(&site).await;
    site.stop("s1").await;
    claims::add(&site.core, 200_001, 220_000).await;
    site.start_social("s1", OPEN);
    site.stop("c1").await;
    site.start_poller("c1");
    claims::wait_until_equal(&site).await;
    site.assert_chain_valid(2).await;
}

/// Returns the shipped topology with another size of the stream of chunks.
fn topology(site: &Site, max_bytes: &str) {
    fs::create_dir_all(site.path("nats")).unwrap();
    fs::copy(
        workspace().join("nats/parties.toml"),
        site.path("nats/parties.toml"),
    )
    .unwrap();
    for part in ["streams", "consumers"] {
        fs::create_dir_all(site.path("nats").join(part)).unwrap();
        for file in fs::read_dir(workspace().join("nats").join(part)).unwrap() {
            let file = file.unwrap();
            let text = fs::read_to_string(file.path()).unwrap();
            let text = if file.file_name() == "data.toml" {
                let (before, behind) = text.split_once("max_bytes = ").unwrap();
                let (_, after) = behind.split_once('\n').unwrap();
                format!("{before}max_bytes = {max_bytes}\n{after}")
            } else {
                text
            };
            fs::write(site.path("nats").join(part).join(file.file_name()), text).unwrap();
        }
    }
}

#[tokio::test]
async fn stream_full_is_shown_and_continues_when_raised() {
    let mut site = Site::start().await;
    claims::create(&site, 60_000).await;
    let apply = [
        "exchange",
        "apply",
        "--yes",
        "--force",
        "--config",
        "admin.toml",
        "--dir",
        "nats",
    ];
    topology(&site, "200_000");
    let made = site.command(&apply).await;
    assert!(made.status.success(), "{}{}", made.stdout, made.stderr);
    site.start_social("s1", OPEN);
    site.start_poller("c1");
    site.wait_status("s1", "shows that the stream is full", |status| {
        let lane = &status["lanes"]["insurer-a.claim"];
        format!("{}{}", lane["last_error"], lane["state"]).contains("maximum bytes exceeded")
    })
    .await;
    topology(&site, "4_294_967_296");
    let made = site.command(&apply).await;
    assert!(made.status.success(), "{}{}", made.stdout, made.stderr);
    claims::wait_until_equal(&site).await;
    site.assert_chain_valid(1).await;
}
