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
    /// What became of it.
    pub outcome: Outcome,
    /// The attempt whose parts are the answer; parts of other attempts, and parts that `outcome`
    /// does not name, are no answer, though they were disclosed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// The digest of the kind's definition as it was when the request was decided: its SQL, its
    /// limits, the recipient's columns and masks. None where the kind is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<Digest>,
    /// The load under which the source was read; none where it was not touched. Parts carry their
    /// own, and the last quanta of an answer may have brought no rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<Load>,
    /// When the source was read: from the first quantum's begin, by the responder's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub read_from: Option<Timestamp>,
    /// To the last quantum's end, by the responder's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub read_to: Option<Timestamp>,
    /// Rows that the question would bring and that the block list or a hold keeps back. They are
    /// in no part.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub withheld: u64,
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
        code: RefusalCode,
        /// What to do about it.
        reason: String,
        /// From when on the same question may be asked again, where time alone helps.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Option<String>")]
        retry_at: Option<Timestamp>,
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

impl Outcome {
    /// Its name on the wire and for people.
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

    /// The digests of the parts that are the answer, in order.
    #[must_use]
    pub fn parts(&self) -> &[Digest] {
        match self {
            Self::Answered { parts, .. } | Self::Partial { parts, .. } => parts,
            _ => &[],
        }
    }

    /// Rows in all parts.
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
