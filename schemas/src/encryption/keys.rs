//! The encryption keys of one side: the one in use, and those of the past or the near future.

use std::sync::Arc;

use super::key::{EncryptionKey, EncryptionPublicKey};

/// A set of keys. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct DecryptionKeys {
    keys: Vec<Arc<EncryptionKey>>,
}

impl DecryptionKeys {
    /// Creates the set; the key in use is the first.
    #[must_use]
    pub fn new(keys: Vec<Arc<EncryptionKey>>) -> Self {
        Self { keys }
    }

    /// Returns the key in use, or `None` if the set is empty.
    #[must_use]
    pub fn current(&self) -> Option<&Arc<EncryptionKey>> {
        self.keys.first()
    }

    /// Returns whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Returns the secret half of a public key.
    #[must_use]
    pub fn find(&self, public: &EncryptionPublicKey) -> Option<&EncryptionKey> {
        self.keys
            .iter()
            .map(AsRef::as_ref)
            .find(|key| key.public() == public)
    }

    /// Returns the public halves.
    #[must_use]
    pub fn public_keys(&self) -> Vec<EncryptionPublicKey> {
        self.keys.iter().map(|key| key.public().clone()).collect()
    }
}
