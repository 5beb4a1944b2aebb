//! How a body is encrypted, as its manifest describes it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::key::EncryptionPublicKey;

/// The algorithm's name in the manifest.
pub const ALGORITHM: &str = "x25519-xchacha20-poly1305";

/// How a body is encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BodyEncryption {
    /// `x25519-xchacha20-poly1305`.
    pub algorithm: String,
    /// The recipient's key.
    pub recipient_key: EncryptionPublicKey,
    /// The chunk's ephemeral key; its secret half is not kept.
    pub sender_key: EncryptionPublicKey,
    /// Number of rejects that are encrypted with the rows.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rejects: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
