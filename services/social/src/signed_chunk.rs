//! PURE: makes the signed chunk of a lane from rows that were read.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use exchange::TraceParent;
use schemas::chunk::ChunkError;
use schemas::cursor::Cursor;
use schemas::encryption::{DecryptionKeys, EncryptionKey, EncryptionPublicKey, position};
use schemas::heads::Heads;
use schemas::manifest::{Link, Manifest, OutstandingRows, Resync};
use schemas::name::{Lane, RecipientName};
use schemas::origin::Origin;
use schemas::sign::SigningKey;

use crate::hold;
use crate::row_batch::RowBatch;
use crate::step::{ChainPosition, PreparedChunk};

/// The state of a lane that its next chunk continues.
#[derive(Debug, Clone)]
pub struct ChunkContext {
    /// Its position in the chain.
    pub position: ChainPosition,
    /// The outstanding withheld rows according to the previous chunk.
    pub outstanding: BTreeMap<String, OutstandingRows>,
    /// During a resynchronisation: the rows that no chunk of the epoch carries so far.
    pub resync: Option<u64>,
    /// The current heads of the control and audit chains.
    pub heads: Heads,
    /// The origin of the lane.
    pub origin: Option<Origin>,
}

/// A chunk that is ready to publish.
#[derive(Debug, Clone)]
pub struct SignedChunk {
    /// What [`crate::step`] needs to know of it.
    pub prepared: PreparedChunk,
    /// Rows in it.
    pub rows: u64,
    /// Rows that could not be carried.
    pub rejects: u64,
    /// Rows in its range that are withheld.
    pub withheld: u64,
    /// The outstanding withheld rows including this chunk.
    pub outstanding: BTreeMap<String, OutstandingRows>,
    /// The progress of a resynchronisation including this chunk.
    pub resync: Option<Resync>,
    /// Whether it repairs rows.
    pub is_repair: bool,
    /// The published bytes.
    pub bytes: Bytes,
    /// The trace that its publishing continues; it is in no byte.
    pub trace: Option<TraceParent>,
}

/// The keys that encrypt bodies, and those that decrypt this agent's positions.
#[derive(Debug, Clone, Default)]
pub struct EncryptionKeys {
    /// The keys of the recipients whose chunks are encrypted.
    pub recipients: BTreeMap<RecipientName, EncryptionPublicKey>,
    /// The bureau's own keys, the current one first. Positions are encrypted with it and decrypted with any of them, so that a
    /// successor can continue.
    pub own: DecryptionKeys,
}

/// The encryption of one lane.
#[derive(Debug, Clone)]
pub struct LaneEncryption {
    /// The recipient's key.
    pub to: EncryptionPublicKey,
    /// The bureau's own key, for positions.
    pub own: Arc<EncryptionKey>,
}

impl EncryptionKeys {
    /// Returns the encryption of this recipient's lanes; `None` for plain bodies.
    #[must_use]
    pub fn lane(&self, recipient: &RecipientName) -> Option<LaneEncryption> {
        let (to, own) = (self.recipients.get(recipient)?, self.own.current()?);
        Some(LaneEncryption {
            to: to.clone(),
            own: Arc::clone(own),
        })
    }
}

impl RowBatch {
    /// Makes a chunk of a lane with a plain body.
    ///
    /// # Errors
    /// [`ChunkError`] if the chunk is too large or cannot be signed.
    pub fn sign(
        &self,
        lane: &Lane,
        position: ChainPosition,
        instance: &str,
        key: &SigningKey,
    ) -> Result<SignedChunk, ChunkError> {
        let context = ChunkContext {
            position,
            outstanding: BTreeMap::new(),
            resync: None,
            heads: Heads::default(),
            origin: None,
        };
        self.sign_for(lane, &context, instance, key, None)
    }

    /// Makes a chunk of a lane; encrypts its body and positions if `encryption` is given.
    ///
    /// # Errors
    /// [`ChunkError`] if the chunk is too large, or cannot be encrypted or signed.
    pub fn sign_for(
        &self,
        lane: &Lane,
        context: &ChunkContext,
        instance: &str,
        key: &SigningKey,
        encryption: Option<&LaneEncryption>,
    ) -> Result<SignedChunk, ChunkError> {
        let position = context.position;
        let published_form = |cursor: &Option<Cursor>| match (cursor, encryption) {
            (Some(cursor), Some(encryption)) => position::encrypt(cursor, lane, &encryption.own).map(Some),
            (cursor, _) => Ok(cursor.clone()),
        };
        let mut source = self.source.clone();
        if let Some(mark) = &mut source {
            mark.written = published_form(&mark.written)?;
        }
        let mut manifest = Manifest {
            recipient: lane.recipient.clone(),
            feed: lane.feed.clone(),
            origin: context.origin.clone(),
            epoch: position.epoch,
            number: position.number,
            previous: position.previous,
            opening: None,
            resync: self.block.resync(context.resync),
            repair: self.block.repair.clone(),
            heads: context.heads.clone(),
            cursor_before: published_form(&self.block.cursor_before)?,
            cursor_after: published_form(&self.block.cursor_after)?,
            source,
            content: self.content(instance, key.public()),
        };
        // With the position in its published, possibly encrypted form.
        manifest.content.totals.outstanding = hold::carry_outstanding(
            &context.outstanding,
            &self.block.withheld,
            position,
            manifest.cursor_before.as_ref(),
        );
        let signed = self.sign_message(manifest, key, encryption.map(|encryption| &encryption.to))?;
        let Manifest {
            resync,
            repair,
            content,
            ..
        } = signed.manifest;
        Ok(SignedChunk {
            prepared: PreparedChunk {
                link: Link {
                    epoch: position.epoch,
                    number: position.number,
                    digest: signed.digest,
                },
                cursor: self.block.cursor_after.clone(),
            },
            rows: content.totals.rows,
            rejects: self.block.rejects.len() as u64,
            withheld: content.totals.withheld,
            outstanding: content.totals.outstanding,
            resync,
            is_repair: repair.is_some(),
            bytes: Bytes::from(signed.bytes),
            trace: None,
        })
    }
}
