//! Approvals: what a named officer of the bureau decided about one request.
//!
//! Each officer decides once, on a subject of their own. How many have to grant is the kind's
//! configuration; one refusal is enough to refuse.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::envelope::Payload;
use crate::name::{OfficerName, RecipientName};
use crate::request::RequestId;
use crate::sign::PublicKey;
use crate::visible::{self, Invisible};

/// One officer's decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Approval {
    /// The request.
    pub id: RequestId,
    /// The party that asked.
    pub recipient: RecipientName,
    /// The digest of the request as the officer saw it.
    pub request: Digest,
    /// Who decided.
    pub officer: OfficerName,
    /// How.
    pub decision: Decision,
    /// Why, in their words.
    pub reason: String,
    /// When, by the officer's clock.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The key that signed.
    pub key: PublicKey,
}

/// How an officer decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// It may be answered.
    Grant,
    /// It may not.
    Refuse,
}

impl Payload for Approval {
    const KIND: &'static str = "slacktide.approval.v1";
    fn signer(&self) -> &PublicKey {
        &self.key
    }
    fn check_texts(&self) -> Result<(), Invisible> {
        visible::check("reason", &self.reason)
    }
}
