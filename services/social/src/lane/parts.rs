//! The dependencies of a lane's worker, and the messages between it and the reader.

use std::sync::Arc;
use std::time::Duration;

use exchange::Exchange;
use jiff::Timestamp;
use schemas::column::RowSchema;
use schemas::cursor::Cursor;
use schemas::encryption::DecryptionKeys;
use schemas::name::Lane;
use schemas::person::PersonKey;
use schemas::sign::SigningKey;
use schemas::source::SourceIdentity;
use tokio::sync::{mpsc, watch};

use crate::blocklist::ListWatch;
use crate::conditions::Conditions;
use crate::definition_diff::CurrentDefinition;
use crate::hold::HoldWatch;
use crate::lease_keeper::LeaseWatch;
use crate::mask::Masks;
use crate::record_tracker::RecordTracker;
use crate::row_batch::RowBatch;
use crate::signed_chunk::LaneEncryption;
use crate::status::StatusRegistry;
use crate::tail::Trust;
use disclosure::hold::RowFilterRules;

/// A block for one generation of a lane.
#[derive(Debug, Clone)]
pub struct QueuedBatch {
    /// The generation.
    pub generation: u64,
    /// The block.
    pub rows: Arc<RowBatch>,
}

/// A message from the reader to a lane.
#[derive(Debug, Clone)]
pub enum LaneMessage {
    /// A block of rows.
    Block(QueuedBatch),
    /// The source is not the one that this generation of the lane was read from.
    SourceChanged {
        /// The generation.
        generation: u64,
        /// What changed.
        what: String,
    },
}

/// Where the reader must continue for a lane.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Position {
    /// Increases whenever rows that were read and not stored are dropped.
    pub generation: u64,
    /// The position to continue from; `None` if nothing may be read for this lane now.
    pub from: Option<Option<Cursor>>,
    /// Whether the exchange was read, with any result. Until then, a reader that is about to begin waits for this lane, so
    /// that lanes at equal cursors begin together.
    pub known: bool,
    /// Whether a resynchronisation is under way.
    pub is_resync: bool,
    /// The rows to withhold.
    pub withhold: Option<Arc<RowFilterRules>>,
    /// The database that the lane's last chunk was read from; `None` if any may be read.
    pub source: Option<SourceIdentity>,
    /// Whether an operator accepted that the source holds nothing at this position.
    pub is_source_accepted: bool,
    /// Whether to continue at the source's present fence.
    pub begins_at_fence: bool,
    /// When the lane's last rows were read.
    pub read_at: Option<Timestamp>,
    /// Whether the lane is stopped because the feed's definition changed. The feed's columns are needed to describe that.
    pub has_changed_definition: bool,
}

/// The dependencies of a lane's worker.
pub struct LaneParts {
    /// The lane.
    pub lane: Lane,
    /// The exchange.
    pub exchange: Arc<dyn Exchange>,
    /// Signs chunks.
    pub key: Arc<SigningKey>,
    /// The keys trusted for the tail and receipts.
    pub trust: Trust,
    /// The keys for encrypting chunks; `None` if their bodies are plain.
    pub encryption: Option<LaneEncryption>,
    /// The keys that decrypt the lane's positions.
    pub own: DecryptionKeys,
    /// Identifies this run of the process.
    pub instance: String,
    /// The recipient's masks; `None` if rows are sent whole.
    pub masks: Option<Arc<Masks>>,
    /// The digest of the feed's definition for this lane.
    pub definition: schemas::digest::Digest,
    /// The lease.
    pub lease: LeaseWatch,
    /// The operators' holds.
    pub holds: HoldWatch,
    /// Tracks control records.
    pub record_tracker: RecordTracker,
    /// The block list, if there is one.
    pub listed: Option<ListWatch>,
    /// The column that names a person, if the feed has one.
    pub person: Option<String>,
    /// Computes the digests of persons.
    pub person_key: Option<Arc<PersonKey>>,
    /// The configured definition, for messages.
    pub now: CurrentDefinition,
    /// The source's columns, once the feed was opened, for messages.
    pub columns: watch::Receiver<Option<RowSchema>>,
    /// Receives the status.
    pub registry: StatusRegistry,
    /// Takes the conditions that others decide by.
    pub conditions: Conditions,
    /// The interval for rechecking a stopped lane.
    pub recheck: Duration,
    /// The interval for checking a lane that is not in doubt.
    pub check: Duration,
}

/// The reader's handle of a lane.
pub struct LaneHandle {
    /// The lane.
    pub lane: Lane,
    /// Where to continue reading.
    pub position: watch::Receiver<Position>,
    /// Takes blocks and source changes.
    pub outbox: mpsc::Sender<LaneMessage>,
    /// The recipient's masks; `None` if rows are sent whole.
    pub masks: Option<Arc<Masks>>,
}

/// Waits until the position of a lane changes.
pub async fn lane_changed(lanes: &mut [LaneHandle]) {
    let changes = lanes.iter_mut().map(|lane| {
        Box::pin(async {
            // A lane that has ended never changes.
            if lane.position.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    });
    futures_util::future::select_all(changes).await;
}
