//! Unreadable messages at the head of the operators' audit chain and of their orders: they stop no order, and
//! the auditor names each of them.

use std::fs;

use bytes::Bytes;
use exchange::Exchange;
use jiff::Timestamp;
use nats::JetStream;
use nats::topology::Admin;
use schemas::audit::AuditEntry;
use schemas::control::{Action, AnyAction, Control, Order};
use schemas::envelope::{Envelope, Payload};
use schemas::sign::SigningKey;
use serde_json::{Value, json};

use super::orders_at::{WHO, connect, hold, hold_id, order, party, shows_gate, shows_hold};
use super::site::Site;

const OPEN: &str = "mode = \"open\"";
fn signed<P: Payload>(payload: &P, key: &SigningKey) -> Vec<u8> {
    Envelope::seal(payload, Vec::new(), key)
        .unwrap()
        .encode()
        .unwrap()
}

fn entry(number: u64, writer: &str, key: &SigningKey) -> AuditEntry {
    AuditEntry {
        party: party("bureau"),
        writer: party(writer),
        number,
        previous: None,
        skips: None,
        at: Timestamp::now(),
        actor: "mallory".into(),
        action: "gate.resume.order".into(),
        reason: "none".into(),
        detail: std::collections::BTreeMap::new(),
        key: key.public().clone(),
    }
}

fn record(number: u64, name: &str, key: &SigningKey) -> Control {
    let newest = Order {
        id: "0".into(),
        scope: "gate.core".into(),
        action: AnyAction::Known(Action::Resume),
        actor: "mallory".into(),
        reason: "none".into(),
        given_at: Timestamp::now(),
        expires: None,
    };
    Control {
        party: party(name),
        number,
        previous: None,
        skips: None,
        newest,
        orders: Vec::new(),
        at: Timestamp::now(),
        key: key.public().clone(),
    }
}

/// The same message under another version of its kind.
fn versioned(bytes: &[u8]) -> Vec<u8> {
    let mut envelope = Envelope::decode(bytes).unwrap();
    envelope.kind = envelope.kind.replace(".v1", ".v9");
    envelope.encode().unwrap()
}

/// Every form, for the audit head and for the orders' head. `key` is the bureau's own.
fn forms(key: &SigningKey, old: [&Bytes; 2]) -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
    let stranger = SigningKey::generate();
    let (own, foreign) = (entry(7, "operator", key), entry(7, "operator", &stranger));
    let (own_record, foreign_record) = (record(7, "bureau", key), record(99, "bureau", &stranger));
    let random: Vec<u8> = (0..300).map(|_| rand::random::<u8>()).collect();
    let other_type = vec![0x93, 0xa3, b'a', b'b', b'c', 0x05, 0xc0]; // ["abc", 5, nil]
    let mut broken = signed(&own, key);
    let place = broken.len() / 2;
    broken[place] ^= 1;
    vec![
        ("random bytes", random.clone(), random),
        ("nothing", Vec::new(), Vec::new()),
        ("another type", other_type.clone(), other_type),
        (
            "another version",
            versioned(&signed(&own, key)),
            versioned(&signed(&own_record, key)),
        ),
        (
            "a stranger's",
            signed(&foreign, &stranger),
            signed(&foreign_record, &stranger),
        ),
        ("the other kind", signed(&own_record, key), signed(&own, key)),
        (
            "another chain's",
            signed(&entry(7, "gate", key), key),
            signed(&record(7, "insurer-a", key), key),
        ),
        (
            "the last number",
            signed(&entry(u64::MAX, "operator", key), key),
            signed(&record(u64::MAX, "bureau", key), key),
        ),
        ("a flipped bit", broken.clone(), broken),
        ("an old one", old[0].to_vec(), old[1].to_vec()),
    ]
}

/// Publishes to both heads; the sequence in the audit stream.
async fn publish(exchange: &JetStream, audit: Vec<u8>, control: Vec<u8>) -> u64 {
    let (bureau, operator) = (party("bureau"), party("operator"));
    let last = exchange.last_audit(&bureau, &operator).await.unwrap().unwrap();
    let entry = exchange.publish_audit(&bureau, &operator, Bytes::from(audit), last.sequence);
    let exchange::Published::Done { sequence } = entry.await.unwrap() else {
        panic!("another writer appended to the audit chain");
    };
    let last = exchange.last_control(&bureau).await.unwrap().unwrap();
    exchange
        .publish_control(&bureau, Bytes::from(control), last.sequence)
        .await
        .unwrap();
    sequence
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_heads_stop_no_order_and_audit_names_each() {
    let site = Site::start("unreadable", 100, OPEN).await;
    let (social, poller) = (
        site.social_with("social", super::site::with_long_lease),
        site.poller("poller"),
    );
    site.agree().await;
    order(&site, &["gate", "pause"]).await;
    let exchange = connect(&site, "bureau").await;
    let (bureau, operator) = (party("bureau"), party("operator"));
    let old_entry = exchange.last_audit(&bureau, &operator).await.unwrap().unwrap();
    let old_record = exchange.last_control(&bureau).await.unwrap().unwrap();
    order(&site, &["gate", "resume"]).await;

    let seed = fs::read_to_string(site.file("keys/bureau/sign.seed")).unwrap();
    let key = SigningKey::from_seed(seed.trim()).unwrap();
    let mut planted = Vec::new();
    for (form, audit, control) in forms(&key, [&old_entry.bytes, &old_record.bytes]) {
        // A hold from before must outlast the message.
        hold(&site, form).await;
        shows_hold(&social, Some(form)).await;
        planted.push((form, publish(&exchange, audit, control).await));
        order(&site, &["gate", "pause"]).await;
        shows_gate(&social, "paused").await;
        order(&site, &["gate", "resume"]).await;
        shows_gate(&social, "fixed_open").await;
        shows_hold(&social, Some(form)).await;
        order(&site, &["hold", "release", &hold_id(&site, form).await]).await;
        shows_hold(&social, None).await;
        site.rewind("social.toml", form).await;
    }
    let add = "INSERT INTO claim (id, name, amount) SELECT 1000 + g, 'newcomer ' || g, 1.00 FROM generate_series(1, 50) g";
    site.core.execute(add).await;
    site.agree().await;

    // Both heads at once, and an agent that never saw what was in force.
    hold(&site, "kept over a restart").await;
    let random: Vec<u8> = (0..300).map(|_| rand::random::<u8>()).collect();
    planted.push(("at the restart", publish(&exchange, random.clone(), random).await));
    social.stop().await;
    let social = site.social_with("social", super::site::with_long_lease);
    social
        .shows("a shut gate with the remedy", "/gate/reason", |why| {
            why.as_str().is_some_and(|why| why.contains("give an order"))
        })
        .await;
    order(&site, &["gate", "limit", "--duty", "100%"]).await;
    shows_hold(&social, Some("kept over a restart")).await;
    order(
        &site,
        &["hold", "release", &hold_id(&site, "kept over a restart").await],
    )
    .await;
    shows_hold(&social, None).await;
    social.stop().await;
    poller.stop().await;

    let (code, output) = site
        .asked(&["audit", "verify", "--json", "--config", "auditor.toml"])
        .await;
    let findings: Value = serde_json::from_str(&output).unwrap();
    let faults: Vec<(String, u64)> = findings["faults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| {
            (
                fault["subject"].as_str().unwrap().to_owned(),
                fault["sequence"].as_u64().unwrap(),
            )
        })
        .collect();
    let wanted: Vec<(String, u64)> = planted
        .iter()
        .map(|(_, sequence)| ("audit.bureau.operator".to_owned(), *sequence))
        .collect();
    assert_eq!((code, faults), (Some(7), wanted), "{planted:?} {output}");

    // The entry behind each names it.
    let (_, entries) = site
        .asked(&["audit", "replay", "--config", "auditor.toml", "--stream", "audit"])
        .await;
    let entries: Vec<Value> = entries
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let old = Envelope::decode(&old_entry.bytes).unwrap().digest().to_string();
    for (form, sequence) in planted {
        // An old entry is one that its writer trusts: the next one follows it.
        let names = |entry: &Value| {
            entry["payload"]["skips"]["sequence"] == sequence
                || form == "an old one" && entry["payload"]["previous"] == old.as_str()
        };
        assert!(
            entries.iter().any(names),
            "{form}: no entry names message {sequence}"
        );
    }
}

/// A pause and a hold do not wait for the audit chain; what lets work go on does.
#[tokio::test(flavor = "multi_thread")]
async fn unreadable_audit_stream_stops_no_pause_and_no_hold() {
    let site = Site::start("unreadable_audit", 10, OPEN).await;
    let social = site.social_with("social", super::site::with_long_lease);
    shows_gate(&social, "fixed_open").await;
    let admin = Admin::new(connect(&site, "admin").await);
    admin.api("STREAM.DELETE.AUDIT_bureau", &json!({})).await.unwrap();
    let output = order(&site, &["gate", "pause"]).await;
    assert!(output.contains("the audit chain does not hold it"), "{output}");
    shows_gate(&social, "paused").await;
    hold(&site, "court order").await;
    shows_hold(&social, Some("court order")).await;
    let (is_done, output) = site.command(&[&["gate", "resume"], &WHO[..]].concat()).await;
    assert!(!is_done, "{output}");
    shows_gate(&social, "paused").await;
    social.stop().await;
}
