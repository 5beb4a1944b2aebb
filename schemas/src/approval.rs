//! Approvals: a named officer's decision about one request.
//!
//! Each officer decides once, on a subject of their own. The kind's configuration sets how many officers must grant; one
//! refusal refuses the request.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::envelope::Payload;
use crate::name::{OfficerName, RecipientName};
use crate::request::RequestId;
use crate::sign::PublicKey;
use crate::visible::{self, InvisibleCharacter};

/// One officer's decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Approval {
    /// The request.
    pub id: RequestId,
    /// The party that asked.
    pub recipient: RecipientName,
    /// The digest of the request that the officer saw.
    pub request: Digest,
    /// The officer.
    pub officer: OfficerName,
    /// The decision.
    pub decision: Decision,
    /// The officer's reason.
    pub reason: String,
    /// When it was decided, by the officer's clock.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The key that signed.
    pub key: PublicKey,
}

/// An officer's decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// The request may be answered.
    Grant,
    /// The request must not be answered.
    Refuse,
}

impl Payload for Approval {
    const KIND: &'static str = "slacktide.approval.v1";
    fn signer(&self) -> &PublicKey {
        &self.key
    }
    fn check_texts(&self) -> Result<(), InvisibleCharacter> {
        visible::check_visible("reason", &self.reason)
    }
}
