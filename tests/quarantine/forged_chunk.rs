//! A valid chunk after a lane's tail, signed by a key of the test.

use std::fs;

use bytes::Bytes;
use exchange::{Exchange, FeedExchange};
use jiff::Timestamp;
use nats::{JetStream, Options};
use schemas::chunk::SignedChunk;
use schemas::envelope::Envelope;
use schemas::manifest::{Manifest, Totals};
use schemas::name::Lane;
use schemas::rows::pack;
use schemas::sign::SigningKey;
use schemas::value::Value;

use crate::pipeline::site::Site;

pub(super) fn lane() -> Lane {
    Lane {
        recipient: "insurer-a".parse().unwrap(),
        feed: "claim".parse().unwrap(),
    }
}

pub(super) async fn bureau(site: &Site) -> JetStream {
    let seed = fs::read_to_string(site.file("keys/bureau/connect.seed")).unwrap();
    JetStream::connect(Options::command(site.nats.url(), "bureau", seed.trim()))
        .await
        .unwrap()
}

/// Publishes bytes after the tail, with the bureau's own credential.
pub(super) async fn publish(site: &Site, bytes: Vec<u8>) {
    let bureau = bureau(site).await;
    let tail = bureau.last_chunk(&lane()).await.unwrap().unwrap().sequence;
    bureau
        .publish_chunk(&lane(), Bytes::from(bytes), tail)
        .await
        .unwrap();
    bureau.close().await;
}

/// Returns a chunk with the number after the tail and these rows, `(id, name)`.
pub(super) async fn forged(site: &Site, key: &SigningKey, rows: &[(i64, &str)]) -> Vec<u8> {
    let bureau = bureau(site).await;
    let tail = bureau.last_chunk(&lane()).await.unwrap().unwrap();
    bureau.close().await;
    let envelope = Envelope::decode(&tail.bytes).unwrap();
    let last: Manifest = envelope.read().unwrap();
    let mut plain = Vec::new();
    for (id, name) in rows {
        let row = [
            Value::Int(*id),
            Value::Text("2026-02-01 00:00:00+00"),
            Value::Bool(false),
            Value::Text(name),
            Value::Text("1.00"),
            Value::Null,
        ];
        pack(&row, &mut plain).unwrap();
    }
    let now = Timestamp::now();
    let mut manifest = Manifest {
        number: last.number + 1,
        previous: Some(envelope.digest()),
        opening: None,
        cursor_before: last.cursor_after.clone(),
        ..last
    };
    manifest.content.totals = Totals {
        rows: rows.len() as u64,
        ..Totals::default()
    };
    (manifest.content.read_from, manifest.content.read_to) = (now, now);
    manifest.content.key = key.public().clone();
    let sum = format!("{}.00", rows.len());
    manifest.content.totals.money.insert("amount".to_owned(), sum);
    SignedChunk::sign(manifest, &plain, key, None).unwrap().bytes
}
