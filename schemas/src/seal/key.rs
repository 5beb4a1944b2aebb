//! Sealing keys: X25519 in the nkey text form, the same as NATS curve keys.
//!
//! The letters tell them from signing and connection keys, so a swapped file is named at once.

use std::borrow::Cow;
use std::fmt;

use crypto_box::{PublicKey, SecretKey};
use nkeys::{KeyPairType, XKey};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::sign::kind;

/// What can be wrong with a sealing key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealKeyError {
    /// The text is no nkey.
    #[error("not an nkey: {0}; make one with `slacktide keys new`")]
    Malformed(String),
    /// An nkey of another kind.
    #[error(
        "this is a {given} key, but a sealing key (seed SX…, public X…) is needed; `slacktide keys new` writes it as seal.seed"
    )]
    WrongKind {
        /// The kind it is.
        given: &'static str,
    },
}

fn of_kind(prefix: u8) -> Result<(), SealKeyError> {
    match KeyPairType::from(prefix) {
        KeyPairType::Curve => Ok(()),
        other => Err(SealKeyError::WrongKind { given: kind(&other) }),
    }
}

fn malformed(error: impl fmt::Display) -> SealKeyError {
    SealKeyError::Malformed(error.to_string())
}

/// The secret half; its memory is wiped when it is dropped. Its `Debug` shows the public half only.
pub struct SealKey {
    pub(super) secret: SecretKey,
    public: SealPublicKey,
}

impl SealKey {
    /// A new key from the operating system's randomness.
    ///
    /// # Errors
    /// [`SealKeyError::Malformed`] should the library not read back what it made.
    pub fn generate() -> Result<Self, SealKeyError> {
        Self::from_seed(&XKey::new().seed().map_err(malformed)?)
    }

    /// Reads a seed (`SX…`).
    ///
    /// # Errors
    /// [`SealKeyError`] when the text is no nkey seed or one of another kind. The seed is not repeated.
    pub fn from_seed(seed: &str) -> Result<Self, SealKeyError> {
        let (prefix, raw) = nkeys::decode_seed(seed.trim()).map_err(malformed)?;
        of_kind(prefix)?;
        let secret = SecretKey::from(raw);
        let text = XKey::new_from_raw(raw).public_key();
        let public = SealPublicKey {
            raw: *secret.public_key().as_bytes(),
            text,
        };
        Ok(Self { secret, public })
    }

    /// The seed, to be written to a file that only its owner reads.
    ///
    /// # Errors
    /// [`SealKeyError::Malformed`] should the key hold no seed.
    pub fn seed(&self) -> Result<String, SealKeyError> {
        XKey::new_from_raw(self.secret.to_bytes())
            .seed()
            .map_err(malformed)
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &SealPublicKey {
        &self.public
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealKey({})", self.public)
    }
}

/// The public half of a sealing key, `X…`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SealPublicKey {
    text: String,
    raw: [u8; 32],
}

impl SealPublicKey {
    /// Reads the text form.
    ///
    /// # Errors
    /// [`SealKeyError`] when the text is no nkey or one of another kind.
    pub fn new(text: &str) -> Result<Self, SealKeyError> {
        let text = text.trim();
        let (prefix, raw) = nkeys::from_public_key(text).map_err(malformed)?;
        of_kind(prefix)?;
        Ok(Self {
            text: text.to_owned(),
            raw,
        })
    }

    /// The text form.
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

impl fmt::Display for SealPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for SealPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for SealPublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for SealPublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for SealPublicKey {
    fn schema_name() -> Cow<'static, str> {
        "SealPublicKey".into()
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
    fn the_text_form_is_that_of_nats_curve_keys() {
        let key = SealKey::from_seed("SXAKIYZX2POLIHZ5W5YZEWVTH24NLEUETBW3TKIVYRSS3GNHFXO5D4JJZM").unwrap();
        let public = "XBUJMZHVOPQ2SK5VD3TY4VNBPVU2YFGRLK6EFPEPSMVDUYEBSROWZCEA";
        assert_eq!(key.public().as_str(), public);
        assert_eq!(&SealPublicKey::new(public).unwrap(), key.public());
        assert_eq!(
            SealKey::from_seed(&key.seed().unwrap()).unwrap().public(),
            key.public()
        );
    }

    #[test]
    fn a_signing_key_is_named_as_such_and_no_seed_is_repeated() {
        let sign = SigningKey::generate();
        let seed = sign.seed().unwrap();
        let error = SealKey::from_seed(&seed).unwrap_err().to_string();
        assert!(
            error.contains("signing (account)") && !error.contains(&seed),
            "{error}"
        );
        assert!(SealPublicKey::new(sign.public().as_str()).is_err());
        let key = SealKey::generate().unwrap();
        assert!(!format!("{key:?}").contains(&key.seed().unwrap()));
    }
}
