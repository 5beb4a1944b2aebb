//! Replies: the one final outcome of a request.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::envelope::Payload;
use crate::name::RecipientName;
use crate::request::RequestId;
use crate::sign::PublicKey;

/// The final outcome of a request, signed by the bureau.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reply {
    /// The request.
    pub id: RequestId,
    /// The party that asked.
    pub recipient: RecipientName,
    /// The digest of the request that is answered.
    pub request: Digest,
    /// What became of it.
    pub outcome: Outcome,
    /// The responder's process.
    pub instance: String,
    /// When, by the responder's clock.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The key that signed.
    pub key: PublicKey,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// Answered in full.
    Answered {
        /// Rows in all parts.
        rows: u64,
        /// The digests of the parts, in order.
        parts: Vec<Digest>,
    },
    /// The question was allowed and there is nothing.
    Empty,
    /// Answered in part.
    Partial {
        /// Rows in all parts.
        rows: u64,
        /// The digests of the parts, in order.
        parts: Vec<Digest>,
        /// Why not all.
        reason: String,
    },
    /// Not answered, by policy.
    Refused {
        /// The code of the refusal, for example `no_basis`.
        code: String,
        /// What to do about it.
        reason: String,
    },
    /// Its deadline passed first.
    Expired,
    /// Cancelled by the party that asked.
    Cancelled,
    /// Given up after retries.
    Failed {
        /// Why.
        reason: String,
    },
}

impl Payload for Reply {
    const KIND: &'static str = "slacktide.reply.v1";
    fn signer(&self) -> &PublicKey {
        &self.key
    }
}
