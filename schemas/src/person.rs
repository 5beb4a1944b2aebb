//! A person in an order, without their name: a keyed digest that only the bureau can make.
//!
//! Numbers of persons are few enough to be tried one after the other, so a plain digest would name them.
//! HMAC-SHA-256 (RFC 2104) under a key that is derived from the bureau's signing seed does not.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::sign::{KeyError, PublicKey, SigningKey};
use crate::value::Value;

/// Separates this use of the seed from any other.
const LABEL: &[u8] = b"slacktide.person.v1";

/// The mark of a person, and the key that it was made under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PersonMark {
    /// HMAC-SHA-256 of the person's number.
    pub digest: Digest,
    /// The public half of the signing key whose seed it was made under: under another one it means nothing.
    pub key: PublicKey,
}

/// Makes marks.
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
    /// Derived from a signing key.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] should the key hold no seed.
    pub fn of(key: &SigningKey) -> Result<Self, KeyError> {
        let seed = key.seed()?;
        Ok(Self {
            secret: hmac(seed.as_bytes(), LABEL),
            public: key.public().clone(),
        })
    }

    /// The signing key that it is derived from.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The mark of a number as an operator gives it. Blanks around it do not count, for columns of
    /// fixed width pad.
    #[must_use]
    pub fn mark(&self, person: &str) -> PersonMark {
        PersonMark {
            digest: hmac(&self.secret.0, person.trim().as_bytes()),
            key: self.public.clone(),
        }
    }

    /// The mark of a row's value; none where it names nobody: null, and what is no number or text.
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
    for (place, byte) in block.iter_mut().zip(key) {
        *place = *byte;
    }
    let inner = Digest::of(&[&block.map(|byte| byte ^ 0x36), message]);
    Digest::of(&[&block.map(|byte| byte ^ 0x5c), &inner.0])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test cases 2 and 6.
    #[test]
    fn it_is_the_hmac_that_others_compute() {
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
    fn a_person_has_one_mark_under_one_key_however_the_column_writes_them() -> Result<(), KeyError> {
        let (one, other) = (SigningKey::generate(), SigningKey::generate());
        let key = PersonKey::of(&one)?;
        let mark = key.mark("31010004711");
        assert_eq!(key.digest_of(Value::Int(31_010_004_711)), Some(mark.digest));
        assert_eq!(key.digest_of(Value::Text("31010004711   ")), Some(mark.digest));
        assert_ne!(key.digest_of(Value::Text("31010004712")), Some(mark.digest));
        assert_eq!(key.digest_of(Value::Null), None);
        assert_ne!(PersonKey::of(&other)?.mark("31010004711").digest, mark.digest);
        assert!(!format!("{mark:?}{key:?}").contains("31010004711"));
        Ok(())
    }
}
