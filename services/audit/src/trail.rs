//! Trails: everything in the streams about one request or one person, each message with its signer and whether it is valid.
//!
//! - [`mark`] PURE: what identifies a person in the streams
//! - [`message`] opens a message for a trail
//! - [`request`] the trail of a request; [`person`] the trail of a person
//! - [`rows`] PURE: the rows of a person in a chunk or in a part of an answer

pub mod mark;
pub mod message;
pub mod person;
pub mod request;
pub mod rows;

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemas::sign::PublicKey;
use verification::StreamId;

use crate::walk::WalkEnd;
use message::TrailMessage;

/// The use of a key in the messages of a trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrailKey {
    /// The key.
    pub key: PublicKey,
    /// Messages that it signed.
    pub messages: u64,
    /// When the first of them was stored.
    pub first: Timestamp,
    /// When the last of them was stored.
    pub last: Timestamp,
}

/// Returns the use of each key that signed one of the messages, in the order of first use.
pub fn keys_of<'a>(messages: impl IntoIterator<Item = &'a TrailMessage>) -> Vec<TrailKey> {
    let mut keys: BTreeMap<String, TrailKey> = BTreeMap::new();
    for message in messages {
        let Some(key) = &message.key else { continue };
        let used = keys.entry(key.to_string()).or_insert_with(|| TrailKey {
            key: key.clone(),
            messages: 0,
            first: message.stored_at,
            last: message.stored_at,
        });
        used.messages += 1;
        used.first = used.first.min(message.stored_at);
        used.last = used.last.max(message.stored_at);
    }
    let mut keys: Vec<TrailKey> = keys.into_values().collect();
    keys.sort_by_key(|used| used.first);
    keys
}

/// Describes a stream whose end was not reached; `None` if it was.
pub(crate) fn describe_end(stream: &StreamId, end: WalkEnd) -> Option<String> {
    match end {
        WalkEnd::Reached => None,
        WalkEnd::Unknown => Some(format!("the end of {stream}: its last sequence is not known")),
        WalkEnd::Missed { end } => Some(format!(
            "the end of {stream}: the exchange did not return the messages up to sequence {end}, which its leader has"
        )),
    }
}
