//! A message that the next writer of a chain could not read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// A message at the head of a chain that its next writer could not read or did not trust. The new message references
/// this one, so that the removal or replacement of either is detected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unreadable {
    /// Its sequence in the stream.
    pub sequence: u64,
    /// SHA-256 of the whole message.
    pub digest: Digest,
}

impl Unreadable {
    /// Creates the reference to a message.
    #[must_use]
    pub fn of(sequence: u64, message: &[u8]) -> Self {
        Self {
            sequence,
            digest: Digest::of(&[message]),
        }
    }
}
