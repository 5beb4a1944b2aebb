//! Unreadable messages at the head of the operators' audit chain and of their orders: they block no order, and the auditor names
//! each of them.

use std::fs;

use bytes::Bytes;
use exchange::{AuditExchange, ControlExchange};
use jiff::Timestamp;
use nats::JetStream;
use nats::topology::Admin;
use schemas::audit::AuditEntry;
use schemas::control::{Action, AnyAction, Control, Order};
use schemas::envelope::{Envelope, Payload};
use schemas::sign::SigningKey;
use serde_json::{Value, json};

use super::order_commands::{
    WHO, add_hold, connect, give_order, hold_id, party, wait_gate_reason, wait_hold,
};
use super::site::Site;

const OPEN: &str = "mode = \"open\"";
fn sign<P: Payload>(payload: &P, key: &SigningKey) -> Vec<u8> {
    Envelope::sign(payload, Vec::new(), key)
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

/// Returns the message with another version of its kind.
fn with_other_version(bytes: &[u8]) -> Vec<u8> {
    let mut envelope = Envelope::decode(bytes).unwrap();
    envelope.kind = envelope.kind.replace(".v1", ".v9");
    envelope.encode().unwrap()
}

/// Returns every unreadable form, for the audit head and for the orders' head. `key` is the bureau's own.
fn unreadable_forms(key: &SigningKey, old: [&Bytes; 2]) -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
    let stranger = SigningKey::generate();
    let (own, foreign) = (entry(7, "operator", key), entry(7, "operator", &stranger));
    let (own_record, foreign_record) = (record(7, "bureau", key), record(99, "bureau", &stranger));
    let random: Vec<u8> = (0..300).map(|_| rand::random::<u8>()).collect();
    let other_type = vec![0x93, 0xa3, b'a', b'b', b'c', 0x05, 0xc0]; // ["abc", 5, nil]
    let mut broken = sign(&own, key);
    let place = broken.len() / 2;
    broken[place] ^= 1;
    vec![
        ("random bytes", random.clone(), random),
        ("nothing", Vec::new(), Vec::new()),
        ("another type", other_type.clone(), other_type),
        (
            "another version",
            with_other_version(&sign(&own, key)),
            with_other_version(&sign(&own_record, key)),
        ),
        (
            "a stranger's",
            sign(&foreign, &stranger),
            sign(&foreign_record, &stranger),
        ),
        ("the other kind", sign(&own_record, key), sign(&own, key)),
        (
            "another chain's",
            sign(&entry(7, "gate", key), key),
            sign(&record(7, "insurer-a", key), key),
        ),
        (
            "the last number",
            sign(&entry(u64::MAX, "operator", key), key),
            sign(&record(u64::MAX, "bureau", key), key),
        ),
        ("a flipped bit", broken.clone(), broken),
        ("an old one", old[0].to_vec(), old[1].to_vec()),
    ]
}

/// Publishes to both heads; returns the sequence in the audit stream.
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
async fn unreadable_heads_block_no_order_and_audit_names_each() {
    let site = Site::start("unreadable", 100, OPEN).await;
    let (social, poller) = (
        site.social_with("social", super::site::with_long_lease),
        site.poller("poller"),
    );
    site.wait_until_equal().await;
    give_order(&site, &["gate", "pause"]).await;
    let exchange = connect(&site, "bureau").await;
    let (bureau, operator) = (party("bureau"), party("operator"));
    let old_entry = exchange.last_audit(&bureau, &operator).await.unwrap().unwrap();
    let old_record = exchange.last_control(&bureau).await.unwrap().unwrap();
    give_order(&site, &["gate", "resume"]).await;

    let seed = fs::read_to_string(site.file("keys/bureau/sign.seed")).unwrap();
    let key = SigningKey::from_seed(seed.trim()).unwrap();
    let mut planted = Vec::new();
    for (form, audit, control) in unreadable_forms(&key, [&old_entry.bytes, &old_record.bytes]) {
        // A hold from before must survive the message.
        add_hold(&site, form).await;
        wait_hold(&social, Some(form)).await;
        planted.push((form, publish(&exchange, audit, control).await));
        give_order(&site, &["gate", "pause"]).await;
        wait_gate_reason(&social, "paused").await;
        give_order(&site, &["gate", "resume"]).await;
        wait_gate_reason(&social, "fixed_open").await;
        wait_hold(&social, Some(form)).await;
        give_order(&site, &["hold", "release", &hold_id(&site, form).await]).await;
        wait_hold(&social, None).await;
        site.rewind("social.toml", form).await;
    }
    let add = "INSERT INTO claim (id, name, amount) SELECT 1000 + g, 'newcomer ' || g, 1.00 FROM generate_series(1, 50) g";
    site.core.execute(add).await;
    site.wait_until_equal().await;

    // Both heads at once, and an agent that never saw the orders in force.
    add_hold(&site, "kept over a restart").await;
    let random: Vec<u8> = (0..300).map(|_| rand::random::<u8>()).collect();
    planted.push(("at the restart", publish(&exchange, random.clone(), random).await));
    social.stop().await;
    let social = site.social_with("social", super::site::with_long_lease);
    social
        .wait_status("a closed gate with the remedy", "/gate/reason", |why| {
            why.as_str().is_some_and(|why| why.contains("give an order"))
        })
        .await;
    give_order(&site, &["gate", "limit", "--duty", "100%"]).await;
    wait_hold(&social, Some("kept over a restart")).await;
    give_order(
        &site,
        &["hold", "release", &hold_id(&site, "kept over a restart").await],
    )
    .await;
    wait_hold(&social, None).await;
    social.stop().await;
    poller.stop().await;

    let (code, output) = site
        .command_stdout(&["audit", "verify", "--json", "--config", "auditor.toml"])
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
    let (of_orders, faults): (Vec<_>, Vec<_>) = faults
        .into_iter()
        .partition(|(subject, _)| subject == "control.bureau");
    assert_eq!((code, faults), (Some(7), wanted), "{planted:?} {output}");
    // The orders' chain has one fault for each planted message too.
    assert_eq!(of_orders.len(), planted.len(), "{planted:?} {output}");

    // The next entry names each of them.
    let (_, entries) = site
        .command_stdout(&["audit", "replay", "--config", "auditor.toml", "--stream", "audit"])
        .await;
    let entries: Vec<Value> = entries
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let old = Envelope::decode(&old_entry.bytes).unwrap().digest().to_string();
    for (form, sequence) in planted {
        // The writer trusts an old entry: the next one follows it.
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

/// A pause and a hold do not wait for the audit chain; orders that permit work do.
#[tokio::test(flavor = "multi_thread")]
async fn unreadable_audit_stream_blocks_no_pause_or_hold() {
    let site = Site::start("unreadable_audit", 10, OPEN).await;
    let social = site.social_with("social", super::site::with_long_lease);
    wait_gate_reason(&social, "fixed_open").await;
    let admin = Admin::new(connect(&site, "admin").await);
    admin.api("STREAM.DELETE.AUDIT_bureau", &json!({})).await.unwrap();
    let output = give_order(&site, &["gate", "pause"]).await;
    assert!(output.contains("it is not in the audit chain"), "{output}");
    wait_gate_reason(&social, "paused").await;
    add_hold(&site, "court order").await;
    wait_hold(&social, Some("court order")).await;
    let (is_done, output) = site.command(&[&["gate", "resume"], &WHO[..]].concat()).await;
    assert!(!is_done, "{output}");
    wait_gate_reason(&social, "paused").await;
    social.stop().await;
}
