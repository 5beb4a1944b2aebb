//! Signing keys: Ed25519 in the nkey text form.
//!
//! A *signing* key is an account nkey (`SA…`/`A…`), a *connection* key is a user nkey
//! (`SU…`/`U…`). The prefix distinguishes them, so a swapped file is detected at once and a
//! stolen connection key signs nothing.

use std::borrow::Cow;
use std::fmt;

use nkeys::{KeyPair, KeyPairType};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An invalid key or signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text is not an nkey.
    #[error("not an nkey: {0}; make one with `slacktide keys new`")]
    Malformed(String),
    /// An nkey of another kind.
    #[error(
        "this is a {given} key, but a signing key (seed SA…, public A…) is needed; `slacktide keys new` writes it as sign.seed"
    )]
    WrongKind {
        /// The kind it is.
        given: &'static str,
    },
    /// The signature is invalid.
    #[error("the signature does not match the bytes and the key {0}")]
    BadSignature(PublicKey),
}

pub(crate) fn describe_kind(pair: &KeyPairType) -> &'static str {
    match pair {
        KeyPairType::User => "connection (user)",
        KeyPairType::Account => "signing (account)",
        KeyPairType::Operator => "operator",
        KeyPairType::Server => "server",
        KeyPairType::Cluster => "cluster",
        KeyPairType::Curve => "encryption (curve)",
        _ => "different",
    }
}

/// The secret half. Its `Debug` shows the public half only.
pub struct SigningKey {
    pair: KeyPair,
    public: PublicKey,
}

impl SigningKey {
    /// Generates a key from the operating system's randomness.
    #[must_use]
    pub fn generate() -> Self {
        Self::of(KeyPair::new_account())
    }

    fn of(pair: KeyPair) -> Self {
        let public = PublicKey(pair.public_key());
        Self { pair, public }
    }

    /// Reads a seed (`SA…`).
    ///
    /// # Errors
    /// [`KeyError`] when the text is not an nkey seed or of another kind. The error does not contain the seed.
    pub fn from_seed(seed: &str) -> Result<Self, KeyError> {
        let pair = KeyPair::from_seed(seed.trim()).map_err(|e| KeyError::Malformed(e.to_string()))?;
        match pair.key_pair_type() {
            KeyPairType::Account => Ok(Self::of(pair)),
            other => Err(KeyError::WrongKind {
                given: describe_kind(&other),
            }),
        }
    }

    /// Returns the seed, for a file that only its owner can read.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] if the key has no seed.
    pub fn seed(&self) -> Result<String, KeyError> {
        self.pair.seed().map_err(|e| KeyError::Malformed(e.to_string()))
    }

    /// Returns the public half.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Returns the Ed25519 signature (RFC 8032) over `bytes`, 64 bytes long.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] if the key has no secret half.
    pub fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.pair
            .sign(bytes)
            .map_err(|e| KeyError::Malformed(e.to_string()))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public)
    }
}

/// The public half of a signing key, `A…`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(String);

impl PublicKey {
    /// Reads the text form.
    ///
    /// # Errors
    /// [`KeyError`] when the text is not an nkey or of another kind.
    pub fn new(text: &str) -> Result<Self, KeyError> {
        let pair = KeyPair::from_public_key(text.trim()).map_err(|e| KeyError::Malformed(e.to_string()))?;
        match pair.key_pair_type() {
            KeyPairType::Account => Ok(Self(pair.public_key())),
            other => Err(KeyError::WrongKind {
                given: describe_kind(&other),
            }),
        }
    }

    /// Checks a signature.
    ///
    /// # Errors
    /// [`KeyError::BadSignature`] when it is invalid.
    pub fn verify(&self, bytes: &[u8], signature: &[u8]) -> Result<(), KeyError> {
        let pair = KeyPair::from_public_key(&self.0).map_err(|e| KeyError::Malformed(e.to_string()))?;
        pair.verify(bytes, signature)
            .map_err(|_| KeyError::BadSignature(self.clone()))
    }

    /// Returns the text form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for PublicKey {
    fn schema_name() -> Cow<'static, str> {
        "PublicKey".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^A[A-Z2-7]{55}$", "description": "Ed25519 public key, nkey text form"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_of_changed_bytes_is_invalid() {
        let key = SigningKey::generate();
        let signature = key.sign(b"bytes").unwrap();
        assert_eq!(key.public().verify(b"bytes", &signature), Ok(()));
        assert!(key.public().verify(b"bytez", &signature).is_err());
        assert!(
            SigningKey::generate()
                .public()
                .verify(b"bytes", &signature)
                .is_err()
        );
    }

    #[test]
    fn signing_key_names_a_connection_key_without_its_seed() {
        let user = KeyPair::new_user().seed().unwrap();
        let error = SigningKey::from_seed(&user).unwrap_err().to_string();
        assert!(error.contains("connection (user)"), "{error}");
        assert!(!error.contains(&user));
    }

    /// Compares the whole text, because a public key may contain the letters of a seed's prefix.
    #[test]
    fn signing_key_debug_text_is_its_public_key_alone() {
        for byte in 0..=u8::MAX {
            let pair = KeyPair::new_from_raw(KeyPairType::Account, [byte; 32]).unwrap();
            let key = SigningKey::of(pair);
            assert_eq!(format!("{key:?}"), format!("SigningKey({})", key.public()));
            assert!(!format!("{key:?}").contains(&key.seed().unwrap()));
        }
    }
}
