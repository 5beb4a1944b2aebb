//! Malicious input: no decoder panics, allocates without limit or accepts altered bytes.
//!
//! Random bytes fail at the frame, so other inputs go further: published messages with bytes changed, removed, inserted and
//! joined; payloads with any part replaced and then signed, so that the signature is valid; bodies that contradict their
//! description; and decompression bombs of each layer. Every run compares the thread's allocations with the input size.
//!
//! - `counting` counts allocated bytes
//! - `tamper` changes to bytes and to trees

#![allow(clippy::unwrap_used, reason = "a failed setup must fail the test")]

mod counting;
mod tamper;

use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use schemas::approval::Approval;
use schemas::audit::AuditEntry;
use schemas::body::{BodyFormat, MAX_PLAIN_BYTES};
use schemas::chunk;
use schemas::confirm::Confirm;
use schemas::control::Control;
use schemas::cursor::Cursor;
use schemas::digest::Digest;
use schemas::encryption::DecryptionKeys;
use schemas::envelope::{Envelope, Payload};
use schemas::lease::Lease;
use schemas::manifest::Manifest;
use schemas::name::{FeedName, RecipientName};
use schemas::part::{self, Part};
use schemas::progress::Progress;
use schemas::receipt::Receipt;
use schemas::reply::Reply;
use schemas::request::{Cancel, Request, RequestId};
use schemas::rows::{RowReader, pack};
use schemas::sign::{PublicKey, SigningKey};
use schemas::status_report::{StatusReport, WatchNote};
use schemas::subject::Subject;
use schemas::value::Value;
use serde::de::DeserializeOwned;
use serde_bytes::ByteBuf;
use serde_json::Value as Json;

use counting::bounded;
use tamper::{change, changed, json, tampered};

const SEED: &str = "SAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn key() -> SigningKey {
    SigningKey::from_seed(SEED).unwrap_or_else(|_| SigningKey::generate())
}

/// Returns published messages of every kind.
fn published() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/v1");
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "bin"))
        .collect();
    files.sort();
    files.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

fn payload<P: Payload + DeserializeOwned>(bytes: &[u8], trusted: &[PublicKey]) {
    let _ = serde_json::from_slice::<P>(bytes);
    if let Ok(envelope) = Envelope::decode(bytes) {
        let _ = envelope.read::<P>();
        let _ = envelope.verify::<P>(trusted);
        let _ = serde_json::from_slice::<P>(&envelope.payload);
    }
}

/// Runs every decoder of foreign bytes.
fn every_decoder(bytes: &[u8], trusted: &[PublicKey]) {
    if let Ok(verified) = chunk::VerifiedChunk::open(bytes, trusted, &DecryptionKeys::default()) {
        drain(
            &verified.plain,
            verified.manifest.content.schema.columns.len(),
            verified.manifest.content.totals.rows,
        );
    }
    let _ = chunk::read_untrusted(bytes);
    payload::<Manifest>(bytes, trusted);
    payload::<Receipt>(bytes, trusted);
    payload::<Lease>(bytes, trusted);
    payload::<Request>(bytes, trusted);
    payload::<Cancel>(bytes, trusted);
    payload::<Reply>(bytes, trusted);
    payload::<Part>(bytes, trusted);
    let _ = part::VerifiedPart::open(bytes, trusted, &DecryptionKeys::default());
    payload::<Progress>(bytes, trusted);
    payload::<Approval>(bytes, trusted);
    payload::<Confirm>(bytes, trusted);
    payload::<Control>(bytes, trusted);
    payload::<AuditEntry>(bytes, trusted);
    payload::<StatusReport>(bytes, trusted);
    let _ = WatchNote::read(bytes);
    let _ = serde_json::from_slice::<Cursor>(bytes);
    for width in [0, 1, 5, 300] {
        drain(bytes, width, u64::from(u32::MAX));
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = text.parse::<Subject>();
        let _ = text.parse::<RequestId>();
        let _ = text.parse::<RecipientName>();
        let _ = text.parse::<FeedName>();
        let _ = Digest::from_hex(text);
        let _ = PublicKey::new(text);
        let _ = SigningKey::from_seed(text);
        let mut total = schemas::total::Total::default();
        total.add(Value::Text(text));
        let _ = total.to_string();
    }
}

fn drain(bytes: &[u8], width: usize, rows: u64) {
    let (mut reader, mut row) = (RowReader::new(bytes, width, rows), Vec::new());
    while let Ok(true) = reader.next_into(&mut row) {}
}

/// Signs any payload, as a faulty publisher could.
fn published_as(kind: &str, payload: &[u8], body: Vec<u8>, key: &SigningKey) -> Vec<u8> {
    let signature = key.sign(&[kind.as_bytes(), &[0], payload].concat()).unwrap();
    let envelope = Envelope {
        kind: kind.to_owned(),
        payload: ByteBuf::from(payload),
        signature: ByteBuf::from(signature),
        body: ByteBuf::from(body),
    };
    envelope.encode().unwrap()
}

proptest! {
    #[test]
    fn decoders_bound_random_bytes(bytes in vec(any::<u8>(), 0..3_000)) {
        bounded(bytes.len(), || every_decoder(&bytes, &[]));
    }

    #[test]
    fn decoders_bound_random_text(text in "\\PC{0,200}") {
        bounded(text.len(), || every_decoder(text.as_bytes(), &[]));
    }

    #[test]
    fn decoders_bound_changed_messages(which in any::<Index>(), changes in vec(change(), 1..8)) {
        let all = published();
        let mut bytes = all[which.index(all.len())].clone();
        changed(&mut bytes, &changes);
        let trusted = [key().public().clone()];
        bounded(bytes.len(), || every_decoder(&bytes, &trusted));
    }

    #[test]
    fn decoders_refuse_truncated_and_joined_messages(which in any::<Index>(), other in any::<Index>(), at in any::<Index>()) {
        let all = published();
        let (one, two) = (&all[which.index(all.len())], &all[other.index(all.len())]);
        let cut = one[..at.index(one.len())].to_vec();
        prop_assert!(Envelope::decode(&cut).is_err(), "a message truncated at {} was accepted", cut.len());
        let joined = [&cut[..], two].concat();
        let appended = [&one[..], &two[..at.index(two.len()).max(1)]].concat();
        prop_assert!(Envelope::decode(&appended).is_err(), "bytes after a message were not detected");
        for bytes in [cut, joined, appended] {
            bounded(bytes.len(), || every_decoder(&bytes, &[]));
        }
    }

    /// With a valid signature: a manifest that contradicts itself, its body or its rows.
    #[test]
    fn decoders_bound_signed_contradictory_payloads(
        which in any::<Index>(), at in any::<Index>(), again in any::<Index>(), new in json(), newer in json(), how in 0_u8..4,
    ) {
        let all = published();
        let envelope = Envelope::decode(&all[which.index(all.len())]).unwrap();
        let key = SigningKey::generate();
        let mut tree: Json = serde_json::from_slice(&envelope.payload).unwrap();
        tampered(&mut tree, &at, &new, how);
        if how == 3 {
            tampered(&mut tree, &again, &newer, how);
        }
        // Signed by the declared key.
        if let Some(named) = tree.pointer_mut("/publisher/key") {
            *named = Json::from(key.public().as_str());
        }
        if let Some(named) = tree.get_mut("key").filter(|named| named.is_string()) {
            *named = Json::from(key.public().as_str());
        }
        let payload = serde_json::to_vec(&tree).unwrap();
        let bytes = published_as(&envelope.kind, &payload, envelope.body.to_vec(), &key);
        bounded(bytes.len(), || every_decoder(&bytes, std::slice::from_ref(key.public())));
    }

    /// A body with the right digest that contradicts its description.
    #[test]
    fn decoders_bound_signed_random_bodies(
        bytes in vec(any::<u8>(), 0..2_000), plain_bytes in prop_oneof![any::<u64>(), 0_u64..4_000_000],
        rows in prop_oneof![any::<u64>(), 0_u64..20], packed in any::<bool>(), declared in any::<bool>(),
    ) {
        let key = SigningKey::generate();
        let all = published();
        let chunk = all.iter().find(|bytes| chunk::read_untrusted(bytes).is_some()).unwrap();
        let (mut manifest, _) = chunk::read_untrusted(chunk).unwrap();
        let body = if packed { zstd::bulk::compress(&bytes, 1).unwrap() } else { bytes.clone() };
        manifest.content.key = key.public().clone();
        manifest.content.totals.rows = rows;
        manifest.content.body = BodyFormat {
            digest: Digest::of(&[&body]),
            bytes: body.len() as u64,
            plain_bytes: if declared { bytes.len() as u64 } else { plain_bytes },
            compression: if packed { "zstd".into() } else { "none".into() },
            ..manifest.content.body
        };
        let message = published_as(Manifest::KIND, &serde_json::to_vec(&manifest).unwrap(), body, &key);
        bounded(message.len(), || {
            if let Ok(opened) = chunk::VerifiedChunk::open(&message, std::slice::from_ref(key.public()), &DecryptionKeys::default()) {
                assert_eq!(opened.plain, bytes, "the opened body differs");
            }
        });
    }

    #[test]
    fn rows_of_any_values_round_trip_and_truncation_fails(
        row in vec(prop_oneof![
            Just(None), any::<bool>().prop_map(|v| Some(OwnedValue::Bool(v))), any::<i64>().prop_map(|v| Some(OwnedValue::Int(v))),
            any::<u64>().prop_map(|v| Some(OwnedValue::Float(v))), "\\PC{0,40}".prop_map(|v| Some(OwnedValue::Text(v))),
            vec(any::<u8>(), 0..300).prop_map(|v| Some(OwnedValue::Bytes(v))),
        ], 1..40),
        cut in any::<Index>(),
    ) {
        let values: Vec<Value<'_>> = row.iter().map(|value| match value {
            None => Value::Null,
            Some(OwnedValue::Bool(v)) => Value::Bool(*v),
            Some(OwnedValue::Int(v)) => Value::Int(*v),
            Some(OwnedValue::Float(v)) => Value::Float(f64::from_bits(*v)),
            Some(OwnedValue::Text(v)) => Value::Text(v),
            Some(OwnedValue::Bytes(v)) => Value::Bytes(v),
        }).collect();
        let mut bytes = Vec::new();
        pack(&values, &mut bytes).unwrap();
        let mut read = Vec::new();
        prop_assert!(RowReader::new(&bytes, values.len(), 1).next_into(&mut read).unwrap());
        // Bit by bit: NaN is not equal to itself, and -0 is to 0.
        let bits = |values: &[Value<'_>]| values.iter().map(|value| match value {
            Value::Float(v) => format!("{:x}", v.to_bits()),
            other => format!("{other:?}"),
        }).collect::<Vec<_>>();
        prop_assert_eq!(bits(&read), bits(&values));
        let cut = cut.index(bytes.len());
        prop_assert!(RowReader::new(&bytes[..cut], values.len(), 1).next_into(&mut Vec::new()).is_err());
    }
}

/// An owned value, for the strategy above.
#[derive(Debug, Clone)]
enum OwnedValue {
    Bool(bool),
    Int(i64),
    Float(u64),
    Text(String),
    Bytes(Vec<u8>),
}

#[test]
fn decoders_refuse_a_bomb_by_its_declared_size() {
    let bomb = zstd::bulk::compress(&vec![0; 100_000_000], 19).unwrap();
    assert!(bomb.len() < 10_240, "{}", bomb.len());
    let key = SigningKey::generate();
    let all = published();
    let chunk = all
        .iter()
        .find(|bytes| chunk::read_untrusted(bytes).is_some())
        .unwrap();
    let (mut manifest, _) = chunk::read_untrusted(chunk).unwrap();
    manifest.content.key = key.public().clone();
    // In clear: a decrypted body is unpacked by the same function.
    manifest.content.body.encryption = None;
    manifest.content.body.digest = Digest::of(&[&bomb]);
    manifest.content.body.bytes = bomb.len() as u64;
    let max = MAX_PLAIN_BYTES as u64;
    for plain_bytes in [100_000_000, u64::MAX, max + 1, max, 1_000, 0] {
        manifest.content.body.plain_bytes = plain_bytes;
        let payload = serde_json::to_vec(&manifest).unwrap();
        let message = published_as(Manifest::KIND, &payload, bomb.clone(), &key);
        let opened = bounded(message.len(), || {
            chunk::VerifiedChunk::open(
                &message,
                std::slice::from_ref(key.public()),
                &DecryptionKeys::default(),
            )
        });
        assert!(
            matches!(opened, Err(chunk::ChunkError::Body(_))),
            "{plain_bytes}: {opened:?}"
        );
    }
}

#[test]
fn decoders_bound_declared_lengths_and_depth() {
    let deep_json = "[".repeat(200_000);
    let deep_maps = "{\"kind\":".repeat(100_000);
    let deep_rmp = vec![0x91_u8; 200_000];
    let heads: [&[u8]; 6] = [
        &[0x94, 0xdb, 0xff, 0xff, 0xff, 0xff],
        &[0x94, 0xa1, b'k', 0xc6, 0xff, 0xff, 0xff, 0xff],
        &[0xdd, 0xff, 0xff, 0xff, 0xff],
        &[0xdf, 0xff, 0xff, 0xff, 0xff],
        &[0x95, 0xc6, 0x7f, 0xff, 0xff, 0xff, 0xc0],
        &[0xc1],
    ];
    for bytes in heads
        .into_iter()
        .chain([deep_json.as_bytes(), deep_maps.as_bytes(), &deep_rmp])
    {
        bounded(bytes.len(), || every_decoder(bytes, &[]));
    }
    // A payload of the maximum size that consists of small items.
    let key = SigningKey::generate();
    let flat = format!(
        "{{\"newest\":{{\"action\":{{\"kind\":\"x\",\"of\":[{}0]}}}}}}",
        "0,".repeat(1_900_000)
    );
    let bytes = published_as(Control::KIND, flat.as_bytes(), Vec::new(), &key);
    bounded(bytes.len(), || {
        let _ = Envelope::decode(&bytes).unwrap().read::<Control>();
    });
}

/// The signature does not cover the frame, so only its canonical form is accepted.
#[test]
fn envelope_frame_in_another_form_is_refused() {
    for bytes in published() {
        let envelope = Envelope::decode(&bytes).unwrap();
        // The kind with a two-byte header instead of one: the same four parts to any reader.
        let longer = [
            &[0x94, 0xd9, u8::try_from(envelope.kind.len()).unwrap()][..],
            &bytes[2..],
        ]
        .concat();
        assert!(Envelope::decode(&longer).is_err());
        assert!(Envelope::decode(&[&bytes[..], b"x"].concat()).is_err());
    }
}
