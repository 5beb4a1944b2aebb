//! The signing keys that the console verifies with.

use std::collections::BTreeMap;

use schemas::name::PartyName;
use schemas::sign::PublicKey;

/// The signing keys of each party, and which party is the bureau.
#[derive(Debug, Clone)]
pub struct Trust {
    /// The party whose agent signs chunks.
    pub bureau: PartyName,
    /// The keys of each party.
    pub by_party: BTreeMap<PartyName, Vec<PublicKey>>,
}

impl Trust {
    /// Returns the keys of a party; empty if none is configured.
    #[must_use]
    pub fn keys(&self, party: &PartyName) -> &[PublicKey] {
        self.by_party.get(party).map_or(&[], Vec::as_slice)
    }

    /// Returns the keys that sign chunks.
    #[must_use]
    pub fn bureau_keys(&self) -> &[PublicKey] {
        self.keys(&self.bureau)
    }
}
