//! Audit entries: actions of people and agents other than publishing chunks, chained per writer.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::envelope::Payload;
use crate::name::PartyName;
use crate::sign::PublicKey;
use crate::unreadable::Unreadable;

/// One audited action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditEntry {
    /// The party that acted.
    pub party: PartyName,
    /// The writer whose chain this is.
    pub writer: PartyName,
    /// Its number in that chain: 1, 2, 3, …
    pub number: u64,
    /// The digest of the previous entry; `None` if `skips` names the previous message.
    pub previous: Option<Digest>,
    /// The previous message, if the writer could not read or did not trust it. The number is then above its sequence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skips: Option<Unreadable>,
    /// When it was written, by the writer's clock.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The person or process that decided.
    pub actor: String,
    /// The action, for example `epoch.open`.
    pub action: String,
    /// The actor's reason.
    pub reason: String,
    /// Details without personal data.
    pub detail: BTreeMap<String, String>,
    /// The key that signed.
    pub key: PublicKey,
}

impl Payload for AuditEntry {
    const KIND: &'static str = "slacktide.audit.v1";
    fn signer(&self) -> &PublicKey {
        &self.key
    }
}
