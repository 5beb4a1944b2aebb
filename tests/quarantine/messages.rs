//! An unreadable message and an untrusted message.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use schemas::sign::SigningKey;

use super::commands::{OPEN, actions, ids, json, list};
use super::forged_chunk::{forged, publish};
use crate::pipeline::site::{REWIND, Site};

/// A readable chunk with an untrusted signature stops its lane at the bureau. An operator discards it and opens a new epoch
/// after it.
#[tokio::test(flavor = "multi_thread")]
async fn quarantine_untrusted_tail_is_discarded_and_feed_continues() {
    let site = Site::start("quarantine_tail", 2_000, OPEN).await;
    let (social, poller) = (site.social("social"), site.poller("poller"));
    site.wait_until_equal().await;
    social.stop().await;
    let rogue = SigningKey::generate();
    publish(
        &site,
        forged(&site, &rogue, &[(1, "forged"), (90_001, "forged")]).await,
    )
    .await;
    publish(&site, b"no chunk at all".to_vec()).await;
    // After the unreadable message, the chunk can only continue from the number that the tail claims.
    poller
        .wait_status("both in quarantine", "/quarantined", |count| *count == 2)
        .await;
    // The tail again: signed with the wrong key.
    let forgery = publish_forged_tail(&site, &rogue).await;
    poller
        .wait_status("all in quarantine", "/quarantined", |count| *count == 3)
        .await;

    let social = site.social("social-again");
    social
        .wait_status("the lane to stop", "/lanes/insurer-a.claim/state", |text| {
            text.as_str()
                .is_some_and(|text| text.contains("cannot be trusted"))
        })
        .await;
    let operator_args = [
        "--actor",
        "li.na",
        "--reason",
        "try",
        "--config",
        "social-again.toml",
    ];
    let (is_ok, output) = site.command(&[&REWIND[..], &operator_args].concat()).await;
    assert!(!is_ok && output.contains("not a trusted key"), "{output}");

    let tails = ids(&list(&site, "social-again.toml").await, "tail");
    assert_eq!(tails, std::slice::from_ref(&forgery));
    let config = ["--config", "social-again.toml"];
    let (is_ok, output) = site
        .command(&[["quarantine", "retry", &tails[0][..10]].as_slice(), &config].concat())
        .await;
    assert!(!is_ok && output.contains("[trust]"), "{output}");
    let why = ["--actor", "li.na", "--reason", "signed by an unknown key"];
    let (is_ok, output) = site
        .command(
            &[
                ["quarantine", "discard", &tails[0][..10]].as_slice(),
                &why,
                &config,
            ]
            .concat(),
        )
        .await;
    assert!(is_ok && output.contains("discarded; epoch"), "{output}");
    site.core
        .execute("INSERT INTO claim (id, name) SELECT g, 'afterwards' FROM generate_series(200001, 200100) g")
        .await;
    site.wait_until_equal().await;
    assert!(
        list(&site, "social-again.toml")
            .await
            .iter()
            .all(|entry| entry["kind"] != "tail")
    );
    assert_insurer_discards(&site, &rogue, &forgery).await;
    site.wait_until_equal().await;
    social.stop().await;
    poller.stop().await;
}

/// Publishes a forged chunk after the forged tail; returns the id of its quarantine entry.
async fn publish_forged_tail(site: &Site, key: &SigningKey) -> String {
    // The tail is not a chunk, so a forged chunk may claim any number: here that of the first forgery.
    let entries = list(site, "poller.toml").await;
    let first = entries.iter().find(|entry| !entry["number"].is_null()).unwrap();
    let export = [
        "quarantine",
        "export",
        first["id"].as_str().unwrap(),
        "--out",
        "first.jsonl",
        "--reason",
        "test",
    ];
    let (is_ok, output) = site
        .command(&[export.as_slice(), &["--config", "poller.toml"]].concat())
        .await;
    assert!(is_ok, "{output}");
    let lines = fs::read_to_string(site.file("first.jsonl")).unwrap();
    let one: serde_json::Value = serde_json::from_str(lines.lines().nth(1).unwrap()).unwrap();
    let hex = one["hex"].as_str().unwrap();
    let bytes: Vec<u8> = (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect();
    let envelope = schemas::envelope::Envelope::decode(&bytes).unwrap();
    let mut manifest: schemas::manifest::Manifest = envelope.read().unwrap();
    manifest.previous = Some(envelope.digest());
    manifest.number += 1;
    manifest.content.totals = schemas::manifest::Totals::default();
    let bytes = schemas::chunk::SignedChunk::sign(manifest, &[], key, None)
        .unwrap()
        .bytes;
    let id = schemas::digest::Digest::of(&[&bytes]).to_string();
    publish(site, bytes).await;
    id
}

async fn assert_insurer_discards(site: &Site, rogue: &SigningKey, forgery: &str) {
    let messages = ids(&list(site, "poller.toml").await, "message");
    assert_eq!(messages.len(), 3);
    // Opened under the current trust, they are still refused.
    let retry = ["quarantine", "retry", "--all", "--config", "poller.toml"];
    let (is_ok, output) = json(site, &retry).await;
    assert!(!is_ok && output["left"] == 3, "{output}");

    let export = [
        "quarantine",
        "export",
        "--all",
        "--out",
        "all.jsonl",
        "--reason",
        "for the bureau",
    ];
    let (is_ok, output) = site
        .command(&[export.as_slice(), &["--config", "poller.toml"]].concat())
        .await;
    assert!(is_ok && output.contains("personal data"), "{output}");
    let mode = fs::metadata(site.file("all.jsonl")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let (is_ok, output) = json(site, &["quarantine", "check", "all.jsonl"]).await;
    assert!(
        is_ok && output["items"].as_array().unwrap().len() == 3,
        "{output}"
    );
    let key = rogue.public().to_string();
    let (is_ok, output) = json(site, &["quarantine", "check", "all.jsonl", "--trust", &key]).await;
    let opens = |entry: &&serde_json::Value| entry["rows"].is_u64();
    assert!(
        !is_ok && output["items"].as_array().unwrap().iter().filter(opens).count() == 2,
        "{output}"
    );
    let altered =
        fs::read_to_string(site.file("all.jsonl"))
            .unwrap()
            .replacen("\"hex\":\"9", "\"hex\":\"8", 1);
    fs::write(site.file("altered.jsonl"), altered).unwrap();
    let (is_ok, output) = site.command(&["quarantine", "check", "altered.jsonl"]).await;
    assert!(!is_ok && output.contains("ALTERED"), "{output}");

    for id in &messages {
        let short = &id[..12];
        let discard = ["quarantine", "discard", short, "--config", "poller.toml"];
        let (is_ok, output) = site.command(&discard).await;
        assert!(!is_ok && output.contains("--reason"), "{output}");
        let why = ["--actor", "li.na", "--reason", "unknown origin"];
        let (is_ok, output) = site.command(&[discard.as_slice(), &why].concat()).await;
        assert!(is_ok && output.contains("discarded"), "{output}");
    }
    assert!(list(site, "poller.toml").await.is_empty());
    let bytes = "SELECT sum(octet_length(bytes))::bigint FROM slacktide.quarantine";
    assert_eq!(site.store.number(bytes).await, 0);
    let (_, output) = site
        .command(&["quarantine", "show", forgery, "--config", "poller.toml"])
        .await;
    assert!(
        output.contains("li.na: unknown origin") && output.contains(forgery),
        "{output}"
    );
    let discards = actions(site)
        .await
        .iter()
        .filter(|action| *action == "quarantine.discard")
        .count();
    assert_eq!(discards, 4);
    let forged = site
        .store
        .number("SELECT count(*) FROM claim WHERE name = 'forged'")
        .await;
    assert_eq!(forged, 0);
}
