//! The `[trust]` table: whose word counts for what.

use std::collections::BTreeMap;

use schemas::name::{OfficerName, RecipientName};
use schemas::sign::PublicKey;
use serde::{Deserialize, Serialize};

/// The `[trust]` table.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SocialTrust {
    /// Signing keys of receivers, by recipient.
    pub(crate) receipts: BTreeMap<RecipientName, Vec<PublicKey>>,
    /// Signing keys of other publishers of the same feeds; our own is always trusted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) chunks: Vec<PublicKey>,
    /// Signing keys of those who may order the gate; our own is always trusted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) operators: Vec<PublicKey>,
    /// Signing keys of those who ask, by recipient. Who is not named asks with the keys of its receipts.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) requests: BTreeMap<RecipientName, Vec<PublicKey>>,
    /// Signing keys of the people who approve requests, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) officers: BTreeMap<OfficerName, Vec<PublicKey>>,
}

impl SocialTrust {
    /// Keys by which a recipient asks.
    pub(crate) fn askers(&self) -> BTreeMap<RecipientName, Vec<PublicKey>> {
        let mut askers = self.receipts.clone();
        askers.extend(self.requests.clone());
        askers
    }
}
