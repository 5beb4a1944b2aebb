//! Sample chunks for tests and for the conformance suite.

use schemas::body::BodyFormat;
use schemas::chunk::VerifiedChunk;
use schemas::column::{Column, ColumnType, RowSchema};
use schemas::cursor::{Cursor, Scalar};
use schemas::digest::Digest;
use schemas::load::Load;
use schemas::manifest::{Algorithms, Cause, Content, Link, Manifest, Opening, Resync, Totals};
use schemas::name::{FeedName, Lane, RecipientName};
use schemas::rows::pack;
use schemas::sign::{PublicKey, SigningKey};
use schemas::value::Value;

use store::merge::ChunkNumber;
use store::port::{Arrival, LaneReport};

/// Returns the lane `insurer-a.setl`.
///
/// # Panics
/// Never: the names are valid.
#[allow(clippy::expect_used, reason = "constant names that are good")]
#[must_use]
pub fn lane() -> Lane {
    Lane {
        recipient: RecipientName::new("insurer-a").expect("a good name"),
        feed: FeedName::new("setl").expect("a good name"),
    }
}

/// Returns a nullable column.
#[must_use]
pub fn column(name: &str, kind: ColumnType) -> Column {
    Column {
        name: name.to_owned(),
        kind,
        nullable: true,
    }
}

/// Returns a schema without a tombstone column.
#[must_use]
pub fn schema(key: &[&str], columns: &[(&str, ColumnType)]) -> RowSchema {
    RowSchema {
        name: "setl".to_owned(),
        version: 1,
        columns: columns
            .iter()
            .map(|(name, kind)| column(name, kind.clone()))
            .collect(),
        key: key.iter().map(|name| (*name).to_owned()).collect(),
        tombstone: None,
    }
}

/// Returns the report of a lane that is stored up to this chunk, with nothing else to report.
#[must_use]
pub fn report(lane: Lane, epoch: u32, to: u64) -> LaneReport {
    LaneReport {
        lane,
        epoch,
        from: 1,
        to,
        head: None,
        cursor: None,
        rows: 0,
        quarantined: Vec::new(),
        pending: 0,
        unfinished_removal: None,
        uncompared: None,
        stopped: None,
        pending_change: None,
        refused: None,
        compacted: None,
        refill_until: None,
        lineage_start: ChunkNumber { epoch: 1, number: 1 },
    }
}

/// A chain of chunks.
#[derive(Debug)]
pub struct Chain {
    lane: Lane,
    schema: RowSchema,
    epoch: u32,
    number: u64,
    previous: Option<Digest>,
    key: PublicKey,
    salt: u64,
}

impl Chain {
    /// Creates a chain. Chains with different salts are different histories.
    #[must_use]
    pub fn new(lane: Lane, schema: RowSchema, salt: u64) -> Self {
        Self {
            lane,
            schema,
            epoch: 1,
            number: 0,
            previous: None,
            key: SigningKey::generate().public().clone(),
            salt,
        }
    }

    /// Sets the columns of the following rows.
    pub fn columns(&mut self, schema: RowSchema) {
        self.schema = schema;
    }

    /// Continues after this link, as after a restore: another history.
    pub fn rewound(&mut self, to: Link, salt: u64) {
        (self.epoch, self.number, self.previous, self.salt) = (to.epoch, to.number, Some(to.digest), salt);
    }

    /// Returns the next chunk.
    pub fn next(&mut self, rows: &[Vec<Value<'_>>]) -> Arrival {
        self.number += 1;
        self.make(rows, None)
    }

    /// Returns the opening of the next epoch.
    pub fn open(&mut self, continues: Option<Link>) -> Arrival {
        let epoch = self.epoch + 1;
        self.open_epoch(epoch, continues)
    }

    /// Returns the opening of an epoch.
    pub fn open_epoch(&mut self, epoch: u32, continues: Option<Link>) -> Arrival {
        (self.epoch, self.number) = (epoch, 1);
        self.previous = continues.map(|link| link.digest);
        let opening = Opening {
            cause: Cause::ExchangeRestored,
            actor: "operator".to_owned(),
            reason: "restored".to_owned(),
            continues,
        };
        self.make(&[], Some(opening))
    }

    /// Returns the opening of the next epoch, which sends the feed again from its start.
    pub fn open_resync(&mut self) -> Arrival {
        let mut opening = self.open(None);
        opening.chunk.manifest.resync = Some(Resync::default());
        opening
    }

    /// Returns the opening of the next epoch, which continues with another source: its rows must be compared.
    pub fn open_comparison(&mut self) -> Arrival {
        let continues = self.previous.map(|digest| Link {
            epoch: self.epoch,
            number: self.number,
            digest,
        });
        let mut opening = self.open(continues);
        if let Some(opening) = &mut opening.chunk.manifest.opening {
            opening.cause = Cause::Comparison;
        }
        opening
    }

    /// Returns the next chunk of a resynchronisation.
    pub fn next_resync(&mut self, rows: &[Vec<Value<'_>>], excluded_rows: u64, is_complete: bool) -> Arrival {
        let mut chunk = self.next(rows);
        chunk.chunk.manifest.resync = Some(Resync {
            excluded_rows,
            is_complete,
        });
        chunk
    }

    fn make(&mut self, rows: &[Vec<Value<'_>>], opening: Option<Opening>) -> Arrival {
        let mut plain = Vec::new();
        for row in rows {
            // Rows of tests are small: packing them does not fail.
            let _ = pack(row, &mut plain);
        }
        let digest = Digest::of(&[
            &self.salt.to_be_bytes(),
            &self.epoch.to_be_bytes(),
            &self.number.to_be_bytes(),
            &plain,
            &self.previous.map_or([0; 32], |previous| previous.0),
        ]);
        let tombstone = self.schema.tombstone_index();
        let deleted = |row: &&Vec<Value<'_>>| {
            tombstone
                .and_then(|index| row.get(index))
                .is_some_and(Value::is_tombstone)
        };
        let at = i64::try_from(self.number).unwrap_or(i64::MAX);
        let manifest = Manifest {
            recipient: self.lane.recipient.clone(),
            feed: self.lane.feed.clone(),
            origin: None,
            epoch: self.epoch,
            number: self.number,
            previous: self.previous,
            resync: None,
            repair: None,
            opening,
            heads: schemas::heads::Heads::default(),
            cursor_before: None,
            cursor_after: Some(Cursor(vec![Scalar::Int(at)])),
            source: None,
            content: Content {
                instance: "0123456789abcdef".to_owned(),
                key: self.key.clone(),
                schema: self.schema.clone(),
                definition: Digest::of(&[b"definition"]),
                totals: Totals {
                    rows: rows.len() as u64,
                    deleted: rows.iter().filter(deleted).count() as u64,
                    ..Totals::default()
                },
                load: Load::default(),
                rejects: Vec::new(),
                body: BodyFormat {
                    digest: Digest::of(&[&plain]),
                    bytes: plain.len() as u64,
                    plain_bytes: plain.len() as u64,
                    encoding: "messagepack-rows".to_owned(),
                    compression: "none".to_owned(),
                    encryption: None,
                },
                read_from: jiff::Timestamp::UNIX_EPOCH,
                read_to: jiff::Timestamp::UNIX_EPOCH,
                algorithms: Algorithms::default(),
            },
        };
        self.previous = Some(digest);
        let sequence = (u64::from(self.epoch) << 32) + self.number;
        let chunk = VerifiedChunk {
            manifest,
            digest,
            plain,
        };
        Arrival {
            chunk,
            sequence,
            exchanged_at: jiff::Timestamp::UNIX_EPOCH,
        }
    }
}
