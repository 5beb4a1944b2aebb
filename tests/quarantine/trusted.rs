//! A key that is trusted later.

use std::fs;
use std::time::Duration;

use harness::until;
use schemas::sign::SigningKey;

use super::commands::{OPEN, ids, list};
use super::forged_chunk::{forged, publish};
use crate::pipeline::site::Site;

/// The publisher continues after the chunk once it trusts its key. The poller trusts it later, and has stored newer chunks of
/// the same rows when the retry comes.
#[tokio::test(flavor = "multi_thread")]
async fn quarantine_message_is_stored_under_current_trust() {
    let site = Site::start("quarantine_trust", 500, OPEN).await;
    let (social, poller) = (site.social("social"), site.poller("poller"));
    site.wait_until_equal().await;
    social.stop().await;
    let key = SigningKey::generate();
    let rows = [(1, "older"), (2, "older"), (70_001, "of the other key")];
    publish(&site, forged(&site, &key, &rows).await).await;
    poller
        .wait_status("it in quarantine", "/quarantined", |count| *count == 1)
        .await;

    let text = with_trusted_key(&site, "social", &key);
    with_trusted_key(&site, "poller", &key);
    let port = text.split_once("listen = \"127.0.0.1:").unwrap().1;
    let port = port.split_once('"').unwrap().0.parse().unwrap();
    let social = site.agent("social-trusting", "social", &text, port);
    site.core
        .execute("UPDATE claim SET name = 'newer', updated_at = now() WHERE id = 1")
        .await;
    until("the newer version", Duration::from_secs(60), async || {
        let newer = "SELECT count(*) FROM claim WHERE id = 1 AND name = 'newer'";
        (site.store.number(newer).await == 1).then_some(())
    })
    .await;
    until(
        "the receipt to list the number",
        Duration::from_secs(60),
        async || {
            let reported = ids(&list(&site, "social-trusting.toml").await, "reported");
            (reported.len() == 1).then_some(())
        },
    )
    .await;

    let id = ids(&list(&site, "poller.toml").await, "message").remove(0);
    let retry = |config| {
        [
            "quarantine",
            "retry",
            &id,
            "--reason",
            "key compared",
            "--config",
            config,
        ]
    };
    let (is_ok, output) = site.command(&retry("poller.toml")).await;
    assert!(!is_ok && output.contains("not a trusted key"), "{output}");
    for expected in ["released: 3 rows", "was already released"] {
        let (is_ok, output) = site.command(&retry("poller-trusting.toml")).await;
        assert!(is_ok && output.contains(expected), "{output}");
        let names = site
            .store
            .query("SELECT name FROM claim WHERE id IN (1, 2, 70001) ORDER BY id")
            .await;
        let names: Vec<String> = names.iter().map(|row| row.get(0)).collect();
        assert_eq!(names, ["newer", "older", "of the other key"]);
    }
    until(
        "the receipt to list nothing",
        Duration::from_secs(60),
        async || list(&site, "social-trusting.toml").await.is_empty().then_some(()),
    )
    .await;
    social.stop().await;
    poller.stop().await;
}

/// Returns the configuration with one more trusted key.
fn with_trusted_key(site: &Site, name: &str, key: &SigningKey) -> String {
    let text = fs::read_to_string(site.file(&format!("{name}.toml"))).unwrap();
    let text = if name == "social" {
        text.replace(
            "[trust.receipts]",
            &format!("[trust]\nchunks = [\"{}\"]\n[trust.receipts]", key.public()),
        )
    } else {
        text.replace("chunks = [", &format!("chunks = [\"{}\", ", key.public()))
    };
    fs::write(site.file(&format!("{name}-trusting.toml")), &text).unwrap();
    text
}
