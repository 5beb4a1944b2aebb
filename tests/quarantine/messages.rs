//! A message that nobody can read, and one that nobody trusts.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use schemas::sign::SigningKey;

use super::forge::{forged, publish};
use super::told::{OPEN, actions, ids, json, list};
use crate::path::site::{REWIND, Site};

/// A readable chunk by a key that nobody trusts stops its lane at the bureau. An operator gives
/// it up, and a new epoch opens behind it.
#[tokio::test(flavor = "multi_thread")]
async fn a_tail_that_nobody_trusts_is_given_up_and_the_feed_goes_on() {
    let site = Site::start("quarantine_tail", 2_000, OPEN).await;
    let (social, poller) = (site.social("social"), site.poller("poller"));
    site.agree().await;
    social.stop().await;
    let rogue = SigningKey::generate();
    publish(
        &site,
        forged(&site, &rogue, &[(1, "forged"), (90_001, "forged")]).await,
    )
    .await;
    publish(&site, b"no chunk at all".to_vec()).await;
    // Behind the unreadable one there is no place to build on but the tail's own claim.
    poller
        .shows("both in quarantine", "/quarantined", |count| *count == 2)
        .await;
    // The tail again: what a newcomer signed with the wrong key.
    let forgery = forgery_behind(&site, &rogue).await;
    poller
        .shows("all in quarantine", "/quarantined", |count| *count == 3)
        .await;

    let social = site.social("social-again");
    social
        .shows("the lane to stop", "/lanes/insurer-a.claim/state", |text| {
            text.as_str()
                .is_some_and(|text| text.contains("cannot be trusted"))
        })
        .await;
    let who = [
        "--actor",
        "li.na",
        "--reason",
        "try",
        "--config",
        "social-again.toml",
    ];
    let (well, told) = site.command(&[&REWIND[..], &who].concat()).await;
    assert!(!well && told.contains("not a trusted key"), "{told}");

    let tails = ids(&list(&site, "social-again.toml").await, "tail");
    assert_eq!(tails, std::slice::from_ref(&forgery));
    let config = ["--config", "social-again.toml"];
    let (well, told) = site
        .command(&[["quarantine", "retry", &tails[0][..10]].as_slice(), &config].concat())
        .await;
    assert!(!well && told.contains("[trust]"), "{told}");
    let why = ["--actor", "li.na", "--reason", "signed by nobody we know"];
    let (well, told) = site
        .command(
            &[
                ["quarantine", "discard", &tails[0][..10]].as_slice(),
                &why,
                &config,
            ]
            .concat(),
        )
        .await;
    assert!(well && told.contains("is open behind it"), "{told}");
    site.core
        .execute("INSERT INTO claim (id, name) SELECT g, 'afterwards' FROM generate_series(200001, 200100) g")
        .await;
    site.agree().await;
    assert!(
        list(&site, "social-again.toml")
            .await
            .iter()
            .all(|entry| entry["kind"] != "tail")
    );
    the_insurer_gives_them_up(&site, &rogue, &forgery).await;
    site.agree().await;
    social.stop().await;
    poller.stop().await;
}

/// The id that the forged tail will have.
async fn forgery_behind(site: &Site, key: &SigningKey) -> String {
    // The tail is no chunk, so a forger takes any place: here the one of the first forgery.
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
    let (well, told) = site
        .command(&[export.as_slice(), &["--config", "poller.toml"]].concat())
        .await;
    assert!(well, "{told}");
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
    manifest.totals = schemas::manifest::Totals::default();
    let bytes = schemas::chunk::seal(manifest, &[], key).unwrap().bytes;
    let id = schemas::digest::Digest::of(&[&bytes]).to_string();
    publish(site, bytes).await;
    id
}

async fn the_insurer_gives_them_up(site: &Site, rogue: &SigningKey, forgery: &str) {
    let messages = ids(&list(site, "poller.toml").await, "message");
    assert_eq!(messages.len(), 3);
    // Opened with the trust of today, they still do not open.
    let retry = ["quarantine", "retry", "--all", "--config", "poller.toml"];
    let (well, told) = json(site, &retry).await;
    assert!(!well && told["left"] == 3, "{told}");

    let export = [
        "quarantine",
        "export",
        "--all",
        "--out",
        "all.jsonl",
        "--reason",
        "for the bureau",
    ];
    let (well, told) = site
        .command(&[export.as_slice(), &["--config", "poller.toml"]].concat())
        .await;
    assert!(well && told.contains("personal data"), "{told}");
    let mode = fs::metadata(site.file("all.jsonl")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let (well, told) = json(site, &["quarantine", "check", "all.jsonl"]).await;
    assert!(well && told["entries"].as_array().unwrap().len() == 3, "{told}");
    let key = rogue.public().to_string();
    let (well, told) = json(site, &["quarantine", "check", "all.jsonl", "--trust", &key]).await;
    let opens = |entry: &&serde_json::Value| entry.pointer("/opens/Ok").is_some();
    assert!(
        !well && told["entries"].as_array().unwrap().iter().filter(opens).count() == 2,
        "{told}"
    );
    let altered =
        fs::read_to_string(site.file("all.jsonl"))
            .unwrap()
            .replacen("\"hex\":\"9", "\"hex\":\"8", 1);
    fs::write(site.file("altered.jsonl"), altered).unwrap();
    let (well, told) = site.command(&["quarantine", "check", "altered.jsonl"]).await;
    assert!(!well && told.contains("ALTERED"), "{told}");

    for id in &messages {
        let short = &id[..12];
        let discard = ["quarantine", "discard", short, "--config", "poller.toml"];
        let (well, told) = site.command(&discard).await;
        assert!(!well && told.contains("--reason"), "{told}");
        let why = ["--actor", "li.na", "--reason", "nobody's"];
        let (well, told) = site.command(&[discard.as_slice(), &why].concat()).await;
        assert!(well && told.contains("discarded"), "{told}");
    }
    assert!(list(site, "poller.toml").await.is_empty());
    let bytes = "SELECT sum(octet_length(bytes))::bigint FROM slacktide.quarantine";
    assert_eq!(site.store.number(bytes).await, 0);
    let (_, told) = site
        .command(&["quarantine", "show", forgery, "--config", "poller.toml"])
        .await;
    assert!(
        told.contains("li.na: nobody's") && told.contains(forgery),
        "{told}"
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
