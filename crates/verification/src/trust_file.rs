//! The trust file: the one thing besides an export that a verification needs. TOML; the caller parses it.

use schemas::encryption::DecryptionKeys;
use schemas::name::SiteName;
use schemas::origin::Origin;
use schemas::sign::PublicKey;
use serde::{Deserialize, Serialize};

use crate::trust::{KeyRule, Trust};

/// The trusted keys of a site, by purpose, and the history of each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustFile {
    /// The site that messages must name.
    pub site: SiteName,
    /// Publishers of chunks, parts, replies and progress.
    #[serde(default)]
    pub chunks: Vec<PublicKey>,
    /// Receivers.
    #[serde(default)]
    pub receipts: Vec<PublicKey>,
    /// Writers of audit entries and of operators' orders.
    #[serde(default)]
    pub entries: Vec<PublicKey>,
    /// Officers.
    #[serde(default)]
    pub officers: Vec<PublicKey>,
    /// Auditors who sign exports.
    #[serde(default)]
    pub exporters: Vec<PublicKey>,
    /// Limits of the keys' validity.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeyRule>,
}

impl TrustFile {
    /// Returns the trust, with the keys that decrypt bodies.
    #[must_use]
    pub fn trust(self, decryption_keys: DecryptionKeys) -> Trust {
        Trust {
            chunks: self.chunks,
            receipts: self.receipts,
            entries: self.entries,
            officers: self.officers,
            exporters: self.exporters,
            rules: self.keys,
            here: Origin {
                site: self.site,
                ..Origin::default()
            },
            decryption_keys,
        }
    }
}
