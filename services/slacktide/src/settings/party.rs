//! The administrator's and the auditor's file: a connection and trusted keys.

use std::path::PathBuf;

use schemas::sign::PublicKey;
use serde::{Deserialize, Serialize};
use verification::trust::KeyRule;
use verification::trust_file::TrustFile;

use super::encryption::EncryptionTable;
use super::exchange::ExchangeTable;
use super::file::Validate;
use super::key::SigningTable;
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
    /// The signing key, for `audit export` and for recorded questions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) signing: Option<SigningTable>,
    /// The record of questions about requests and persons.
    #[serde(default)]
    pub(crate) questions: QuestionsTable,
}

/// The `[questions]` table of an auditor.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct QuestionsTable {
    /// The file, to which each question is appended.
    pub(crate) path: PathBuf,
}

impl Default for QuestionsTable {
    fn default() -> Self {
        Self {
            path: PathBuf::from("questions.slq"),
        }
    }
}

/// The `[trust]` table of an auditor.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PartyTrust {
    /// Publishers of chunks.
    pub(crate) chunks: Vec<PublicKey>,
    /// Receivers.
    pub(crate) receipts: Vec<PublicKey>,
    /// Writers of audit entries and of operators' orders.
    pub(crate) entries: Vec<PublicKey>,
    /// Officers, who decide about requests.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) officers: Vec<PublicKey>,
    /// Auditors who sign exports, other than this one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) exporters: Vec<PublicKey>,
    /// Limits of the keys' validity.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) keys: Vec<KeyRule>,
}

impl PartyFile {
    /// Returns the trusted keys as a file for `slacktide-verify`. `own` is the auditor's own key, which signs exports.
    pub(crate) fn trust_file(&self, own: Option<&PublicKey>) -> TrustFile {
        let trust = self.trust.clone();
        let mut exporters = trust.exporters;
        if let Some(own) = own.filter(|own| !exporters.contains(own)) {
            exporters.push(own.clone());
        }
        TrustFile {
            site: self.exchange.site.clone(),
            chunks: trust.chunks,
            receipts: trust.receipts,
            entries: trust.entries,
            officers: trust.officers,
            exporters,
            keys: trust.keys,
        }
    }
}

impl Validate for PartyFile {
    fn violations(&self) -> Vec<ConfigViolation> {
        self.exchange.violations()
    }
}
