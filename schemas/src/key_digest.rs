//! The digest of a row's key under a salt, as comparisons and repairs name rows without showing them.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::digest::Digest;

/// The digest of a row's key: the first 128 bits of a SHA-256 over a salt and the canonical form of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyDigest(pub [u8; BYTES]);

const BYTES: usize = 16;

impl KeyDigest {
    /// Takes the first bits of a digest of salt and key.
    #[must_use]
    pub fn first_of(Digest(digest): Digest) -> Self {
        let mut bytes = [0; BYTES];
        bytes.copy_from_slice(&digest[..BYTES]);
        Self(bytes)
    }

    /// Returns the number of its bucket among `buckets`, at most 65,536.
    #[must_use]
    pub fn bucket(&self, buckets: usize) -> usize {
        let [first, second, ..] = self.0;
        (usize::from(u16::from_be_bytes([first, second])) * buckets) >> 16
    }
}

impl fmt::Display for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// A text that is not the digest of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the digest of a key is 32 hex digits")]
pub struct BadKeyDigest;

impl FromStr for KeyDigest {
    type Err = BadKeyDigest;

    fn from_str(text: &str) -> Result<Self, BadKeyDigest> {
        let mut bytes = [0; BYTES];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| BadKeyDigest)?;
        Ok(Self(bytes))
    }
}

impl Serialize for KeyDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for KeyDigest {
    fn schema_name() -> Cow<'static, str> {
        "KeyDigest".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9a-f]{32}$" })
    }
}
