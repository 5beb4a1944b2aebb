//! Tests over an exchange in memory, with a simulated bureau.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use exchange::{Exchange, RequestExchange};
use exchange_testing::memory::Memory;
use jiff::Timestamp;
use schemas::body::BodyFormat;
use schemas::column::{Column, ColumnType, RowSchema};
use schemas::digest::Digest;
use schemas::envelope::Envelope;
use schemas::load::Load;
use schemas::manifest::{Algorithms, Content, Totals};
use schemas::name::RecipientName;
use schemas::origin::Origin;
use schemas::part::{self, Part};
use schemas::reply::{Outcome, Reply};
use schemas::request::{Request, RequestId};
use schemas::rows::pack;
use schemas::sign::SigningKey;
use schemas::value::Value;

use super::{Client, Identity};
use crate::{Ask, Cell, Error};

fn recipient() -> RecipientName {
    "insurer-a".parse().unwrap()
}

fn ask() -> Ask {
    Ask::new("setl.by_person", "01", "01", "claim 7", "desk").argument("psn_no", "p1")
}

fn client(exchange: &Arc<Memory>, bureau: &SigningKey) -> Client {
    let identity = Identity {
        recipient: recipient(),
        origin: Origin::default(),
        signing_seed: SigningKey::generate().seed().unwrap(),
        trusted: vec![bureau.public().clone()],
        decryption_seeds: vec![],
    };
    Client::over(Arc::clone(exchange) as Arc<dyn Exchange>, &identity).unwrap()
}

/// Publishes a reply with these rows in one part; the reply names the digest `named` if given.
async fn answer(exchange: &Memory, id: &RequestId, rows: &[i64], key: &SigningKey, named: Option<Digest>) {
    let (stored, _) = exchange.request_status(&recipient(), id).await.unwrap();
    let envelope = Envelope::decode(&stored.unwrap().bytes).unwrap();
    let request: Request = envelope.read().unwrap();
    let mut plain = Vec::new();
    for row in rows {
        pack(&[Value::Int(*row), Value::Text("12.30")], &mut plain).unwrap();
    }
    let column = |name: &str, kind| Column {
        name: name.to_owned(),
        kind,
        nullable: false,
    };
    let part = Part {
        id: id.clone(),
        recipient: recipient(),
        request: envelope.digest(),
        attempt: 1,
        number: 1,
        content: Content {
            schema: RowSchema {
                name: request.kind,
                version: 1,
                columns: vec![
                    column("id", ColumnType::Int8),
                    column("amount", ColumnType::Text { max: None }),
                ],
                key: Vec::new(),
                tombstone: None,
            },
            definition: Digest::of(&[b"kind"]),
            totals: Totals {
                rows: rows.len() as u64,
                ..Totals::default()
            },
            load: Load::default(),
            rejects: Vec::new(),
            body: BodyFormat::default(),
            read_from: Timestamp::UNIX_EPOCH,
            read_to: Timestamp::UNIX_EPOCH,
            algorithms: Algorithms::default(),
            instance: "one".to_owned(),
            key: key.public().clone(),
        },
    };
    let signed = part::SignedPart::sign(part, &plain, key, None).unwrap();
    let digest = named.unwrap_or(signed.digest);
    exchange
        .publish_part(&recipient(), id, 1, 1, Bytes::from(signed.bytes))
        .await
        .unwrap();
    let reply = Reply {
        id: id.clone(),
        recipient: recipient(),
        request: envelope.digest(),
        outcome: Outcome::Answered {
            rows: rows.len() as u64,
            parts: vec![digest],
        },
        attempt: Some(1),
        definition: None,
        load: None,
        read_from: None,
        read_to: None,
        withheld: 0,
        instance: "one".to_owned(),
        at: Timestamp::now(),
        key: key.public().clone(),
    };
    let bytes = Envelope::sign(&reply, Vec::new(), key).unwrap().encode().unwrap();
    exchange
        .reply(&recipient(), id, Bytes::from(bytes))
        .await
        .unwrap();
}

#[tokio::test]
async fn client_files_once_and_reads_the_answer() {
    let (exchange, bureau) = (Arc::new(Memory::new(&[recipient()])), SigningKey::generate());
    let client = client(&exchange, &bureau);
    let id = client.file(&ask()).await.unwrap();
    assert_eq!(client.file(&ask()).await.unwrap(), id);
    assert!(client.answer(&id).await.unwrap().is_none());
    let status = client.status(&id).await.unwrap();
    assert_eq!(status.now().unwrap().state.name(), "stored");
    let soon = client
        .wait(&id, Duration::from_millis(1), Duration::from_millis(20))
        .await;
    assert!(matches!(soon, Err(Error::NotYet(_))));

    answer(&exchange, &id, &[7, 8], &bureau, None).await;
    let answer = client
        .wait(&id, Duration::from_millis(1), Duration::from_secs(9))
        .await
        .unwrap();
    let rows: Vec<Vec<Cell>> = answer.rows().collect::<Result<_, _>>().unwrap();
    assert_eq!(rows.len(), 2);
    assert!(rows[1] == [Cell::Int(8), Cell::Text("12.30".to_owned())]);
    assert_eq!(answer.columns()[1].name, "amount");
    assert_eq!(answer.outcome().name(), "answered");
    assert_eq!(
        client.status(&id).await.unwrap().now().unwrap().state.name(),
        "answered"
    );
}

#[tokio::test]
async fn client_reused_key_is_refused_and_lost_ack_is_not() {
    let (exchange, bureau) = (Arc::new(Memory::new(&[recipient()])), SigningKey::generate());
    let client = client(&exchange, &bureau);
    exchange.lose_acknowledgements(1);
    let id = client.file(&ask()).await.unwrap();
    exchange.lose_acknowledgements(0);
    let other = client.file(&ask().argument("psn_no", "p2")).await;
    assert!(matches!(other, Err(Error::KeyTaken(taken)) if taken == id));
    client.cancel(&id, "a mistake").await.unwrap();
    assert!(client.status(&id).await.unwrap().cancel_requested_at.is_some());
    let unknown = "20260131-abcdefgh".parse().unwrap();
    assert!(matches!(
        client.cancel(&unknown, "no").await,
        Err(Error::Unknown(_))
    ));
}

#[tokio::test]
async fn client_refuses_an_invalid_answer() {
    let (exchange, bureau) = (Arc::new(Memory::new(&[recipient()])), SigningKey::generate());
    let client = client(&exchange, &bureau);
    let forged = client.file(&ask()).await.unwrap();
    answer(&exchange, &forged, &[1], &SigningKey::generate(), None).await;
    assert!(matches!(client.answer(&forged).await, Err(Error::Message(_))));
    let swapped = Ask::new("setl.by_person", "01", "01", "claim 8", "desk");
    let swapped = client.file(&swapped).await.unwrap();
    answer(
        &exchange,
        &swapped,
        &[1],
        &bureau,
        Some(Digest::of(&[b"another"])),
    )
    .await;
    assert!(matches!(
        client.answer(&swapped).await,
        Err(Error::Contradiction { .. })
    ));
}
