//! Confirmations: the recipient's signed statement that a reply is stored, as receipts are for chunks.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::envelope::Payload;
use crate::name::RecipientName;
use crate::request::RequestId;
use crate::sign::PublicKey;

/// Made from the store's content after its commit, so that a crash loses none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Confirm {
    /// The request.
    pub id: RequestId,
    /// The party that asked and received.
    pub recipient: RecipientName,
    /// The digest of the reply that is stored, with all parts that it names.
    pub reply: Digest,
    /// Rows of it that are stored.
    pub rows: u64,
    /// Rows of it that are in quarantine.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub quarantined: u64,
    /// When the reply was fetched, by the receiver's clock.
    #[schemars(with = "String")]
    pub delivered_at: Timestamp,
    /// When the store committed it, by the receiver's clock.
    #[schemars(with = "String")]
    pub stored_at: Timestamp,
    /// The key that signed.
    pub key: PublicKey,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Payload for Confirm {
    const KIND: &'static str = "slacktide.confirm.v1";
    fn signer(&self) -> &PublicKey {
        &self.key
    }
}
