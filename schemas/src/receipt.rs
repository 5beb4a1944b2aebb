//! The receipt: the receiver's signed word that everything up to a chunk is stored.

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
/// of a lane says it all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Receipt {
    /// The party that received.
    pub recipient: RecipientName,
    /// The feed.
    pub feed: FeedName,
    /// Where the covered chunks belong; none in receipts of versions before, and for such chunks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// The epoch that `from` and `to` count in.
    pub epoch: u32,
    /// First number covered; 1 unless the receiver joined later.
    pub from: u64,
    /// The frontier: every number from `from` to this one is stored or quarantined. 0: none yet.
    pub to: u64,
    /// The digest of chunk `to`; none while `to` is 0.
    pub head: Option<Digest>,
    /// The position after chunk `to`, from which a new epoch can go on.
    pub cursor: Option<Cursor>,
    /// Rows of the covered chunks.
    pub rows: u64,
    /// Numbers up to `to` whose chunk, or part of it, is in quarantine.
    pub quarantined: Vec<u64>,
    /// Set while the receiver has stopped the feed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
    /// When it was made, by the receiver's clock.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The key that signed.
    pub key: PublicKey,
}

impl Receipt {
    /// The lane it is for.
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
