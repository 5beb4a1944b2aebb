//! Operators' gate orders over the exchange, and a policy changed while the agent runs.

use std::fs;

use bytes::Bytes;
use exchange::{ControlExchange, Exchange};
use jiff::Timestamp;
use nats::{JetStream, Options};
use schemas::control::{Action, AnyAction, Control, Order};
use schemas::envelope::Envelope;
use schemas::name::PartyName;
use schemas::sign::SigningKey;

use super::site::{DEADLINE, Site};
use crate::gate_config::STOP_FILE_GATE;

const WHO: [&str; 6] = [
    "--config",
    "social.toml",
    "--actor",
    "li.na",
    "--reason",
    "year end",
];

async fn gate_command(site: &Site, words: &[&str]) -> String {
    let (done, output) = site.command(&[&["gate"], words, &WHO].concat()).await;
    assert!(done, "{output}");
    output
}

#[tokio::test(flavor = "multi_thread")]
async fn pause_survives_a_restart_until_it_is_lifted() {
    let site = Site::start("orders", 2_000, STOP_FILE_GATE).await;
    let social = site.social("social");
    social
        .wait_status("the gate open", "/gate/state", |state| {
            state != "closed" && !state.is_null()
        })
        .await;
    let output = gate_command(&site, &["pause"]).await;
    assert!(
        output.contains("paused until `gate resume`, by li.na: year end"),
        "{output}"
    );
    social
        .wait_status("the pause", "/gate/reason_kind", |kind| kind == "paused")
        .await;

    publish_forged_orders(&site).await;
    social.stop().await;
    let social = site.social("social");
    // The last record is forged: the orders are unknown, so nothing is read.
    social
        .wait_status("a closed gate", "/gate/reason", |why| {
            why.as_str().is_some_and(|why| why.contains("not a trusted key"))
        })
        .await;
    gate_command(&site, &["pause"]).await;
    social
        .wait_status("the pause again", "/gate/reason_kind", |kind| kind == "paused")
        .await;
    social.stop().await;
    let social = site.social("social");
    social
        .wait_status("the pause after a restart", "/gate/reason_kind", |kind| {
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

    gate_command(&site, &["resume"]).await;
    social
        .wait_status("the resume", "/gate/state", |state| state != "closed")
        .await;
    let output = gate_command(&site, &["limit", "--duty", "20%", "--for", "1h"]).await;
    assert!(
        output.contains("limited to 20.0 % of the time until 2"),
        "{output}"
    );
    social
        .wait_status("the limit", "/gate/orders/max_duty/0", |most| most == 0.2)
        .await;
    // A busy machine may not show this limit in time. When it has ended, the previous limit is gone too.
    gate_command(&site, &["limit", "--duty", "30%", "--for", "3s"]).await;
    social
        .wait_status(
            "the end of the limit",
            "/gate/orders/max_duty",
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
    // Everything is valid but the forged record.
    let (is_valid, report) = site
        .command(&["audit", "verify", "--config", "auditor.toml"])
        .await;
    let faults: Vec<&str> = report.lines().filter(|line| line.starts_with("FAULT")).collect();
    assert!(!is_valid, "{report}");
    assert!(
        faults.len() == 1 && faults[0].starts_with("FAULT control.bureau at sequence 2: signed by "),
        "{report}"
    );
    social.stop().await;
}

/// Publishes orders with the bureau's connection key and an untrusted signing key.
async fn publish_forged_orders(site: &Site) {
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
    let bytes = Envelope::sign(&control, Vec::new(), &key)
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
async fn policy_invalid_is_refused_and_valid_needs_no_restart() {
    let site = Site::start("reload", 100, STOP_FILE_GATE).await;
    let social = site.social("social");
    social
        .wait_status("the gate open", "/gate/state", |state| {
            state != "closed" && !state.is_null()
        })
        .await;
    let right = fs::read_to_string(site.file("social.toml")).unwrap();
    fs::write(
        site.file("social.toml"),
        right.replace("good_samples", "god_samples"),
    )
    .unwrap();
    let why = social
        .wait_status("the refusal", "/gate/policy/refused", |why| !why.is_null())
        .await;
    let why = why.as_str().unwrap();
    assert!(
        why.contains("social.toml:") && why.contains("god_samples"),
        "{why}"
    );
    assert_ne!(
        social.status().await.unwrap()["gate"]["state"],
        "closed",
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
        .wait_status_within(DEADLINE, "the new policy", "/gate/reason", |why| {
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
