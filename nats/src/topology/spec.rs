//! The format of a topology file, in the server's terms.
//!
//! `persist_mode` is not offered: `async` silently switches fsync off for the stream. An age limit is refused for every
//! stream that does not forget anyway (`discard = "old"`, one message for each subject): it would remove the head
//! of a quiet subject, and a publisher that expects an empty subject would fork the chain.

use schemas::name::PartyName;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::parties::{Parties, Role};

/// The streams and consumers that an exchange is to have.
#[derive(Debug, Clone, Default)]
pub struct Topology {
    /// Streams, by name.
    pub streams: Vec<StreamSpec>,
    /// Consumers, by stream and name.
    pub consumers: Vec<ConsumerSpec>,
}

/// One stream: a file under `streams/`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamSpec {
    /// For each of these parties there is one such stream: `{party}` is replaced by the name.
    #[serde(default)]
    pub each: Option<Each>,
    /// Its name.
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// The subjects it holds.
    pub subjects: Vec<String>,
    /// `file` or `memory`.
    #[serde(default = "file")]
    pub storage: String,
    /// `limits`; the others delete by being read.
    #[serde(default = "limits")]
    pub retention: String,
    /// `new` refuses when full, `old` forgets.
    #[serde(default = "new")]
    pub discard: String,
    /// Its size in bytes at most.
    pub max_bytes: i64,
    /// The size of one message at most, headers included; -1: what the server takes.
    #[serde(default = "unlimited")]
    pub max_msg_size: i64,
    /// The messages kept for each subject; -1: all.
    #[serde(default = "unlimited")]
    pub max_msgs_per_subject: i64,
    /// The age at which a message is removed, in seconds; 0: never. See `StreamSpec::is_age_limit_allowed`.
    #[serde(default)]
    pub max_age_seconds: u64,
    /// Whether a subject that has its messages refuses another.
    #[serde(default)]
    pub discard_new_per_subject: bool,
    /// On how many servers it is kept; without it, on one stand-alone server or on three of a cluster.
    #[serde(default)]
    pub num_replicas: Option<u8>,
    /// No user may delete a single message.
    #[serde(default = "yes")]
    pub deny_delete: bool,
    /// No user may purge.
    #[serde(default)]
    pub deny_purge: bool,
    /// Messages may be read by subject.
    #[serde(default = "yes")]
    pub allow_direct: bool,
}

/// Which parties have such a stream for themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Each {
    /// Every party with an account of its own.
    Party,
    /// Those that publish: the bureau and the recipients.
    Publisher,
    /// The recipients.
    Recipient,
}

impl Each {
    fn has(self, role: Role) -> bool {
        match self {
            Self::Party => role != Role::Administrator,
            Self::Publisher => matches!(role, Role::Bureau | Role::Recipient),
            Self::Recipient => role == Role::Recipient,
        }
    }
}

/// One durable pull consumer: a `[[consumer]]` in a file under `consumers/`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsumerSpec {
    /// The stream it reads.
    pub stream: String,
    /// Its name, which is the recipient's.
    pub name: String,
    /// What it is handed.
    pub filter_subject: String,
    /// Seconds until an unsettled delivery is redelivered.
    pub ack_wait_seconds: u64,
    /// The unsettled deliveries at most.
    pub max_ack_pending: i64,
    /// Maximum deliveries of one message; -1 is unlimited.
    pub max_deliver: i64,
    /// On how many servers it is kept; 0: as the stream.
    #[serde(default)]
    pub num_replicas: u8,
}

/// A file under `consumers/`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConsumerFile {
    pub(crate) consumer: Vec<ConsumerSpec>,
}

fn file() -> String {
    "file".to_owned()
}
fn limits() -> String {
    "limits".to_owned()
}
fn new() -> String {
    "new".to_owned()
}
fn unlimited() -> i64 {
    -1
}
fn yes() -> bool {
    true
}

impl StreamSpec {
    /// The streams that it describes, for these parties.
    pub(crate) fn expanded(self, parties: &Parties) -> Vec<Self> {
        let Some(each) = self.each else {
            return vec![self];
        };
        let having = parties.all().iter().filter(|party| each.has(party.role));
        having.map(|party| self.of(&party.name)).collect()
    }

    /// Returns whether the stream may have an age limit, or has none: only the last message of a subject counts in it, and
    /// even that one may be gone.
    pub(crate) fn is_age_limit_allowed(&self) -> bool {
        let forgets =
            self.discard == "old" && self.max_msgs_per_subject == 1 && !self.discard_new_per_subject;
        self.max_age_seconds == 0 || forgets
    }

    fn of(&self, party: &PartyName) -> Self {
        let named = |text: &String| text.replace("{party}", party.as_str());
        Self {
            each: None,
            name: named(&self.name),
            subjects: self.subjects.iter().map(named).collect(),
            ..self.clone()
        }
    }

    /// The part of the server's configuration that the file decides.
    pub(crate) fn config(&self) -> Map<String, Value> {
        object(json!({
            "name": self.name,
            "description": self.description,
            "subjects": self.subjects,
            "storage": self.storage,
            "retention": self.retention,
            "discard": self.discard,
            "max_bytes": self.max_bytes,
            "max_msg_size": self.max_msg_size,
            "max_msgs": -1,
            "max_age": self.max_age_seconds.saturating_mul(1_000_000_000),
            "max_msgs_per_subject": self.max_msgs_per_subject,
            "discard_new_per_subject": self.discard_new_per_subject,
            "num_replicas": self.num_replicas.unwrap_or(1),
            "deny_delete": self.deny_delete,
            "deny_purge": self.deny_purge,
            "allow_direct": self.allow_direct,
            "allow_rollup_hdrs": false,
            "allow_msg_ttl": false,
        }))
    }
}

impl ConsumerSpec {
    /// The part of the server's configuration that the file decides.
    pub(crate) fn config(&self) -> Map<String, Value> {
        object(json!({
            "name": self.name,
            "durable_name": self.name,
            "filter_subject": self.filter_subject,
            "deliver_policy": "all",
            "ack_policy": "explicit",
            "replay_policy": "instant",
            "ack_wait": self.ack_wait_seconds.saturating_mul(1_000_000_000),
            "max_ack_pending": self.max_ack_pending,
            "max_deliver": self.max_deliver,
            "num_replicas": self.num_replicas,
        }))
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
