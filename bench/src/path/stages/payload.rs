//! The rows as blocks and as signed chunks, built once, and the cost of signing and opening alone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use schemas::chunk::VerifiedChunk;
use schemas::encryption::DecryptionKeys;
use schemas::load::Load;
use schemas::name::{FeedName, Lane, RecipientName};
use schemas::sign::SigningKey;
use social::row_batch::RowBatch;
use social::signed_chunk::SignedChunk;
use social::step::ChainPosition;

use crate::rig::{Rig, recipient};
use crate::{Outcome, rows};

/// All rows, prepared for the stages after reading.
pub(crate) struct Payload {
    /// Number of rows.
    pub(crate) rows: u64,
    /// Bytes of the packed rows.
    pub(crate) plain_bytes: u64,
    /// Bytes of the published chunks.
    pub(crate) published_bytes: u64,
    /// The chunks of the lane.
    pub(crate) chunks: Vec<Bytes>,
    /// The lane.
    pub(crate) lane: Lane,
    key: Arc<SigningKey>,
    /// A sixteenth of the batches, for signing again; all of them would use too much memory.
    resign_batches: Vec<RowBatch>,
}

const RESIGN_EVERY: usize = 16;

impl Payload {
    /// Reads and signs all rows.
    ///
    /// # Errors
    /// If the source or the signing fails.
    pub(crate) async fn load(rig: &Rig, rows: u64) -> Outcome<Self> {
        let feed = rows::definition("setl", rows)?;
        let mut blocks = Vec::new();
        let (schema, _) = super::read::each_block(rig, &feed, |block| blocks.push(block)).await?;
        let (schema, definition, now) = (Arc::new(schema), feed.digest(), Timestamp::now());
        let lane = Lane {
            recipient: RecipientName::new(recipient(0))?,
            feed: FeedName::new("setl")?,
        };
        let key = Arc::clone(&rig.chunk_key);
        let mut payload = Self {
            rows,
            plain_bytes: 0,
            published_bytes: 0,
            chunks: Vec::new(),
            lane,
            key,
            resign_batches: Vec::new(),
        };
        let mut position = ChainPosition {
            epoch: 1,
            number: 1,
            previous: None,
        };
        for (at, block) in blocks.into_iter().enumerate() {
            payload.plain_bytes += block.plain.len() as u64;
            let packed = |block| RowBatch::new(block, Arc::clone(&schema), definition, Load::default(), now);
            if at % RESIGN_EVERY == 0 {
                payload.resign_batches.push(packed(block.clone()));
            }
            let chunk = payload.sign_one(&packed(block), position)?;
            position = ChainPosition {
                number: position.number + 1,
                previous: Some(chunk.prepared.link.digest),
                ..position
            };
            payload.published_bytes += chunk.bytes.len() as u64;
            payload.chunks.push(chunk.bytes);
        }
        Ok(payload)
    }

    fn sign_one(&self, packed: &RowBatch, position: ChainPosition) -> Outcome<SignedChunk> {
        Ok(packed.sign(&self.lane, position, "bench", &self.key)?)
    }

    /// Compresses and signs on one core; returns the time extrapolated to all rows.
    pub(super) fn sign(&self) -> Outcome<Duration> {
        let position = ChainPosition {
            epoch: 1,
            number: 1,
            previous: None,
        };
        let mut rows = 0;
        let mut took = Duration::ZERO;
        for packed in &self.resign_batches {
            // A new batch, because a batch caches its compressed bytes.
            let fresh = RowBatch::new(
                packed.block.clone(),
                Arc::clone(&packed.schema),
                packed.definition,
                packed.load.clone(),
                packed.read_to,
            );
            let began = Instant::now();
            rows += self.sign_one(&fresh, position)?.rows;
            took += began.elapsed();
        }
        if rows == 0 {
            return Err("no batch to sign".into());
        }
        Ok(took.mul_f64(self.rows as f64 / rows as f64))
    }

    /// Verifies, unpacks and checks the totals on one core.
    pub(super) fn open(&self, rig: &Rig) -> Outcome<Duration> {
        let trusted = [rig.chunk_key.public().clone()];
        let began = Instant::now();
        let mut rows = 0;
        for bytes in &self.chunks {
            rows += VerifiedChunk::open(bytes, &trusted, &DecryptionKeys::default())?
                .manifest
                .content
                .totals
                .rows;
        }
        let took = began.elapsed();
        if rows == self.rows {
            Ok(took)
        } else {
            Err(format!("{rows} of {} rows were opened", self.rows).into())
        }
    }
}
