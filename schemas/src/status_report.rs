//! The status that an agent publishes about itself, and the note that an operator watches it.
//!
//! A report is the document of the agent's own page `/status`, signed, so that a reader at the exchange shows the very states
//! and numbers of the agent. It is no evidence: only the last report of each writer is kept, for a day at most, and nothing is
//! decided by it. It has no row, no person and no secret.

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::envelope::Payload;
use crate::name::PartyName;
use crate::sign::PublicKey;

/// The length of a history bucket, in milliseconds: five minutes.
pub const BUCKET_MS: u32 = 300_000;

/// The most buckets of a report: those of the last 24 hours, with the one that has just begun.
pub const MAX_BUCKETS: usize = 289;

/// The furthest end of a watch note that counts, from the reader's time on. A wrong note makes no agent publish faster without end.
pub const MAX_WATCH: SignedDuration = SignedDuration::from_mins(5);

/// The status of one agent; replaces its previous report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StatusReport {
    /// The party whose agent it is.
    pub party: PartyName,
    /// The agent, by its name among the agents of the party.
    pub writer: PartyName,
    /// What the agent does.
    pub role: AgentRole,
    /// The agent's process; another value after each start.
    pub instance: String,
    /// When it was made, by the agent's clock.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The time until the next report, in seconds. After twice that time without one, nothing is known of the agent.
    pub next_within_s: u32,
    /// The document of the agent's page `/status`: JSON.
    pub page: String,
    /// The gate in the last 24 hours, oldest first; empty for an agent without a gate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<HistoryBucket>,
    /// The key that signed.
    pub key: PublicKey,
}

/// What an agent does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgentRole {
    /// Publishes the source's rows, at the bureau.
    Social,
    /// Stores them, at an insurer.
    Commercial,
}

/// Five minutes of the gate. The three times add up to the time with evidence: what is missing to [`BUCKET_MS`] is a time in
/// which no gate ran, or that has not passed yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryBucket {
    /// Its start: a multiple of five minutes.
    #[schemars(with = "String")]
    pub start: Timestamp,
    /// Milliseconds in which the gate was open.
    pub open_ms: u32,
    /// Milliseconds in which the gate was open at a limited duty.
    pub limited_ms: u32,
    /// Milliseconds in which the gate was closed.
    pub closed_ms: u32,
    /// Rows read from the source.
    pub rows: u64,
    /// The highest load of the source's machine, in thousandths of its capacity; `None` without a sample.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_permille: Option<u32>,
}

impl Payload for StatusReport {
    const KIND: &'static str = "slacktide.status.v1";
    fn signer(&self) -> &PublicKey {
        &self.key
    }
}

impl AgentRole {
    /// Returns the name in messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Social => "social",
            Self::Commercial => "commercial",
        }
    }
}

impl StatusReport {
    /// Returns whether the report is so old that nothing is known of its agent: twice the promised time has passed.
    #[must_use]
    pub fn is_stale(&self, now: Timestamp) -> bool {
        now.duration_since(self.at) > SignedDuration::from_secs(2 * i64::from(self.next_within_s))
    }
}

/// An operator watches a party's agents: they publish every second instead of every 15. JSON, not signed: it asks for nothing but
/// haste.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WatchNote {
    /// The end of the watch, by the clock of the one that watches.
    #[schemars(with = "String")]
    pub until: Timestamp,
}

impl WatchNote {
    /// Returns whether an operator watches now.
    #[must_use]
    pub fn is_active(self, now: Timestamp) -> bool {
        let left = self.until.duration_since(now);
        left > SignedDuration::ZERO && left <= MAX_WATCH
    }

    /// Reads a published note; `None` if the bytes are none.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// Returns the bytes to publish.
    #[must_use]
    pub fn encode(self) -> Vec<u8> {
        format!("{{\"until\":\"{}\"}}", self.until).into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn watch_note_is_active_until_its_end() {
        let note = WatchNote {
            until: at("2026-01-31T22:15:30Z"),
        };
        assert_eq!(WatchNote::read(&note.encode()), Some(note));
        assert!(note.is_active(at("2026-01-31T22:15:29.999Z")));
        assert!(!note.is_active(at("2026-01-31T22:15:30Z")));
        assert!(
            !note.is_active(at("2026-01-31T22:10:29Z")),
            "too far in the future"
        );
        assert_eq!(WatchNote::read(b"until"), None);
    }
}
