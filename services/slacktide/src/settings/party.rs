//! The administrator's and the auditor's file: a connection and trusted keys.

use schemas::origin::Origin;
use schemas::sign::PublicKey;
use serde::{Deserialize, Serialize};

use super::encryption::EncryptionTable;
use super::exchange::ExchangeTable;
use super::file::Validate;
use super::violation::ConfigViolation;

/// A file without an agent.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PartyFile {
    /// The connection to the exchange.
    pub(crate) exchange: ExchangeTable,
    /// The trusted signing keys, for `audit verify`.
    #[serde(default)]
    pub(crate) trust: PartyTrust,
    /// The decryption keys, if the auditor may decrypt chunks.
    #[serde(default)]
    pub(crate) encryption: EncryptionTable,
}

/// The `[trust]` table of an auditor.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PartyTrust {
    /// Publishers of chunks.
    pub(crate) chunks: Vec<PublicKey>,
    /// Receivers.
    pub(crate) receipts: Vec<PublicKey>,
    /// Writers of audit entries.
    pub(crate) entries: Vec<PublicKey>,
}

impl PartyFile {
    /// The origin that messages must carry.
    pub(crate) fn origin(&self) -> Origin {
        Origin {
            site: self.exchange.site.clone(),
            ..Origin::default()
        }
    }
}

impl Validate for PartyFile {
    fn violations(&self) -> Vec<ConfigViolation> {
        self.exchange.violations()
    }
}
