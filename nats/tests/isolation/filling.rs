//! A credential that fills everything it may write, until the exchange refuses; and what the others can do then.

use bytes::Bytes;
use exchange::{
    AuditExchange, ControlExchange, ErrorKind, FeedExchange, Filed, LeaseExchange, Published,
    RequestExchange, Settlement, StatusExchange,
};
use nats::JetStream;
use nats::topology::rights::Purpose;
use nats::topology::{Role, Topology};
use schemas::name::{FeedName, Lane, OfficerName, PartyName, RecipientName, SourceName};
use schemas::request::RequestId;
use serde_json::Value;

use super::scene::Scene;
use crate::exchange_server::ExchangeServer;

/// Every stream this small, so that it is filled at once.
const MAX_BYTES: i64 = 400_000;

/// Below the size of a message that every stream takes.
const SIZE: usize = 60_000;

/// More than fit into a stream.
const MOST: usize = 40;

fn small(topology: &mut Topology) {
    for stream in &mut topology.streams {
        stream.max_bytes = MAX_BYTES;
    }
}

/// Publishes on fresh subjects of every pattern that a party may publish on, until each is refused; those of one first
/// token may be left out.
async fn fill(scene: &Scene, name: &str, but: &str) {
    let client = scene.exchange.raw(name).await;
    let party = scene.parties.find(&PartyName::new(name).unwrap()).unwrap();
    let publish = scene.rights(party).into_iter();
    for (right, _) in publish.filter(|(right, _)| right.purpose == Purpose::Publish) {
        if right.hub.starts_with(but) {
            continue;
        }
        let mut is_refused = false;
        for number in 0..MOST {
            let subject = right.hub.replace('*', &format!("fill{number}"));
            let answer = client.request(subject, vec![0; SIZE].into()).await.unwrap();
            let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
            if answer["error"].is_object() {
                is_refused = true;
                break;
            }
        }
        // A stream that keeps the last message of each subject makes room.
        let forgets = ["lease.", "progress.", "status.", "watch."]
            .iter()
            .any(|first| right.hub.starts_with(first));
        assert!(is_refused != forgets, "{name} {}: {is_refused}", right.hub);
    }
}

fn lane(recipient: &RecipientName) -> Lane {
    Lane {
        recipient: recipient.clone(),
        feed: FeedName::new("work").unwrap(),
    }
}

fn id() -> RequestId {
    "20260131-whilefull".parse().unwrap()
}

const A: Bytes = Bytes::from_static(b"a");

fn stored(what: &str, filed: exchange::Result<Filed>) {
    match filed {
        Ok(Filed::Done { .. }) => {}
        other => panic!("{what}: {other:?}"),
    }
}

fn published(what: &str, done: exchange::Result<Published>) {
    match done {
        Ok(Published::Done { .. }) => {}
        other => panic!("{what}: {other:?}"),
    }
}

/// Pauses, holds and notes it.
async fn orders(name: &str, party: &JetStream) {
    let name = PartyName::new(name).unwrap();
    let writer = PartyName::new("operator").unwrap();
    published("audit", party.publish_audit(&name, &writer, A, 0).await);
    let last = party.last_control(&name).await.unwrap();
    let expected = last.map_or(0, |last| last.sequence);
    published("control", party.publish_control(&name, A, expected).await);
    party.publish_status(&name, &writer, A).await.unwrap();
}

/// What a recipient does all day.
async fn recipient_works(exchange: &ExchangeServer, name: &str) {
    let party = exchange.connect(name).await;
    let recipient = RecipientName::new(name).unwrap();
    stored("request", party.file_request(&recipient, &id(), A).await);
    stored("cancel", party.cancel_request(&recipient, &id(), A).await);
    stored("confirm", party.confirm(&recipient, &id(), A).await);
    published("receipt", party.publish_receipt(&lane(&recipient), A, 0).await);
    let fetched = party.fetch_chunks(&recipient, 10).await.unwrap();
    assert!(!fetched.is_empty(), "{name} has something to acknowledge");
    party.settle(&fetched, Settlement::Ack).await.unwrap();
    orders(name, &party).await;
}

/// What the bureau does all day.
async fn bureau_works(exchange: &ExchangeServer) {
    let bureau = exchange.connect("bureau").await;
    for recipient in ["insurer-a", "insurer-b"].map(|name| RecipientName::new(name).unwrap()) {
        published("chunk", bureau.publish_chunk(&lane(&recipient), A, 0).await);
        stored("part", bureau.publish_part(&recipient, &id(), 1, 1, A).await);
        stored("reply", bureau.reply(&recipient, &id(), A).await);
        bureau.write_progress(&recipient, &id(), A).await.unwrap();
        let officer = OfficerName::new("li_na").unwrap();
        stored("approval", bureau.approve(&recipient, &id(), &officer, A).await);
    }
    let source = SourceName::new("work").unwrap();
    published("lease", bureau.write_lease(&source, A, 0).await);
    orders("bureau", &bureau).await;
}

#[tokio::test]
async fn filling_by_one_credential_stops_no_other_party() {
    for attacker in ["bureau", "insurer-a", "insurer-b"] {
        let scene = Scene::bare().await;
        scene.exchange.apply(small).await;
        let bureau = scene.exchange.connect("bureau").await;
        for name in scene.recipients() {
            let recipient = RecipientName::new(name.as_str()).unwrap();
            let early = Lane {
                feed: FeedName::new("early").unwrap(),
                ..lane(&recipient)
            };
            published("chunk", bureau.publish_chunk(&early, A, 0).await);
        }
        fill(&scene, attacker, "nothing").await;
        for party in scene.parties.with_account() {
            match party.role {
                _ if party.name.as_str() == attacker => {}
                Role::Recipient => recipient_works(&scene.exchange, party.name.as_str()).await,
                Role::Bureau => bureau_works(&scene.exchange).await,
                Role::Administrator | Role::Auditor => {}
            }
        }
    }
}

/// A recipient that fetches nothing, or asks for much, takes no room from another one.
#[tokio::test]
async fn filling_for_one_recipient_leaves_room_for_the_others() {
    let exchange = ExchangeServer::bare().await;
    exchange.apply(small).await;
    let bureau = exchange.connect("bureau").await;
    let [a, b] = ["insurer-a", "insurer-b"].map(|name| RecipientName::new(name).unwrap());
    let body = Bytes::from(vec![0; SIZE]);
    let mut expected = 0;
    let refused = loop {
        match bureau.publish_chunk(&lane(&a), body.clone(), expected).await {
            Ok(Published::Done { sequence }) => expected = sequence,
            Ok(other) => panic!("{other:?}"),
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused.kind, ErrorKind::Full, "{refused}");
    let mut number = 0;
    let refused = loop {
        number += 1;
        match bureau.publish_part(&a, &id(), 1, number, body.clone()).await {
            Ok(Filed::Done { .. }) => {}
            Ok(other) => panic!("{other:?}"),
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused.kind, ErrorKind::Full, "{refused}");
    published("chunk", bureau.publish_chunk(&lane(&b), body.clone(), 0).await);
    stored("part", bureau.publish_part(&b, &id(), 1, 1, body.clone()).await);
    stored("reply", bureau.reply(&b, &id(), body).await);
}

/// An agent that runs wild, or a thief of its connection key, does not stop its operator's orders.
#[tokio::test]
async fn filling_of_everything_else_leaves_a_party_its_orders() {
    let scene = Scene::bare().await;
    scene.exchange.apply(small).await;
    for name in ["bureau", "insurer-a", "insurer-b"] {
        fill(&scene, name, "control.").await;
    }
    for name in ["bureau", "insurer-a", "insurer-b"] {
        let party = scene.exchange.connect(name).await;
        let party_name = PartyName::new(name).unwrap();
        published(name, party.publish_control(&party_name, A, 0).await);
    }
}

#[tokio::test]
async fn message_over_the_limit_of_its_stream_is_refused_as_too_large() {
    let exchange = ExchangeServer::start().await;
    let insurer = exchange.connect("insurer-a").await;
    let recipient = RecipientName::new("insurer-a").unwrap();
    let party = PartyName::new("insurer-a").unwrap();
    let large = |kib: usize| Bytes::from(vec![0; kib * 1024]);
    for (what, done) in [
        (
            "request",
            insurer
                .file_request(&recipient, &id(), large(64))
                .await
                .map(|_| ()),
        ),
        (
            "cancel",
            insurer
                .cancel_request(&recipient, &id(), large(64))
                .await
                .map(|_| ()),
        ),
        (
            "confirm",
            insurer.confirm(&recipient, &id(), large(64)).await.map(|_| ()),
        ),
        (
            "receipt",
            insurer
                .publish_receipt(&lane(&recipient), large(64), 0)
                .await
                .map(|_| ()),
        ),
        (
            "control",
            insurer.publish_control(&party, large(64), 0).await.map(|_| ()),
        ),
        (
            "audit",
            insurer
                .publish_audit(&party, &party, large(256), 0)
                .await
                .map(|_| ()),
        ),
    ] {
        assert_eq!(done.unwrap_err().kind, ErrorKind::TooLarge, "{what}");
    }
    stored(
        "request",
        insurer.file_request(&recipient, &id(), large(63)).await,
    );
    published(
        "audit",
        insurer.publish_audit(&party, &party, large(255), 0).await,
    );
}

#[tokio::test]
async fn fullness_of_own_streams_is_readable_by_the_party() {
    let exchange = ExchangeServer::bare().await;
    exchange.apply(small).await;
    let insurer = exchange.connect("insurer-a").await;
    let party = PartyName::new("insurer-a").unwrap();
    let alarming = async || {
        let all = insurer.fullness(Role::Recipient).await.unwrap();
        assert_eq!(all.len(), 6, "{all:?}");
        let alarming: Vec<String> = all
            .into_iter()
            .filter(nats::Fullness::is_alarming)
            .map(|fullness| fullness.stream)
            .collect();
        alarming
    };
    assert!(alarming().await.is_empty());
    let mut expected = 0;
    for _ in 0..5 {
        match insurer
            .publish_audit(&party, &party, vec![0; SIZE].into(), expected)
            .await
        {
            Ok(Published::Done { sequence }) => expected = sequence,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(alarming().await, ["AUDIT_insurer-a"]);
    let bureau = exchange.connect("bureau").await;
    assert_eq!(bureau.fullness(Role::Bureau).await.unwrap().len(), 2 * 5 + 3);
}
