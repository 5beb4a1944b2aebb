//! How a request stands while it has no outcome: what the bureau tells its recipient.
//!
//! Only the last record of a request is kept. It says since when, and what was before, so that a status needs no
//! other record; and once there is a reply, nobody reads it any more. It is news and no evidence: what
//! was disclosed is proved by parts and reply.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::envelope::Payload;
use crate::name::RecipientName;
use crate::request::RequestId;
use crate::sign::PublicKey;

/// Written by the responder over its last one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// The request.
    pub id: RequestId,
    /// The party that asked.
    pub recipient: RecipientName,
    /// The digest of the request as filed.
    pub request: Digest,
    /// What it does or waits for.
    pub state: Waiting,
    /// Since when it has been in this state, by the responder's clock.
    #[schemars(with = "String")]
    pub since: Timestamp,
    /// When the responder first took it into its queue, by the responder's clock.
    #[schemars(with = "String")]
    pub taken_at: Timestamp,
    /// The states before this one, each once, with the time since when it was first in it. None in messages of versions before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<EarlierState>,
    /// Its place in the queue; 1 is the next. None while it is not in the queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<u64>,
    /// When its answer may be expected, from the gate's history; none where nobody can tell.
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

/// Earlier states that a record keeps.
pub const MOST_EARLIER: usize = 32;

/// A state that a request was in before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EarlierState {
    /// The state.
    #[serde(flatten)]
    pub state: Waiting,
    /// Since when it was first in it, by the responder's clock.
    #[schemars(with = "String")]
    pub since: Timestamp,
}

/// What a request without an outcome does or waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Waiting {
    /// Admitted and in the queue.
    Taken,
    /// An officer has to grant it.
    WaitsForApproval {
        /// Officers who granted so far.
        granted: u32,
        /// Officers who have to.
        needed: u32,
    },
    /// It stands still.
    Held {
        /// Why, in words for the recipient: an operator's hold, the gate.
        reason: String,
    },
    /// The source is being read for it.
    Answering {
        /// Which attempt it is.
        attempt: u32,
        /// Parts stored so far.
        parts: u32,
        /// Rows in them.
        rows: u64,
    },
}

impl Waiting {
    /// Whether both are the same step of a request's life, however far it has come within it.
    #[must_use]
    pub fn is_same_step(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Answering { attempt: one, .. }, Self::Answering { attempt: other, .. }) => one == other,
            (one, other) => one == other,
        }
    }

    /// Whether the request is in the responder's queue, or was taken from it.
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
