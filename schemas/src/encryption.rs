//! Encryption of chunk bodies and cursors: only their reader can decrypt them, and the exchange's operator cannot.
//!
//! The operator of the exchange still sees who sends how many rows of which feed to whom, and under which load.
//!
//! - [`mod@format`] how a body is encrypted, as its manifest describes it
//! - [`body`] encrypts the body of a chunk or of a reply's part to the recipient, with sums of money and rejects
//! - [`position`] encrypts the cursor to the publisher itself, because its values may be personal data; recipients,
//!   receipts and auditors pass it on and compare it without decrypting it
//! - [`key`] the keys: X25519 in the nkey text form, `SX…`/`X…`; [`keys`] several of them, for a rotation with an overlap
//!
//! Rows are packed and compressed first, then encrypted, then signed. The digest in the manifest covers the published
//! bytes, so anyone can check signature, chain and body without decrypting.

pub mod body;
pub mod format;
pub mod key;
pub mod keys;
pub mod position;

pub use format::BodyEncryption;
pub use key::{EncryptionKey, EncryptionKeyError, EncryptionPublicKey};
pub use keys::DecryptionKeys;

/// An error of encryption or decryption.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncryptionError {
    /// Encrypted to a key that this side does not have. The message is valid and can be decrypted once the seed is added.
    #[error(
        "encrypted to another key ({to}), this side has {}: add the seed of that key to [encryption]",
        list_keys(have)
    )]
    KeyMissing {
        /// The key that it is encrypted to.
        to: EncryptionPublicKey,
        /// The keys of this side.
        have: Vec<EncryptionPublicKey>,
    },
    /// Encrypted to a key of this side, but decryption fails.
    #[error(
        "encrypted to {to}, which this side has, but decryption fails: the message was altered, or encrypted for another \
         place in the stream"
    )]
    DecryptionFailed {
        /// The key that it names.
        to: EncryptionPublicKey,
    },
    /// An algorithm that this version does not support.
    #[error("this version does not support the encryption {0:?}: upgrade the receiver")]
    UnknownAlgorithm(String),
    /// The decrypted content is malformed.
    #[error("the decrypted content is malformed: {0}")]
    Malformed(&'static str),
    /// Encryption failed.
    #[error("encryption failed: {0}")]
    EncryptionFailed(&'static str),
}

fn list_keys(keys: &[EncryptionPublicKey]) -> String {
    if keys.is_empty() {
        return "none".to_owned();
    }
    let keys: Vec<&str> = keys.iter().map(EncryptionPublicKey::as_str).collect();
    keys.join(", ")
}
