//! The rows as blocks and as sealed chunks, made once, and what sealing and opening cost alone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use schemas::chunk;
use schemas::load::Load;
use schemas::name::{FeedName, Lane, RecipientName};
use schemas::sign::SigningKey;
use social::seal::{Packed, SealedChunk};
use social::step::Place;

use crate::rig::{Rig, recipient};
use crate::{Outcome, rows};

/// All rows, ready for the stages behind reading.
pub(crate) struct Freight {
    /// How many rows.
    pub(crate) rows: u64,
    /// Bytes of the packed rows.
    pub(crate) plain_bytes: u64,
    /// Bytes as published.
    pub(crate) sealed_bytes: u64,
    /// The chain.
    pub(crate) chunks: Vec<Bytes>,
    /// Its lane.
    pub(crate) lane: Lane,
    key: Arc<SigningKey>,
    /// A sixteenth of the chunks, to seal again; all of them would only fill the memory.
    again: Vec<Packed>,
}

const EVERY: usize = 16;

impl Freight {
    /// Reads and seals all rows.
    ///
    /// # Errors
    /// When the source or the sealing fails.
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
        let mut freight = Self {
            rows,
            plain_bytes: 0,
            sealed_bytes: 0,
            chunks: Vec::new(),
            lane,
            key,
            again: Vec::new(),
        };
        let mut place = Place {
            epoch: 1,
            number: 1,
            previous: None,
        };
        for (at, block) in blocks.into_iter().enumerate() {
            freight.plain_bytes += block.plain.len() as u64;
            let packed = |block| Packed::new(block, Arc::clone(&schema), definition, Load::default(), now);
            if at % EVERY == 0 {
                freight.again.push(packed(block.clone()));
            }
            let chunk = freight.seal_one(&packed(block), place)?;
            place = Place {
                number: place.number + 1,
                previous: Some(chunk.offer.link.digest),
                ..place
            };
            freight.sealed_bytes += chunk.bytes.len() as u64;
            freight.chunks.push(chunk.bytes);
        }
        Ok(freight)
    }

    fn seal_one(&self, packed: &Packed, place: Place) -> Outcome<SealedChunk> {
        Ok(packed.seal(&self.lane, place, "bench", &self.key)?)
    }

    /// Compresses and signs on one core; the time that all rows would take.
    pub(super) fn seal(&self) -> Outcome<Duration> {
        let place = Place {
            epoch: 1,
            number: 1,
            previous: None,
        };
        let mut rows = 0;
        let mut took = Duration::ZERO;
        for packed in &self.again {
            // Sealed again from the start: a packed block keeps what it was compressed to.
            let fresh = Packed::new(
                packed.block.clone(),
                Arc::clone(&packed.schema),
                packed.definition,
                packed.load.clone(),
                packed.read_to,
            );
            let began = Instant::now();
            rows += self.seal_one(&fresh, place)?.rows;
            took += began.elapsed();
        }
        if rows == 0 {
            return Err("there is nothing to seal".into());
        }
        Ok(took.mul_f64(self.rows as f64 / rows as f64))
    }

    /// Verifies, unpacks and checks the totals on one core.
    pub(super) fn open(&self, rig: &Rig) -> Outcome<Duration> {
        let trusted = [rig.chunk_key.public().clone()];
        let began = Instant::now();
        let mut rows = 0;
        for bytes in &self.chunks {
            rows += chunk::open(bytes, &trusted)?.manifest.totals.rows;
        }
        let took = began.elapsed();
        if rows == self.rows {
            Ok(took)
        } else {
            Err(format!("{rows} of {} rows were opened", self.rows).into())
        }
    }
}
