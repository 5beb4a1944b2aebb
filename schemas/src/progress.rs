//! The progress of a request without an outcome, as the bureau reports it to the recipient.
//!
//! Only the last record of a request is kept. It has the start of its state and the earlier states, so that a status needs
//! no other record. It is no longer used after the reply. It proves nothing: parts and reply prove what was disclosed.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::envelope::Payload;
use crate::name::RecipientName;
use crate::request::RequestId;
use crate::sign::PublicKey;

/// Written by the responder; replaces its previous record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// The request.
    pub id: RequestId,
    /// The party that asked.
    pub recipient: RecipientName,
    /// The digest of the request as filed.
    pub request: Digest,
    /// What the request does or waits for.
    pub state: Waiting,
    /// Start of this state, by the responder's clock.
    #[schemars(with = "String")]
    pub since: Timestamp,
    /// When the responder first queued it, by the responder's clock.
    #[schemars(with = "String")]
    pub taken_at: Timestamp,
    /// The earlier states, each once, with their first start. Empty in messages of earlier versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<EarlierState>,
    /// Its position in the queue; 1 is the next. `None` while it is not in the queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<u64>,
    /// When the answer may be expected, from the gate's history; `None` if unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub forecast: Option<Timestamp>,
    /// The responder's process.
    pub instance: String,
    /// When it was written, by the responder's clock.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The key that signed.
    pub key: PublicKey,
}

/// Maximum number of earlier states in a record.
pub const MAX_EARLIER_STATES: usize = 32;

/// An earlier state of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EarlierState {
    /// The state.
    #[serde(flatten)]
    pub state: Waiting,
    /// Its first start, by the responder's clock.
    #[schemars(with = "String")]
    pub since: Timestamp,
}

/// What a request without an outcome does or waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Waiting {
    /// Admitted and in the queue.
    Taken,
    /// An officer must grant it.
    WaitsForApproval {
        /// Officers who granted so far.
        granted: u32,
        /// Officers who must grant it.
        needed: u32,
    },
    /// It is on hold.
    Held {
        /// The reason for the recipient: an operator's hold, the gate.
        reason: String,
    },
    /// The source is being read for it.
    Answering {
        /// The number of the attempt.
        attempt: u32,
        /// Parts stored so far.
        parts: u32,
        /// Rows in them.
        rows: u64,
    },
}

impl Waiting {
    /// Returns whether both are the same step of a request, regardless of the progress within it.
    #[must_use]
    pub fn is_same_step(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Answering { attempt: one, .. }, Self::Answering { attempt: other, .. }) => one == other,
            (one, other) => one == other,
        }
    }

    /// Returns whether the request is or was in the responder's queue.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        !matches!(self, Self::WaitsForApproval { .. })
    }
}

impl Payload for Progress {
    const KIND: &'static str = "slacktide.progress.v1";
    fn signer(&self) -> &PublicKey {
        &self.key
    }
}
