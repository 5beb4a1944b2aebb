//! PURE but for its cost: a read block becomes a signed chunk in a place of a chain.
//!
//! The recipients of a feed share one read and one compression; only manifest, seal and
//! signature are each lane's own. Compressing and signing take milliseconds of CPU, so callers do it off
//! the asynchronous threads.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use jiff::Timestamp;
use schemas::body::{self, BodyError, BodyForm};
use schemas::chunk::ChunkError;
use schemas::column::RowSchema;
use schemas::cursor::Cursor;
use schemas::digest::Digest;
use schemas::envelope::Envelope;
use schemas::heads::Heads;
use schemas::load::Load;
use schemas::manifest::{Algorithms, HeldBack, Link, Manifest, Publisher, Resync};
use schemas::name::{Lane, RecipientName};
use schemas::origin::Origin;
use schemas::seal::{SealKey, SealPublicKey, SealRing, parcel, position};
use schemas::sign::SigningKey;
use schemas::source::SourceMark;

use crate::chunker::Block;
use crate::hold;
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
    /// The database that they were read from.
    source: Option<SourceMark>,
    body: OnceLock<Result<(BodyForm, Vec<u8>), BodyError>>,
}

/// What a chunk goes on from, and where it belongs.
#[derive(Debug, Clone)]
pub struct Behind {
    /// Its place in the chain.
    pub place: Place,
    /// Where holds began to keep rows back, as the chunk before it says.
    pub held_back: BTreeMap<String, HeldBack>,
    /// While the feed is sent again from its start: rows that no chunk of the epoch carries so far.
    pub resync: Option<u64>,
    /// The heads of control and audit chains now.
    pub heads: Heads,
    /// Where the lane belongs.
    pub origin: Option<Origin>,
}

/// A chunk ready to be published.
#[derive(Debug, Clone)]
pub struct SealedChunk {
    /// What the lane's decisions need of it.
    pub offer: Offer,
    /// Rows in it.
    pub rows: u64,
    /// Rows that could not be carried.
    pub rejects: u64,
    /// Rows in its range that holds keep back.
    pub withheld: u64,
    /// Where holds began to keep rows of the lane back, this chunk included.
    pub held_back: BTreeMap<String, HeldBack>,
    /// The progress of a resynchronisation, this chunk included.
    pub resync: Option<Resync>,
    /// The published bytes.
    pub bytes: Bytes,
}

/// To whom bodies are sealed, and what opens our own positions.
#[derive(Debug, Clone, Default)]
pub struct SealingKeys {
    /// The recipients whose chunks are sealed.
    pub recipients: BTreeMap<RecipientName, SealPublicKey>,
    /// The bureau's own keys, the one in use first: positions are sealed with it and opened
    /// with any of them, so that an agent that takes over reads on.
    pub own: SealRing,
}

/// How one lane is sealed.
#[derive(Debug, Clone)]
pub struct LaneSeal {
    /// The recipient's key.
    pub to: SealPublicKey,
    /// The bureau's own key, for positions.
    pub own: Arc<SealKey>,
}

impl SealingKeys {
    /// How this recipient's lanes are sealed; none: in clear.
    #[must_use]
    pub fn lane(&self, recipient: &RecipientName) -> Option<LaneSeal> {
        let (to, own) = (self.recipients.get(recipient)?, self.own.current()?);
        Some(LaneSeal {
            to: to.clone(),
            own: Arc::clone(own),
        })
    }
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
            source: None,
            body: OnceLock::new(),
        }
    }

    /// The same, naming the database.
    #[must_use]
    pub fn read_from_source(mut self, source: Option<SourceMark>) -> Self {
        self.source = source;
        self
    }

    /// Makes it a chunk of a lane, its body in clear.
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
        let behind = Behind {
            place,
            held_back: BTreeMap::new(),
            resync: None,
            heads: Heads::default(),
            origin: None,
        };
        self.seal_to(lane, &behind, instance, key, None)
    }

    /// Makes it a chunk of a lane, its body and position sealed where that is given.
    ///
    /// # Errors
    /// [`ChunkError`] when it is too large, or cannot be sealed or signed.
    pub fn seal_to(
        &self,
        lane: &Lane,
        behind: &Behind,
        instance: &str,
        key: &SigningKey,
        seal: Option<&LaneSeal>,
    ) -> Result<SealedChunk, ChunkError> {
        let place = behind.place;
        let (form, mut body) = self.body.get_or_init(|| body::close(&self.block.plain)).clone()?;
        let shown = |cursor: &Option<Cursor>| match (cursor, seal) {
            (Some(cursor), Some(seal)) => position::seal(cursor, lane, &seal.own).map(Some),
            (cursor, _) => Ok(cursor.clone()),
        };
        let mut source = self.source.clone();
        if let Some(mark) = &mut source {
            mark.written = shown(&mark.written)?;
        }
        let mut manifest = Manifest {
            recipient: lane.recipient.clone(),
            feed: lane.feed.clone(),
            origin: behind.origin.clone(),
            epoch: place.epoch,
            number: place.number,
            previous: place.previous,
            opening: None,
            resync: self.block.resync(behind.resync),
            publisher: Publisher {
                instance: instance.to_owned(),
                key: key.public().clone(),
            },
            heads: behind.heads.clone(),
            cursor_before: shown(&self.block.cursor_before)?,
            cursor_after: shown(&self.block.cursor_after)?,
            schema: (*self.schema).clone(),
            definition: self.definition,
            source,
            totals: self.block.totals.clone(),
            load: self.load.clone(),
            rejects: self.block.rejects.clone(),
            body: form,
            read_from: self.block.read_from,
            read_to: self.read_to.max(self.block.read_from),
            algorithms: Algorithms::default(),
        };
        // With the position as it is published: it may be nobody else's to read.
        manifest.totals.held_back = hold::carry(
            &behind.held_back,
            &self.block.withheld,
            place,
            manifest.cursor_before.as_ref(),
        );
        if let Some(seal) = seal {
            body = parcel::seal(&mut manifest, &body, &seal.to)?;
        }
        let envelope = Envelope::seal(&manifest, body, key)?;
        let link = Link {
            epoch: place.epoch,
            number: place.number,
            digest: envelope.digest(),
        };
        Ok(SealedChunk {
            offer: Offer {
                link,
                cursor: self.block.cursor_after.clone(),
            },
            rows: manifest.totals.rows,
            rejects: self.block.rejects.len() as u64,
            withheld: manifest.totals.withheld,
            held_back: manifest.totals.held_back,
            resync: manifest.resync,
            bytes: Bytes::from(envelope.encode()?),
        })
    }
}
