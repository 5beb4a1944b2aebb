//! The receipt: the receiver's signed statement that everything up to a chunk is stored.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cursor::Cursor;
use crate::digest::Digest;
use crate::envelope::Payload;
use crate::name::{FeedName, Lane, RecipientName};
use crate::origin::Origin;
use crate::sign::PublicKey;

/// Derived from the store's ledger alone, so that a crash loses none. Cumulative: the last one
/// of a lane is sufficient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Receipt {
    /// The party that received.
    pub recipient: RecipientName,
    /// The feed.
    pub feed: FeedName,
    /// The origin of the covered chunks; `None` if receipt or chunks are of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// The epoch that `from` and `to` count in.
    pub epoch: u32,
    /// First number covered; 1 unless the receiver joined later.
    pub from: u64,
    /// The frontier: every number from `from` to this one is stored or quarantined. 0 if there is none.
    pub to: u64,
    /// The digest of chunk `to`; `None` while `to` is 0.
    pub head: Option<Digest>,
    /// The position after chunk `to`, from which a new epoch can continue.
    pub cursor: Option<Cursor>,
    /// Rows of the covered chunks.
    pub rows: u64,
    /// Numbers up to `to` whose chunk, or part of it, is in quarantine.
    pub quarantined: Vec<u64>,
    /// Set while the receiver has stopped the feed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
    /// The store that it was made from; `None` in receipts of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreId>,
    /// Set while the store holds less than its own receipts cover. The other fields then describe the covered range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behind: Option<Behind>,
    /// Whether a resynchronisation is not complete at the store, so that its rows may differ from the source's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_incomplete: bool,
    /// When it was made, by the receiver's clock.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The key that signed.
    pub key: PublicKey,
}

/// The complete range of a store that is behind its own receipts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Behind {
    /// The epoch that `to` counts in.
    pub epoch: u32,
    /// The last number up to which everything is stored; 0 if there is none.
    pub to: u64,
}

/// The identity of a store: a UUID that is created with the store's own tables. A copy or a restored backup has the same UUID.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct StoreId(
    #[schemars(regex(pattern = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"))] String,
);

impl StoreId {
    /// Builds a version 4 UUID from these bytes.
    #[must_use]
    pub fn of(random: [u8; 16]) -> Self {
        let mut bytes = random;
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        let digits = hex::encode(bytes);
        let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default().to_owned();
        let parts = [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)];
        Self(parts.join("-"))
    }
}

impl FromStr for StoreId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lengths: Vec<usize> = text.split('-').map(str::len).collect();
        let is_hex = text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'));
        if is_hex && lengths == [8, 4, 4, 4, 12] {
            Ok(Self(text.to_owned()))
        } else {
            Err("the identity of a store is a UUID in lower case".to_owned())
        }
    }
}

impl TryFrom<String> for StoreId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<StoreId> for String {
    fn from(id: StoreId) -> Self {
        id.0
    }
}

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Receipt {
    /// Returns its lane.
    #[must_use]
    pub fn lane(&self) -> Lane {
        Lane {
            recipient: self.recipient.clone(),
            feed: self.feed.clone(),
        }
    }
}

impl Payload for Receipt {
    const KIND: &'static str = "slacktide.receipt.v1";
    fn signer(&self) -> &PublicKey {
        &self.key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn store_id_is_a_uuid_in_lower_case() {
        let id = StoreId::of([0xff; 16]);
        assert_eq!(id.to_string(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(id.to_string().parse(), Ok(id));
        for wrong in [
            "",
            "ffffffff-ffff-4fff-bfff",
            "FFFFFFFF-FFFF-4FFF-BFFF-FFFFFFFFFFFF",
            "ffffffffffff4fffbfffffffffffffff",
            "gfffffff-ffff-4fff-bfff-ffffffffffff",
        ] {
            assert!(wrong.parse::<StoreId>().is_err(), "{wrong}");
        }
    }
}
