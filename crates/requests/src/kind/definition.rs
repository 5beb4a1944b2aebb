//! The digest of a kind's definition. A setting that is added to a kind later is not written where it is not
//! said (`skip_serializing_if`), so that the digests of kinds that do not use it stay.

use schemas::digest::Digest;

use super::{Grant, KindConfig};

const LABEL: &[u8] = b"slacktide.kind.v1\0";

/// Of what all recipients share. Values are written as JSON, whose fields stand in the order of the type's.
pub(super) fn shared(config: &KindConfig) -> Digest {
    let mut config = config.clone();
    config.grant.clear();
    Digest::of(&[LABEL, &json(&config)])
}

/// With what one recipient gets.
pub(super) fn of(shared: Digest, grant: Option<&Grant>) -> Digest {
    Digest::of(&[LABEL, &shared.0, &json(&grant)])
}

/// Nothing in these types can fail to be written; were it so, the digest would still differ from every other.
fn json<T: serde::Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_else(|error| error.to_string().into_bytes())
}
