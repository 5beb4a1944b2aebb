//! The state of one stream: what it holds, and its replicas.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fullness::Fullness;

/// A stream as its leader reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StreamState {
    /// Its name.
    pub name: String,
    /// Messages in it.
    pub messages: u64,
    /// Bytes in it.
    pub bytes: u64,
    /// Its limit in bytes; `None`: unlimited.
    pub max_bytes: Option<u64>,
    /// The sequence of its first message.
    pub first_sequence: u64,
    /// The sequence of its last message.
    pub last_sequence: u64,
    /// When its first message was stored; `None` if it is empty.
    #[schemars(with = "Option<String>")]
    pub first_stored_at: Option<Timestamp>,
    /// When its last message was stored; `None` if it is empty.
    #[schemars(with = "Option<String>")]
    pub last_stored_at: Option<Timestamp>,
    /// The server that leads it; `None` without a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<String>,
    /// Its other copies, by server; empty without a cluster.
    #[serde(default)]
    pub replicas: Vec<Replica>,
}

/// A copy of a stream on a server that does not lead it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Replica {
    /// The server.
    pub server: String,
    /// Whether it has everything that the leader has.
    pub is_current: bool,
    /// Whether the leader does not reach it.
    pub is_offline: bool,
    /// Operations that it lacks.
    pub lag: u64,
    /// How long ago the leader heard from it, in milliseconds.
    pub active_ms: u64,
}

impl StreamState {
    /// How much of the limit is used; `None` without a limit.
    #[must_use]
    pub fn fullness(&self) -> Option<Fullness> {
        Some(Fullness {
            stream: self.name.clone(),
            bytes: self.bytes,
            max_bytes: self.max_bytes?,
        })
    }
}
