//! The content of the exchange.

use exchange::stream_state::Replica;
use exchange::{Fullness, Result};
use serde::Serialize;
use serde_json::{Map, Value};

use super::admin::{Admin, LiveStream};
use crate::stream_state::{copies, number};

/// The streams with what they hold.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// By name.
    pub streams: Vec<StreamStatus>,
}

/// One stream.
#[derive(Debug, Clone, Serialize)]
pub struct StreamStatus {
    /// Its name.
    pub name: String,
    /// Messages in it.
    pub messages: u64,
    /// Bytes in it.
    pub bytes: u64,
    /// Its limit in bytes; none: unlimited.
    pub max_bytes: Option<u64>,
    /// Different subjects in it.
    pub subjects: u64,
    /// The sequence of its first message.
    pub first_sequence: u64,
    /// The sequence of its last message.
    pub last_sequence: u64,
    /// When the last message was stored; `None` if it is empty.
    pub last_stored_at: Option<jiff::Timestamp>,
    /// The server that leads it; `None` without a cluster, or without a leader.
    pub leader: Option<String>,
    /// Its other copies, by server; empty without a cluster.
    pub replicas: Vec<Replica>,
    /// By name.
    pub consumers: Vec<ConsumerStatus>,
}

impl StreamStatus {
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

/// One consumer.
#[derive(Debug, Clone, Serialize)]
pub struct ConsumerStatus {
    /// Its name.
    pub name: String,
    /// Messages that were never delivered.
    pub pending: u64,
    /// Messages delivered and not settled.
    pub ack_pending: u64,
    /// Of these, how many were delivered more than once.
    pub redelivered: u64,
    /// Fetches that wait.
    pub waiting: u64,
    /// Whether an administrator has paused it.
    pub paused: bool,
}

/// Reads the current state of the exchange.
///
/// # Errors
/// Those of the exchange's operations.
pub async fn status(admin: &Admin) -> Result<Status> {
    let mut streams: Vec<StreamStatus> = admin.live().await?.streams.iter().map(stream).collect();
    streams.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Status { streams })
}

fn stream(live: &LiveStream) -> StreamStatus {
    let messages = number(&live.state, "messages");
    let mut consumers: Vec<ConsumerStatus> = live.consumers.iter().map(consumer).collect();
    consumers.sort_by(|a, b| a.name.cmp(&b.name));
    let (leader, mut replicas) = copies(live.cluster.as_ref());
    replicas.sort_by(|a, b| a.server.cmp(&b.server));
    StreamStatus {
        name: text(&live.config, "name").to_owned(),
        messages,
        bytes: number(&live.state, "bytes"),
        max_bytes: live
            .config
            .get("max_bytes")
            .and_then(Value::as_u64)
            .filter(|limit| *limit > 0),
        subjects: number(&live.state, "num_subjects"),
        first_sequence: number(&live.state, "first_seq"),
        last_sequence: number(&live.state, "last_seq"),
        last_stored_at: text(&live.state, "last_ts").parse().ok().filter(|_| messages > 0),
        leader,
        replicas,
        consumers,
    }
}

fn consumer(live: &Map<String, Value>) -> ConsumerStatus {
    ConsumerStatus {
        name: text(live, "name").to_owned(),
        pending: number(live, "num_pending"),
        ack_pending: number(live, "num_ack_pending"),
        redelivered: number(live, "num_redelivered"),
        waiting: number(live, "num_waiting"),
        paused: live.get("paused").and_then(Value::as_bool).unwrap_or(false),
    }
}

fn text<'a>(map: &'a Map<String, Value>, key: &str) -> &'a str {
    map.get(key).and_then(Value::as_str).unwrap_or_default()
}
