//! The manifest: the signed, unencrypted half of a chunk. Its [`Content`] is also that of a part of an answer.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::body::BodyFormat;
use crate::column::RowSchema;
use crate::cursor::{Cursor, Scalar};
use crate::digest::Digest;
use crate::envelope::Payload;
use crate::heads::Heads;
use crate::key_digest::KeyDigest;
use crate::load::Load;
use crate::name::{FeedName, Lane, RecipientName};
use crate::origin::Origin;
use crate::request::RequestId;
use crate::sign::PublicKey;
use crate::source::SourceIdentity;

/// Everything about a chunk except its rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Manifest {
    /// The recipient.
    pub recipient: RecipientName,
    /// The feed its rows belong to.
    pub feed: FeedName,
    /// The site, bureau and source; `None` in messages of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// The epoch of the feed's numbering, counted from 1.
    pub epoch: u32,
    /// Its number in the epoch: 1, 2, 3, …
    pub number: u64,
    /// The digest of the previous chunk; `None` in the first chunk of the first epoch.
    pub previous: Option<Digest>,
    /// Set in the first chunk of every epoch after the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opening: Option<Opening>,
    /// Set in every chunk of an epoch that sends the feed again from its start, up to the chunk that completes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resync: Option<Resync>,
    /// Set if it repairs rows in which a comparison found core and store to differ. Its position is that of the chunk before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repair: Option<Repair>,
    /// The heads of control and audit chains when it was signed.
    #[serde(default, skip_serializing_if = "Heads::is_empty")]
    pub heads: Heads,
    /// The position before its first row; `None` at the beginning of the feed.
    pub cursor_before: Option<Cursor>,
    /// The position after its last row; `None` at the beginning of the feed.
    pub cursor_after: Option<Cursor>,
    /// The database that its rows were read from; `None` if it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceIdentity>,
    /// Its rows.
    pub content: Content,
}

/// The rows of a chunk or of a part of an answer: their columns and totals, how they were read, who signed them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Content {
    /// The columns of the rows. The schema of a part has the kind's name; its key may be empty.
    pub schema: RowSchema,
    /// The digest of the feed's definition, or of the kind's: its SQL, the recipient's columns and masks.
    pub definition: Digest,
    /// Control totals.
    pub totals: Totals,
    /// The load under which the rows were read.
    pub load: Load,
    /// Source rows that could not be carried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejects: Vec<Reject>,
    /// The body.
    pub body: BodyFormat,
    /// When the first quantum began to read, by the bureau's clock.
    #[schemars(with = "String")]
    pub read_from: Timestamp,
    /// When the last quantum ended, by the bureau's clock.
    #[schemars(with = "String")]
    pub read_to: Timestamp,
    /// The process that signed; changes with every start. Distinguishes a lost acknowledgement from a lost race.
    pub instance: String,
    /// The key that signed.
    pub key: PublicKey,
    /// The algorithms in use, named so that others can join.
    pub algorithms: Algorithms,
}

/// Why a new epoch begins, and where it continues.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Opening {
    /// The cause.
    pub cause: Cause,
    /// The person or program that decided.
    pub actor: String,
    /// The actor's reason.
    pub reason: String,
    /// The last valid chunk of the previous epoch; `None` if everything is sent again.
    pub continues: Option<Link>,
}

/// The cause of a new epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The exchange was restored from an older copy or rewritten.
    ExchangeRestored,
    /// The operator wants rows sent again from an earlier position.
    Rewind,
    /// The feed's definition changed and the operator accepts it at the current position.
    DefinitionAccepted,
    /// The operator wants the store to equal the source again, including rows that were removed at the source.
    Resync,
    /// The source is another database or was rolled back, and the operator accepts it.
    SourceChanged,
    /// The operator wants the store to equal the source again by what differs: the receiver compares, and has it repaired.
    Comparison,
}

impl Cause {
    /// Returns whether the epoch accepts the source in its current state, independent of what was read before.
    #[must_use]
    pub fn accepts_source(self) -> bool {
        matches!(self, Self::Resync | Self::SourceChanged | Self::Comparison)
    }
}

/// The progress of a resynchronisation: the feed is sent again from its start, and the store removes the rows that are not
/// sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Resync {
    /// Source rows of this epoch that no chunk carries: rejects and withheld rows. While there are any, their older
    /// versions at the store cannot be distinguished from removed rows.
    pub excluded_rows: u64,
    /// Whether this chunk completes it: every row of the feed is in this epoch up to this chunk.
    pub is_complete: bool,
}

/// The repair of single rows: of these keys the store has exactly the rows of this chunk afterwards. The recipient's request names
/// the keys, by digests of a comparison; neither side shows a row that the other does not receive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Repair {
    /// The request that asked for it.
    pub request: RequestId,
    /// The salt of the digests.
    pub salt: String,
    /// The digests of the keys: those of the chunk's rows, and those of keys that are gone at the source.
    pub keys: BTreeSet<KeyDigest>,
}

/// A reference to one chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Link {
    /// Its epoch.
    pub epoch: u32,
    /// Its number.
    pub number: u64,
    /// Its digest.
    pub digest: Digest,
}

/// Control totals of a chunk or part.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Totals {
    /// Rows in the body.
    pub rows: u64,
    /// Rows that are marked as deleted.
    pub deleted: u64,
    /// The exact sum of each money column, as decimal text.
    pub money: BTreeMap<String, String>,
    /// Values of money columns that are not finite numbers, by column.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unsummed: BTreeMap<String, u64>,
    /// Source rows in its range that an operator's hold withholds. They are in no body.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub withheld: u64,
    /// Withheld rows that have not been sent since, by the hold's id. Repeated in every chunk of the lane, so that the
    /// last one shows where to restart.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outstanding: BTreeMap<String, OutstandingRows>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The rows of a lane that a hold withheld, and where that began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutstandingRows {
    /// The epoch of the first chunk in whose range rows are missing.
    pub epoch: u32,
    /// Its number.
    pub number: u64,
    /// The previous chunk, from which a new epoch that sends the rows can continue.
    pub continues: Option<Link>,
    /// The position before it.
    pub cursor: Option<Cursor>,
    /// Rows withheld on the lane so far.
    pub rows: u64,
}

/// A source row that cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reject {
    /// The values of its key columns, if they could be read and are at most 256 bytes long;
    /// bytes as `\x` and hex, floats and booleans as text.
    pub key: Vec<Option<Scalar>>,
    /// The invalid column, if it is one column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// Why it cannot be sent.
    pub reason: String,
}

/// Algorithms by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Algorithms {
    /// `sha-256`.
    pub digest: String,
    /// `ed25519`.
    pub signature: String,
}

impl Default for Algorithms {
    fn default() -> Self {
        Self {
            digest: "sha-256".to_owned(),
            signature: "ed25519".to_owned(),
        }
    }
}

impl Manifest {
    /// Returns its lane.
    #[must_use]
    pub fn lane(&self) -> Lane {
        Lane {
            recipient: self.recipient.clone(),
            feed: self.feed.clone(),
        }
    }
}

impl Payload for Manifest {
    const KIND: &'static str = "slacktide.chunk.v1";
    fn signer(&self) -> &PublicKey {
        &self.content.key
    }
}
