//! The sealing keys that one side holds: the one in use, and those of before or of soon.

use std::sync::Arc;

use super::key::{SealKey, SealPublicKey};

/// Several keys. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct SealRing {
    keys: Vec<Arc<SealKey>>,
}

impl SealRing {
    /// The key in use first.
    #[must_use]
    pub fn new(keys: Vec<Arc<SealKey>>) -> Self {
        Self { keys }
    }

    /// The key in use; none when nothing can be opened here.
    #[must_use]
    pub fn current(&self) -> Option<&Arc<SealKey>> {
        self.keys.first()
    }

    /// Whether there is no key at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The secret half of a public key.
    #[must_use]
    pub fn find(&self, public: &SealPublicKey) -> Option<&SealKey> {
        self.keys
            .iter()
            .map(AsRef::as_ref)
            .find(|key| key.public() == public)
    }

    /// The public halves.
    #[must_use]
    pub fn publics(&self) -> Vec<SealPublicKey> {
        self.keys.iter().map(|key| key.public().clone()).collect()
    }
}
