//! A message on a lane's subject that is not a chunk, published with the bureau's own credential.

use std::fs;

use exchange::FeedExchange;
use nats::{JetStream, Options};
use schemas::name::Lane;

use super::site::Site;

#[tokio::test(flavor = "multi_thread")]
async fn poison_message_is_quarantined_until_an_operator_skips_it() {
    let site = Site::start("poison", 2_000, "mode = \"open\"").await;
    let (social, poller) = (site.social("social"), site.poller("poller"));
    site.wait_until_equal().await;
    social.stop().await;

    let seed = fs::read_to_string(site.file("keys/bureau/connect.seed")).unwrap();
    let bureau = JetStream::connect(Options::command(site.nats.url(), "bureau", seed.trim()))
        .await
        .unwrap();
    let lane = Lane {
        recipient: "insurer-a".parse().unwrap(),
        feed: "claim".parse().unwrap(),
    };
    let tail = bureau.last_chunk(&lane).await.unwrap().unwrap().sequence;
    bureau
        .publish_chunk(&lane, bytes::Bytes::from_static(b"no chunk at all"), tail)
        .await
        .unwrap();
    poller
        .wait_status("the poison in quarantine", "/quarantined", |count| count == 1)
        .await;
    assert_eq!(
        site.store
            .number("SELECT count(*) FROM slacktide.quarantine")
            .await,
        1
    );

    // The publisher does not continue from an untrusted tail, and shows that.
    let social = site.social("social-again");
    let state = "/lanes/insurer-a.claim/state";
    social
        .wait_status("the lane to stop", state, |text| {
            text.as_str()
                .is_some_and(|text| text.contains("cannot be trusted"))
        })
        .await;
    site.rewind("social-again.toml", "a stray message").await;
    site.core
        .execute("INSERT INTO claim (id, name) SELECT g, 'afterwards' FROM generate_series(200001, 200100) g")
        .await;
    site.wait_until_equal().await;
    // The auditor names the position.
    let (is_valid, output) = site
        .command(&["audit", "verify", "--config", "auditor.toml"])
        .await;
    assert!(
        !is_valid && output.contains("data.insurer-a.claim at sequence"),
        "{output}"
    );
    social.stop().await;
    poller.stop().await;
}
