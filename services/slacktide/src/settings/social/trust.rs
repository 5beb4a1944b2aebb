//! The `[trust]` table: trusted signing keys by purpose.

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
    /// Signing keys of operators; our own is always trusted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) operators: Vec<PublicKey>,
    /// Signing keys of requesters, by recipient. Default: the keys of the recipient's receipts.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) requests: BTreeMap<RecipientName, Vec<PublicKey>>,
    /// Signing keys of the people who approve requests, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) officers: BTreeMap<OfficerName, Vec<PublicKey>>,
}

impl SocialTrust {
    /// Returns the keys that sign a recipient's requests.
    pub(crate) fn request_keys(&self) -> BTreeMap<RecipientName, Vec<PublicKey>> {
        let mut request_keys = self.receipts.clone();
        request_keys.extend(self.requests.clone());
        request_keys
    }
}
