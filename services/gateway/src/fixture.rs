//! A feed at an exchange in memory, for tests.

use std::sync::Arc;

use bytes::Bytes;
use exchange::{FeedExchange, Published};
use exchange_testing::memory::Memory;
use jiff::Timestamp;
use schemas::chunk;
use schemas::column::{Column, ColumnType, RowSchema};
use schemas::digest::Digest;
use schemas::encryption::EncryptionKey;
use schemas::heads::Heads;
use schemas::load::Load;
use schemas::manifest::{Algorithms, Cause, Content, Manifest, Opening, Totals};
use schemas::name::Lane;
use schemas::rows;
use schemas::sign::SigningKey;
use schemas::value::Value;

/// A publisher of chunks.
pub(crate) struct Fixture {
    pub(crate) exchange: Arc<Memory>,
    pub(crate) lane: Lane,
    key: SigningKey,
    /// The sequence, epoch, number and digest of the last chunk.
    last: (u64, u32, u64, Option<Digest>),
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let lane = Lane {
            recipient: "insurer-a".parse().unwrap(),
            feed: "claims".parse().unwrap(),
        };
        Self {
            exchange: Arc::new(Memory::new(std::slice::from_ref(&lane.recipient))),
            lane,
            key: SigningKey::generate(),
            last: (0, 1, 0, None),
        }
    }

    pub(crate) fn schema(columns: &[&str]) -> RowSchema {
        let column = |name: &&str| Column {
            name: (*name).to_owned(),
            kind: ColumnType::Int8,
            nullable: true,
        };
        RowSchema {
            name: "claims".to_owned(),
            version: 1,
            columns: columns.iter().map(column).collect(),
            key: vec![columns[0].to_owned()],
            tombstone: None,
        }
    }

    /// Returns the manifest of the next chunk with these columns.
    pub(crate) fn manifest(&self, columns: &[&str]) -> Manifest {
        let (_, epoch, number, digest) = self.last;
        Manifest {
            recipient: self.lane.recipient.clone(),
            feed: self.lane.feed.clone(),
            origin: None,
            epoch,
            number: number + 1,
            previous: digest,
            opening: None,
            resync: None,
            repair: None,
            heads: Heads::default(),
            cursor_before: None,
            cursor_after: None,
            source: None,
            content: Content {
                instance: "i".to_owned(),
                key: self.key.public().clone(),
                schema: Self::schema(columns),
                definition: Digest::of(&[b"definition"]),
                totals: Totals::default(),
                load: Load {
                    limits: [].into(),
                    samples: Vec::new(),
                    verdicts: Vec::new(),
                },
                rejects: Vec::new(),
                body: schemas::body::BodyFormat::default(),
                read_from: Timestamp::UNIX_EPOCH,
                read_to: Timestamp::UNIX_EPOCH,
                algorithms: Algorithms::default(),
            },
        }
    }

    /// Makes a manifest open the next epoch.
    pub(crate) fn open_epoch(manifest: &mut Manifest) {
        manifest.epoch += 1;
        manifest.number = 1;
        manifest.opening = Some(Opening {
            cause: Cause::Rewind,
            actor: "li.na".to_owned(),
            reason: "rows sent again".to_owned(),
            continues: None,
        });
        manifest.previous = None;
    }

    /// Publishes a chunk with rows of these integers, the same in each column.
    pub(crate) async fn publish(&mut self, mut manifest: Manifest, values: &[i64], is_encrypted: bool) {
        let mut plain = Vec::new();
        for value in values {
            let row = vec![Value::Int(*value); manifest.content.schema.columns.len()];
            rows::pack(&row, &mut plain).unwrap();
        }
        manifest.content.totals.rows = values.len() as u64;
        let (epoch, number) = (manifest.epoch, manifest.number);
        let encryption = EncryptionKey::generate().unwrap();
        let to = is_encrypted.then(|| encryption.public());
        let signed = chunk::SignedChunk::sign(manifest, &plain, &self.key, to).unwrap();
        self.publish_bytes(signed.bytes.into()).await;
        self.last = (self.last.0, epoch, number, Some(signed.digest));
    }

    /// Publishes the next chunk with one column.
    pub(crate) async fn publish_next(&mut self, values: &[i64]) {
        self.publish(self.manifest(&["id"]), values, false).await;
    }

    /// Publishes bytes that are not a chunk.
    pub(crate) async fn publish_bytes(&mut self, bytes: Bytes) {
        match self
            .exchange
            .publish_chunk(&self.lane, bytes, self.last.0)
            .await
            .unwrap()
        {
            Published::Done { sequence } => self.last.0 = sequence,
            Published::Conflict => panic!("another publisher"),
        }
    }

    /// Returns the sequence of the last message.
    pub(crate) fn last_sequence(&self) -> u64 {
        self.last.0
    }
}
