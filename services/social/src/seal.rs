//! PURE but for its cost: a read block becomes a signed chunk in a place of a chain.
//!
//! The recipients of a feed share one read and one compression; only manifest and signature
//! are each lane's own. Compressing and signing take milliseconds of CPU, so callers do it off
//! the asynchronous threads.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use jiff::Timestamp;
use schemas::body::{self, BodyError, BodyForm};
use schemas::chunk::ChunkError;
use schemas::column::RowSchema;
use schemas::digest::Digest;
use schemas::envelope::Envelope;
use schemas::load::Load;
use schemas::manifest::{Algorithms, Link, Manifest, Publisher};
use schemas::name::Lane;
use schemas::sign::SigningKey;

use crate::chunker::Block;
use crate::step::{Offer, Place};

/// A block with everything that is the same for all recipients.
#[derive(Debug)]
pub struct Packed {
    /// The rows.
    pub block: Block,
    /// Their columns.
    pub schema: Arc<RowSchema>,
    /// The digest of the feed's definition.
    pub definition: Digest,
    /// The load they were read under.
    pub load: Load,
    /// When the last quantum ended.
    pub read_to: Timestamp,
    body: OnceLock<Result<(BodyForm, Vec<u8>), BodyError>>,
}

/// A chunk ready to be published.
#[derive(Debug, Clone)]
pub struct SealedChunk {
    /// What the lane's decisions need of it.
    pub offer: Offer,
    /// Rows in it.
    pub rows: u64,
    /// The published bytes.
    pub bytes: Bytes,
}

impl Packed {
    /// A block as it was read.
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
            body: OnceLock::new(),
        }
    }

    /// Seals it for a lane.
    ///
    /// # Errors
    /// [`ChunkError`] when it is too large or the key cannot sign.
    pub fn seal(
        &self,
        lane: &Lane,
        place: Place,
        instance: &str,
        key: &SigningKey,
    ) -> Result<SealedChunk, ChunkError> {
        let (form, body) = self.body.get_or_init(|| body::close(&self.block.plain)).clone()?;
        let manifest = Manifest {
            recipient: lane.recipient.clone(),
            feed: lane.feed.clone(),
            epoch: place.epoch,
            number: place.number,
            previous: place.previous,
            opening: None,
            publisher: Publisher {
                instance: instance.to_owned(),
                key: key.public().clone(),
            },
            cursor_before: self.block.cursor_before.clone(),
            cursor_after: self.block.cursor_after.clone(),
            schema: (*self.schema).clone(),
            definition: self.definition,
            totals: self.block.totals.clone(),
            load: self.load.clone(),
            rejects: self.block.rejects.clone(),
            body: form,
            read_from: self.block.read_from,
            read_to: self.read_to.max(self.block.read_from),
            algorithms: Algorithms::default(),
        };
        let envelope = Envelope::seal(&manifest, body, key)?;
        let link = Link {
            epoch: place.epoch,
            number: place.number,
            digest: envelope.digest(),
        };
        Ok(SealedChunk {
            offer: Offer {
                link,
                cursor: manifest.cursor_after,
            },
            rows: manifest.totals.rows,
            bytes: Bytes::from(envelope.encode()?),
        })
    }
}
