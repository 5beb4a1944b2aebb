//! The operator's hand on the gate, over the exchange, and a policy changed under a running agent.

use std::fs;

use bytes::Bytes;
use exchange::Exchange;
use jiff::Timestamp;
use nats::{JetStream, Options};
use schemas::control::{Action, AnyAction, Control, Order};
use schemas::envelope::Envelope;
use schemas::name::PartyName;
use schemas::sign::SigningKey;

use super::site::{PATIENCE, Site};
use crate::gates::BY_FILE;

const WHO: [&str; 6] = [
    "--config",
    "social.toml",
    "--actor",
    "li.na",
    "--reason",
    "year end",
];

async fn gate(site: &Site, words: &[&str]) -> String {
    let (done, told) = site.command(&[&["gate"], words, &WHO].concat()).await;
    assert!(done, "{told}");
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_takes_effect_outlives_the_agent_and_is_taken_back() {
    let site = Site::start("orders", 2_000, BY_FILE).await;
    let social = site.social("social");
    social
        .shows("the gate open", "/gate/state", |state| {
            state != "shut" && !state.is_null()
        })
        .await;
    let told = gate(&site, &["pause"]).await;
    assert!(
        told.contains("paused until `gate resume`, by li.na: year end"),
        "{told}"
    );
    social
        .shows("the pause", "/gate/reason_kind", |kind| kind == "paused")
        .await;

    forge(&site).await;
    social.stop().await;
    let social = site.social("social");
    // A forged record is the last one: nothing can be believed, so nothing is read.
    social
        .shows("a shut gate", "/gate/reason", |why| {
            why.as_str().is_some_and(|why| why.contains("not a trusted key"))
        })
        .await;
    gate(&site, &["pause"]).await;
    social
        .shows("the pause again", "/gate/reason_kind", |kind| kind == "paused")
        .await;
    social.stop().await;
    let social = site.social("social");
    social
        .shows("the pause after a restart", "/gate/reason_kind", |kind| {
            kind == "paused"
        })
        .await;
    assert_eq!(
        social.status().await.unwrap()["driver"]["rows"],
        0,
        "read while paused"
    );
    assert_eq!(
        social.status().await.unwrap()["gate"]["openings"],
        0,
        "open before orders were read"
    );

    gate(&site, &["resume"]).await;
    social
        .shows("the resume", "/gate/state", |state| state != "shut")
        .await;
    let told = gate(&site, &["limit", "--duty", "20%", "--for", "1h"]).await;
    assert!(told.contains("limited to 20.0 % of the time until 2"), "{told}");
    social
        .shows("the limit", "/gate/orders/most/0", |most| most == 0.2)
        .await;
    // A machine may be too busy to show this one in time; that it ended is seen by the one before it being gone, too.
    gate(&site, &["limit", "--duty", "30%", "--for", "3s"]).await;
    social
        .shows(
            "the end of the limit",
            "/gate/orders/most",
            serde_json::Value::is_null,
        )
        .await;

    let begins = "gate.pause.begins";
    let (done, entries) = site
        .command(&["audit", "replay", "--config", "auditor.toml", "--stream", "audit"])
        .await;
    assert!(
        done && entries.contains("gate.pause.order") && entries.contains(begins),
        "{entries}"
    );
    site.evidence_holds().await;
    social.stop().await;
}

/// The bureau's connection key, and a signing key that nobody trusts.
async fn forge(site: &Site) {
    let seed = fs::read_to_string(site.file("keys/bureau/connect.seed")).unwrap();
    let exchange = JetStream::connect(Options::command(site.nats.url(), "bureau", seed))
        .await
        .unwrap();
    let (key, party) = (SigningKey::generate(), PartyName::new("bureau").unwrap());
    let last = exchange.last_control(&party).await.unwrap().unwrap();
    let newest = Order {
        id: "0".into(),
        scope: "gate.core".into(),
        action: AnyAction::Known(Action::Resume),
        actor: "mallory".into(),
        reason: "none".into(),
        given_at: Timestamp::now(),
        expires: None,
    };
    let control = Control {
        party: party.clone(),
        number: 99,
        previous: None,
        skips: None,
        newest,
        orders: Vec::new(),
        at: Timestamp::now(),
        key: key.public().clone(),
    };
    let bytes = Envelope::seal(&control, Vec::new(), &key)
        .unwrap()
        .encode()
        .unwrap();
    exchange
        .publish_control(&party, Bytes::from(bytes), last.sequence)
        .await
        .unwrap();
    exchange.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_policy_is_refused_and_a_right_one_needs_no_restart() {
    let site = Site::start("reload", 100, BY_FILE).await;
    let social = site.social("social");
    social
        .shows("the gate open", "/gate/state", |state| {
            state != "shut" && !state.is_null()
        })
        .await;
    let right = fs::read_to_string(site.file("social.toml")).unwrap();
    fs::write(
        site.file("social.toml"),
        right.replace("good_samples", "god_samples"),
    )
    .unwrap();
    let why = social
        .shows("the refusal", "/gate/policy/refused", |why| !why.is_null())
        .await;
    let why = why.as_str().unwrap();
    assert!(
        why.contains("social.toml:") && why.contains("god_samples"),
        "{why}"
    );
    assert_ne!(
        social.status().await.unwrap()["gate"]["state"],
        "shut",
        "the old policy did not stay"
    );

    let before = social.status().await.unwrap()["gate"]["policy"]["loaded_at"].clone();
    fs::write(site.file("stop2"), "").unwrap();
    fs::write(
        site.file("social.toml"),
        right.replace("path = \"stop\"", "path = \"stop2\""),
    )
    .unwrap();
    social
        .shows_within(PATIENCE, "the new policy", "/gate/reason", |why| {
            why.as_str().is_some_and(|why| why.contains("stop_file"))
        })
        .await;
    let policy = social.status().await.unwrap()["gate"]["policy"].clone();
    assert!(
        policy["refused"].is_null() && policy["loaded_at"] != before,
        "{policy}"
    );
    social.stop().await;
}
