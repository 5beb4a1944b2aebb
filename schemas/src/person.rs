//! A person in an order, without their name: a keyed digest that only the bureau can compute.
//!
//! There are few enough person numbers to try them all, so a plain digest would disclose the person. HMAC-SHA-256
//! (RFC 2104) under a key that is derived from the bureau's signing seed does not.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::sign::{KeyError, PublicKey, SigningKey};
use crate::value::Value;

/// Separates this use of the seed from any other.
const LABEL: &[u8] = b"slacktide.person.v1";

/// The keyed digest of a person's number, and its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PersonToken {
    /// HMAC-SHA-256 of the person's number.
    pub digest: Digest,
    /// The public half of the signing key whose seed was used. Digests under different keys are not comparable.
    pub key: PublicKey,
}

/// Computes person tokens.
pub struct PersonKey {
    secret: Digest,
    public: PublicKey,
}

impl std::fmt::Debug for PersonKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PersonKey({})", self.public)
    }
}

impl PersonKey {
    /// Derives the key from a signing key.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] if the key has no seed.
    pub fn of(key: &SigningKey) -> Result<Self, KeyError> {
        let seed = key.seed()?;
        Ok(Self {
            secret: hmac(seed.as_bytes(), LABEL),
            public: key.public().clone(),
        })
    }

    /// Returns the signing key that it is derived from.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Returns the token of a number. Surrounding blanks are ignored, because columns of fixed width are padded.
    #[must_use]
    pub fn token(&self, person: &str) -> PersonToken {
        PersonToken {
            digest: hmac(&self.secret.0, person.trim().as_bytes()),
            key: self.public.clone(),
        }
    }

    /// Returns the digest of a row's value, or `None` if it is neither a number nor a text.
    #[must_use]
    pub fn digest_of(&self, value: Value<'_>) -> Option<Digest> {
        match value {
            Value::Text(text) => Some(hmac(&self.secret.0, text.trim().as_bytes())),
            Value::Int(number) => Some(hmac(&self.secret.0, number.to_string().as_bytes())),
            Value::Null | Value::Bool(_) | Value::Float(_) | Value::Bytes(_) => None,
        }
    }
}

/// HMAC-SHA-256 (RFC 2104) with a key of any length.
#[must_use]
pub fn hmac(key: &[u8], message: &[u8]) -> Digest {
    const BLOCK: usize = 64;
    let mut block = [0_u8; BLOCK];
    let short = Digest::of(&[key]);
    let key = if key.len() > BLOCK { &short.0[..] } else { key };
    for (target, byte) in block.iter_mut().zip(key) {
        *target = *byte;
    }
    let inner = Digest::of(&[&block.map(|byte| byte ^ 0x36), message]);
    Digest::of(&[&block.map(|byte| byte ^ 0x5c), &inner.0])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test cases 2 and 6.
    #[test]
    fn hmac_equals_the_published_test_vectors() {
        assert_eq!(
            hmac(b"Jefe", b"what do ya want for nothing?").to_string(),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            hmac(
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First"
            )
            .to_string(),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    #[test]
    fn person_token_is_independent_of_the_column_type() -> Result<(), KeyError> {
        let (one, other) = (SigningKey::generate(), SigningKey::generate());
        let key = PersonKey::of(&one)?;
        let token = key.token("31010004711");
        assert_eq!(key.digest_of(Value::Int(31_010_004_711)), Some(token.digest));
        assert_eq!(key.digest_of(Value::Text("31010004711   ")), Some(token.digest));
        assert_ne!(key.digest_of(Value::Text("31010004712")), Some(token.digest));
        assert_eq!(key.digest_of(Value::Null), None);
        assert_ne!(PersonKey::of(&other)?.token("31010004711").digest, token.digest);
        assert!(!format!("{token:?}{key:?}").contains("31010004711"));
        Ok(())
    }
}
