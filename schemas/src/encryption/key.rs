//! Encryption keys: X25519 in the nkey text form, the same as NATS curve keys.
//!
//! Their prefix differs from those of signing and connection keys, so a swapped file is detected at once.

use std::borrow::Cow;
use std::fmt;

use crypto_box::{PublicKey, SecretKey};
use nkeys::{KeyPairType, XKey};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::sign::describe_kind;

/// An invalid encryption key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncryptionKeyError {
    /// The text is not an nkey.
    #[error("not an nkey: {0}; make one with `slacktide keys new`")]
    Malformed(String),
    /// An nkey of another kind.
    #[error(
        "this is a {given} key, but an encryption key (seed SX…, public X…) is needed; `slacktide keys new` writes it as encryption.seed"
    )]
    WrongKind {
        /// The kind it is.
        given: &'static str,
    },
}

fn check_kind(prefix: u8) -> Result<(), EncryptionKeyError> {
    match KeyPairType::from(prefix) {
        KeyPairType::Curve => Ok(()),
        other => Err(EncryptionKeyError::WrongKind {
            given: describe_kind(&other),
        }),
    }
}

fn malformed(error: impl fmt::Display) -> EncryptionKeyError {
    EncryptionKeyError::Malformed(error.to_string())
}

/// The secret half; its memory is wiped when it is dropped. Its `Debug` shows the public half only.
pub struct EncryptionKey {
    pub(super) secret: SecretKey,
    public: EncryptionPublicKey,
}

impl EncryptionKey {
    /// Generates a key from the operating system's randomness.
    ///
    /// # Errors
    /// [`EncryptionKeyError::Malformed`] if the library cannot read back the key that it generated.
    pub fn generate() -> Result<Self, EncryptionKeyError> {
        Self::from_seed(&XKey::new().seed().map_err(malformed)?)
    }

    /// Reads a seed (`SX…`).
    ///
    /// # Errors
    /// [`EncryptionKeyError`] when the text is not an nkey seed or of another kind. The error does not contain the seed.
    pub fn from_seed(seed: &str) -> Result<Self, EncryptionKeyError> {
        let (prefix, raw) = nkeys::decode_seed(seed.trim()).map_err(malformed)?;
        check_kind(prefix)?;
        let secret = SecretKey::from(raw);
        let text = XKey::new_from_raw(raw).public_key();
        let public = EncryptionPublicKey {
            raw: *secret.public_key().as_bytes(),
            text,
        };
        Ok(Self { secret, public })
    }

    /// Returns the seed, for a file that only its owner can read.
    ///
    /// # Errors
    /// [`EncryptionKeyError::Malformed`] if the key has no seed.
    pub fn seed(&self) -> Result<String, EncryptionKeyError> {
        XKey::new_from_raw(self.secret.to_bytes())
            .seed()
            .map_err(malformed)
    }

    /// Returns the public half.
    #[must_use]
    pub fn public(&self) -> &EncryptionPublicKey {
        &self.public
    }
}

impl fmt::Debug for EncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncryptionKey({})", self.public)
    }
}

/// The public half of an encryption key, `X…`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EncryptionPublicKey {
    text: String,
    raw: [u8; 32],
}

impl EncryptionPublicKey {
    /// Reads the text form.
    ///
    /// # Errors
    /// [`EncryptionKeyError`] when the text is not an nkey or of another kind.
    pub fn new(text: &str) -> Result<Self, EncryptionKeyError> {
        let text = text.trim();
        let (prefix, raw) = nkeys::from_public_key(text).map_err(malformed)?;
        check_kind(prefix)?;
        Ok(Self {
            text: text.to_owned(),
            raw,
        })
    }

    /// Returns the text form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn raw(&self) -> &[u8; 32] {
        &self.raw
    }

    pub(super) fn point(&self) -> PublicKey {
        PublicKey::from(self.raw)
    }
}

impl fmt::Display for EncryptionPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for EncryptionPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for EncryptionPublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for EncryptionPublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for EncryptionPublicKey {
    fn schema_name() -> Cow<'static, str> {
        "EncryptionPublicKey".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^X[A-Z2-7]{55}$", "description": "X25519 public key, nkey text form"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sign::SigningKey;

    #[test]
    fn encryption_key_text_is_that_of_nats_curve_keys() {
        let key =
            EncryptionKey::from_seed("SXAKIYZX2POLIHZ5W5YZEWVTH24NLEUETBW3TKIVYRSS3GNHFXO5D4JJZM").unwrap();
        let public = "XBUJMZHVOPQ2SK5VD3TY4VNBPVU2YFGRLK6EFPEPSMVDUYEBSROWZCEA";
        assert_eq!(key.public().as_str(), public);
        assert_eq!(&EncryptionPublicKey::new(public).unwrap(), key.public());
        assert_eq!(
            EncryptionKey::from_seed(&key.seed().unwrap()).unwrap().public(),
            key.public()
        );
    }

    #[test]
    fn encryption_key_names_a_signing_key_without_its_seed() {
        let sign = SigningKey::generate();
        let seed = sign.seed().unwrap();
        let error = EncryptionKey::from_seed(&seed).unwrap_err().to_string();
        assert!(
            error.contains("signing (account)") && !error.contains(&seed),
            "{error}"
        );
        assert!(EncryptionPublicKey::new(sign.public().as_str()).is_err());
        let key = EncryptionKey::generate().unwrap();
        assert!(!format!("{key:?}").contains(&key.seed().unwrap()));
    }
}
