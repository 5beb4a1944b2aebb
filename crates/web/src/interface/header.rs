//! Header names, entity tags and digests.

use data_encoding::BASE64;
use exchange::port::Sequence;
use sha2::{Digest as _, Sha256};

/// The subject of a message.
pub const SUBJECT: &str = "slacktide-subject";
/// When the exchange stored a message, RFC 3339.
pub const STORED_AT: &str = "slacktide-stored-at";
/// The SHA-256 digest of a body, RFC 9530.
pub const REPR_DIGEST: &str = "repr-digest";
/// The next cursor of a feed; see [`super::cursor`].
pub const NEXT_CURSOR: &str = "slacktide-next-cursor";
/// Identifies one HTTP request in the gateway's log and in a problem.
pub const REQUEST_ID: &str = "x-request-id";
/// The key that makes a repeated `POST /v1/requests` the same request.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Returns the entity tag of the last message of a resource; 0 means that there is none.
#[must_use]
pub fn etag(sequence: Sequence) -> String {
    format!("\"{sequence}\"")
}

/// Returns the sequence of an entity tag: `"17"`. Weak tags and lists are not sequences.
#[must_use]
pub fn sequence_of(etag: &str) -> Option<Sequence> {
    let digits = etag.trim().strip_prefix('"')?.strip_suffix('"')?;
    let is_decimal = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_decimal { digits.parse().ok() } else { None }
}

/// Returns the value of `Repr-Digest` for a body.
#[must_use]
pub fn repr_digest(body: &[u8]) -> String {
    format!("sha-256=:{}:", BASE64.encode(&Sha256::digest(body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etag_is_read_back() {
        assert_eq!(sequence_of(&etag(17)), Some(17));
        assert_eq!(sequence_of(" \"0\" "), Some(0));
        for other in ["17", "W/\"17\"", "\"\"", "\"-1\"", "\"1\",\"2\"", "*", "\"+1\""] {
            assert_eq!(sequence_of(other), None, "{other}");
        }
    }

    #[test]
    fn repr_digest_is_the_sha256_of_the_body() {
        assert_eq!(
            repr_digest(b""),
            "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"
        );
    }
}
