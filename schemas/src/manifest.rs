//! The manifest: the clear, signed half of a chunk.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::body::BodyForm;
use crate::column::RowSchema;
use crate::cursor::{Cursor, Scalar};
use crate::digest::Digest;
use crate::envelope::Payload;
use crate::heads::Heads;
use crate::load::Load;
use crate::name::{FeedName, Lane, RecipientName};
use crate::origin::Origin;
use crate::sign::PublicKey;
use crate::source::SourceMark;

/// Everything about a chunk but its rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Manifest {
    /// Who it is for.
    pub recipient: RecipientName,
    /// The feed its rows belong to.
    pub feed: FeedName,
    /// Where it belongs; none in messages of versions before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// Which life of the feed's numbering; counted from 1.
    pub epoch: u32,
    /// Its place in the epoch: 1, 2, 3, …
    pub number: u64,
    /// The digest of the chunk before; none in the first chunk of the first epoch.
    pub previous: Option<Digest>,
    /// Set in the first chunk of every epoch after the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opening: Option<Opening>,
    /// Set in every chunk of an epoch that sends the feed again from its start, up to the chunk that completes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resync: Option<Resync>,
    /// Who published it.
    pub publisher: Publisher,
    /// The heads of control and audit chains when it was signed.
    #[serde(default, skip_serializing_if = "Heads::is_empty")]
    pub heads: Heads,
    /// The position before its first row; none at the beginning of the feed.
    pub cursor_before: Option<Cursor>,
    /// The position after its last row; none at the beginning of the feed.
    pub cursor_after: Option<Cursor>,
    /// The columns of its rows.
    pub schema: RowSchema,
    /// The digest of the feed's definition.
    pub definition: Digest,
    /// The database that its rows were read from; none where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceMark>,
    /// Control totals.
    pub totals: Totals,
    /// The load under which its rows were read.
    pub load: Load,
    /// Source rows that could not be carried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejects: Vec<Reject>,
    /// The body.
    pub body: BodyForm,
    /// When the first quantum began to read, by the publisher's clock.
    #[schemars(with = "String")]
    pub read_from: Timestamp,
    /// When the last quantum ended, by the publisher's clock.
    #[schemars(with = "String")]
    pub read_to: Timestamp,
    /// The algorithms in use, named so that others can join.
    pub algorithms: Algorithms,
}

/// Who published a chunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Publisher {
    /// One life of one process: tells a lost acknowledgement from a lost race.
    pub instance: String,
    /// The key that signed.
    pub key: PublicKey,
}

/// Why a new epoch begins, and where it goes on from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Opening {
    /// What made it necessary.
    pub cause: Cause,
    /// Who decided.
    pub actor: String,
    /// Why, in their words.
    pub reason: String,
    /// The last chunk of the epoch before that counts; none when everything is sent again.
    pub continues: Option<Link>,
}

/// What makes a new epoch necessary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The exchange was restored from an older copy or rewritten.
    ExchangeRestored,
    /// The operator wants rows sent again from an earlier position.
    Rewind,
    /// The feed's definition changed and the operator accepts it where it stands.
    DefinitionAccepted,
    /// The operator wants the store to equal the source again, rows included that are gone there.
    Resync,
    /// The source is another database, or went back, and the operator accepts it as it is.
    SourceChanged,
}

impl Cause {
    /// Whether the epoch goes on with the source as it is, whatever was read before.
    #[must_use]
    pub fn accepts_source(self) -> bool {
        matches!(self, Self::Resync | Self::SourceChanged)
    }
}

/// The progress of a resynchronisation: the feed is sent again from its start, and the store removes the rows that did not
/// come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Resync {
    /// Source rows of this epoch that no chunk carries: rejects, and rows that holds keep back. While there are any, their
    /// older versions at the store cannot be told from rows that are gone.
    pub kept_back: u64,
    /// Whether this chunk completes it: every row of the feed has come in this epoch, this chunk included.
    pub is_complete: bool,
}

/// One chunk, named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Link {
    /// Its epoch.
    pub epoch: u32,
    /// Its number.
    pub number: u64,
    /// Its digest.
    pub digest: Digest,
}

/// Control totals of a chunk.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Totals {
    /// Rows in the body.
    pub rows: u64,
    /// How many of them are marked as deleted.
    pub deleted: u64,
    /// The exact sum of each money column, as decimal text.
    pub money: BTreeMap<String, String>,
    /// Values of money columns that are no finite numbers, where there are any.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unsummed: BTreeMap<String, u64>,
    /// Source rows in the range of this chunk that an operator's hold keeps back. They are in no body.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub withheld: u64,
    /// Where holds began to keep rows back that have not followed since, by the hold's id: said again in every
    /// chunk of the lane, so that the last one tells where to go back to.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub held_back: BTreeMap<String, HeldBack>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Where a hold began to keep rows of a lane back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HeldBack {
    /// The epoch of the first chunk in whose range rows are missing.
    pub epoch: u32,
    /// Its number.
    pub number: u64,
    /// The chunk before it, which a new epoch that sends the rows can go on from.
    pub continues: Option<Link>,
    /// The position before it.
    pub cursor: Option<Cursor>,
    /// Rows kept back on the lane so far.
    pub rows: u64,
}

/// A source row that could not be carried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reject {
    /// The values of its key columns, as far as they could be read and are no longer than 256 bytes;
    /// bytes as `\x` and hex, floats and booleans as text.
    pub key: Vec<Option<Scalar>>,
    /// The column at fault, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// What is wrong with it.
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
    /// The lane it belongs to.
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
        &self.publisher.key
    }
}
