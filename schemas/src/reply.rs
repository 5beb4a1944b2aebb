//! Replies: the one final outcome of a request.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::envelope::Payload;
use crate::load::Load;
use crate::name::RecipientName;
use crate::refusal::RefusalCode;
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
    /// Its outcome.
    pub outcome: Outcome,
    /// The attempt whose parts are the answer. Parts of other attempts and parts that `outcome` does not name were
    /// disclosed, but are not part of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// The digest of the kind's definition at the time of the decision: its SQL, its limits, the recipient's columns and
    /// masks. `None` if the kind is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<Digest>,
    /// The load under which the source was read; `None` if it was not read. Parts have their own load, but the last quanta
    /// of an answer may have returned no rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<Load>,
    /// Begin of the first quantum, by the responder's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub read_from: Option<Timestamp>,
    /// End of the last quantum, by the responder's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub read_to: Option<Timestamp>,
    /// Rows of the result that the block list or a hold withholds. They are in no part.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub withheld: u64,
    /// The responder's process.
    pub instance: String,
    /// When it was written, by the responder's clock.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The key that signed.
    pub key: PublicKey,
}

/// The outcome of a request.
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
    /// The request was allowed and has no rows.
    Empty,
    /// Answered in part.
    Partial {
        /// Rows in all parts.
        rows: u64,
        /// The digests of the parts, in order.
        parts: Vec<Digest>,
        /// Why it is incomplete.
        reason: String,
    },
    /// Not answered, by policy.
    Refused {
        /// The code of the refusal, for example `no_basis`.
        code: RefusalCode,
        /// The remedy.
        reason: String,
        /// When the same request may be filed again, if waiting helps.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Option<String>")]
        retry_at: Option<Timestamp>,
    },
    /// Its deadline passed first.
    Expired,
    /// Cancelled by the party that asked.
    Cancelled,
    /// Failed after retries.
    Failed {
        /// The cause.
        reason: String,
    },
}

impl Outcome {
    /// Returns its name on the wire and for display.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Answered { .. } => "answered",
            Self::Empty => "empty",
            Self::Partial { .. } => "partial",
            Self::Refused { .. } => "refused",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Failed { .. } => "failed",
        }
    }

    /// Returns the digests of the answer's parts, in order.
    #[must_use]
    pub fn parts(&self) -> &[Digest] {
        match self {
            Self::Answered { parts, .. } | Self::Partial { parts, .. } => parts,
            _ => &[],
        }
    }

    /// Returns the number of rows in all parts.
    #[must_use]
    pub fn rows(&self) -> u64 {
        match self {
            Self::Answered { rows, .. } | Self::Partial { rows, .. } => *rows,
            _ => 0,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Payload for Reply {
    const KIND: &'static str = "slacktide.reply.v1";
    fn signer(&self) -> &PublicKey {
        &self.key
    }
}
