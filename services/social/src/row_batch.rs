//! Rows that were read, ready to become messages: chunks of every lane that shares them, or a part of an answer.
//!
//! The recipients of a feed share one compression; description, encryption and signature are made for each message.
//! Compressing and signing take milliseconds of CPU, so callers do it off the asynchronous threads.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use schemas::body::{self, BodyError, BodyFormat, CompressedBody};
use schemas::chunk::{ChunkError, RowMessage, Signed};
use schemas::column::RowSchema;
use schemas::cursor::Cursor;
use schemas::digest::Digest;
use schemas::encryption::EncryptionPublicKey;
use schemas::load::Load;
use schemas::manifest::{Algorithms, Content, Reject, Repair, Resync, Totals};
use schemas::sign::{PublicKey, SigningKey};
use schemas::source::SourceIdentity;

/// A closed block: the rows of a chunk or part, without a position in a chain.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// Packed rows.
    pub plain: Vec<u8>,
    /// Control totals.
    pub totals: Totals,
    /// Rows that could not be carried.
    pub rejects: Vec<Reject>,
    /// Withheld rows, by the hold's id. They are in no body.
    pub withheld: BTreeMap<String, u64>,
    /// The position before its first row.
    pub cursor_before: Option<Cursor>,
    /// The position after its last row.
    pub cursor_after: Option<Cursor>,
    /// When the quantum of its first row began.
    pub read_from: Timestamp,
    /// Whether it completes a resynchronisation.
    pub completes_resync: bool,
    /// The keys that it repairs, if it does.
    pub repair: Option<Repair>,
}

impl Block {
    /// Returns the rows in its range that it does not carry.
    #[must_use]
    pub fn excluded_rows(&self) -> u64 {
        self.rejects.len() as u64 + self.totals.withheld
    }

    /// Returns the progress of a resynchronisation including this block. `before` counts the rows that no earlier chunk of the
    /// epoch carries; `None` if none is under way.
    #[must_use]
    pub fn resync(&self, before: Option<u64>) -> Option<Resync> {
        before.map(|before| Resync {
            excluded_rows: before + self.excluded_rows(),
            is_complete: self.completes_resync,
        })
    }
}

/// A block with everything that its messages share.
#[derive(Debug)]
pub struct RowBatch {
    /// The rows.
    pub block: Block,
    /// The columns.
    pub schema: Arc<RowSchema>,
    /// The digest of the definition of the feed or kind.
    pub definition: Digest,
    /// The load during the read.
    pub load: Load,
    /// When the last quantum ended.
    pub read_to: Timestamp,
    /// The database that the rows were read from.
    pub source: Option<SourceIdentity>,
    body: OnceLock<Result<CompressedBody, BodyError>>,
}

impl RowBatch {
    /// Takes a block as it was read.
    #[must_use]
    pub fn new(
        block: Block,
        schema: Arc<RowSchema>,
        definition: Digest,
        load: Load,
        read_to: Timestamp,
    ) -> Self {
        Self {
            block,
            schema,
            definition,
            load,
            read_to,
            source: None,
            body: OnceLock::new(),
        }
    }

    /// Sets the database that the rows were read from.
    #[must_use]
    pub fn read_from_source(mut self, source: Option<SourceIdentity>) -> Self {
        self.source = source;
        self
    }

    /// Returns the description of the rows in a message that `key` signs. Its `body` is filled in then.
    #[must_use]
    pub fn content(&self, instance: &str, key: &PublicKey) -> Content {
        Content {
            schema: (*self.schema).clone(),
            definition: self.definition,
            totals: self.block.totals.clone(),
            load: self.load.clone(),
            rejects: self.block.rejects.clone(),
            body: BodyFormat::default(),
            read_from: self.block.read_from,
            read_to: self.read_to.max(self.block.read_from),
            instance: instance.to_owned(),
            key: key.clone(),
            algorithms: Algorithms::default(),
        }
    }

    /// Compresses the rows once, encrypts them if the recipient has a key, and signs the message.
    ///
    /// # Errors
    /// [`ChunkError`] if it is too large, or cannot be encrypted or signed.
    pub fn sign_message<M: RowMessage>(
        &self,
        manifest: M,
        key: &SigningKey,
        to: Option<&EncryptionPublicKey>,
    ) -> Result<Signed<M>, ChunkError> {
        let body = self.body.get_or_init(|| body::compress(&self.block.plain));
        Signed::sign_compressed(manifest, body.clone()?, key, to)
    }
}
