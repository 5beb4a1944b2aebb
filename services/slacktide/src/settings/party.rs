//! The administrator's and the auditor's file: a connection, and whom to trust.

use schemas::origin::Origin;
use schemas::sign::PublicKey;
use serde::{Deserialize, Serialize};

use super::exchange::ExchangeTable;
use super::file::Checked;
use super::rule::Broken;
use super::sealing::SealingTable;

/// A file without an agent.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PartyFile {
    /// How to reach the exchange.
    pub(crate) exchange: ExchangeTable,
    /// Whose signatures count; for `audit verify`.
    #[serde(default)]
    pub(crate) trust: PartyTrust,
    /// What opens sealed chunks, where the auditor may.
    #[serde(default)]
    pub(crate) sealing: SealingTable,
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
    /// Where messages have to belong.
    pub(crate) fn origin(&self) -> Origin {
        Origin {
            site: self.exchange.site.clone(),
            ..Origin::default()
        }
    }
}

impl Checked for PartyFile {
    fn broken(&self) -> Vec<Broken> {
        self.exchange.broken()
    }
}
