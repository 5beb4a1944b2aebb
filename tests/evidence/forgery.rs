//! Changes signed messages, with a valid signature, a stranger's or the old one.

use std::collections::BTreeMap;

use exchange::Stored;
use schemas::digest::Digest;
use schemas::envelope::{Envelope, Payload};
use schemas::manifest::Manifest;
use schemas::sign::SigningKey;
use serde_bytes::ByteBuf;
use serde_json::{Value, json};

/// Changes the payload and signs it with this key.
pub(super) fn sign_again<P: Payload>(bytes: &[u8], key: &SigningKey, change: impl FnOnce(&mut P)) -> Vec<u8> {
    let envelope = Envelope::decode(bytes).unwrap();
    let mut payload: P = envelope.read().unwrap();
    change(&mut payload);
    Envelope::sign(&payload, envelope.body.into_vec(), key)
        .unwrap()
        .encode()
        .unwrap()
}

fn change_json(bytes: &[u8], change: impl FnOnce(&mut Value)) -> Envelope {
    let mut envelope = Envelope::decode(bytes).unwrap();
    let mut payload: Value = serde_json::from_slice(&envelope.payload).unwrap();
    change(&mut payload);
    envelope.payload = ByteBuf::from(serde_json::to_vec(&payload).unwrap());
    envelope
}

/// Signs a message of any kind with a key of its own, which it names.
pub(super) fn forge(bytes: &[u8]) -> Vec<u8> {
    let key = SigningKey::generate();
    let mut envelope = change_json(bytes, |payload| {
        rows_or_message(payload)["key"] = json!(key.public());
    });
    let preimage = [envelope.kind.as_bytes(), &[0], &envelope.payload].concat();
    envelope.signature = ByteBuf::from(key.sign(&preimage).unwrap());
    envelope.encode().unwrap()
}

/// Returns what names signer and times: the rows of a chunk or part, or the message itself.
fn rows_or_message(payload: &mut Value) -> &mut Value {
    if payload.get("content").is_some() {
        &mut payload["content"]
    } else {
        payload
    }
}

/// Changes a time in a message of any kind, and keeps the signature.
pub(super) fn alter(bytes: &[u8]) -> Vec<u8> {
    let envelope = change_json(bytes, |payload| {
        let payload = rows_or_message(payload);
        let name = ["at", "filed_at", "read_to", "stored_at"]
            .into_iter()
            .find(|name| payload.get(*name).is_some())
            .unwrap();
        payload[name] = json!("2020-01-01T00:00:00Z");
    });
    envelope.encode().unwrap()
}

/// Rewrites the history of a lane from one of its chunks on: each chunk is linked again and signed with the key that signed it.
pub(super) fn rewrite_history(chunks: &mut [Stored], subject: &str, from: usize, keys: &[SigningKey]) {
    let mut rewritten: BTreeMap<(u32, u64), Digest> = BTreeMap::new();
    let mut last: Option<Digest> = None;
    let of_lane = chunks.iter_mut().filter(|chunk| chunk.subject == subject);
    for (index, chunk) in of_lane.enumerate() {
        let envelope = Envelope::decode(&chunk.bytes).unwrap();
        let manifest: Manifest = envelope.read().unwrap();
        if index >= from {
            let key = keys
                .iter()
                .find(|key| *key.public() == manifest.content.key)
                .unwrap();
            let bytes = sign_again::<Manifest>(&chunk.bytes, key, |manifest| {
                if index == from {
                    manifest.content.instance.push_str("-other");
                }
                if let Some(opening) = &mut manifest.opening {
                    if let Some(link) = &mut opening.continues {
                        link.digest = rewritten
                            .get(&(link.epoch, link.number))
                            .copied()
                            .unwrap_or(link.digest);
                        manifest.previous = Some(link.digest);
                    }
                } else if index > from {
                    manifest.previous = last;
                }
            });
            chunk.bytes = bytes.into();
        }
        let envelope = Envelope::decode(&chunk.bytes).unwrap();
        last = Some(envelope.digest());
        rewritten.insert((manifest.epoch, manifest.number), envelope.digest());
    }
}
