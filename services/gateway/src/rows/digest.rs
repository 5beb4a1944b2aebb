//! The digest over the bytes before the end record.

use sha2::{Digest as _, Sha256};

/// Hashes what is sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct SentDigest(Sha256);

impl SentDigest {
    /// Adds bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Returns the digest of the bytes so far, as the end record has it.
    #[must_use]
    pub(crate) fn text(&self) -> String {
        format!("sha-256:{}", hex::encode(self.0.clone().finalize()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sent_digest_is_the_sha256_of_the_bytes() {
        let mut digest = SentDigest::default();
        assert_eq!(
            digest.text(),
            "sha-256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        digest.update(b"a");
        digest.update(b"bc");
        assert_eq!(
            digest.text(),
            "sha-256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
