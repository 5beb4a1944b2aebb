//! The digest of a kind's definition. A setting that is added later is omitted if unset (`skip_serializing_if`), so that existing
//! digests do not change.

use schemas::digest::Digest;

use super::{Grant, KindConfig};

const LABEL: &[u8] = b"slacktide.kind.v1\0";

/// Returns the digest of what all recipients share. JSON fields are in the order of the type's.
pub(super) fn shared_digest(config: &KindConfig) -> Digest {
    let mut config = config.clone();
    config.grant.clear();
    Digest::of(&[LABEL, &json(&config)])
}

/// Adds the grant of one recipient.
pub(super) fn recipient_digest(shared: Digest, grant: Option<&Grant>) -> Digest {
    Digest::of(&[LABEL, &shared.0, &json(&grant)])
}

/// Serialising these types cannot fail. If it did, the digest would still differ from every other.
fn json<T: serde::Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_else(|error| error.to_string().into_bytes())
}
