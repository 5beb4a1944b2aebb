//! The operations of a store.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use schemas::cursor::Cursor;
use schemas::digest::Digest;
use schemas::manifest::Manifest;
use schemas::name::Lane;

use crate::chunk_number::ChunkNumber;
use crate::compaction::LedgerRetention;
use crate::error::Result;
use crate::identity::Identity;
use crate::refusal::Refusal;
use crate::row_count::RowCount;
use crate::table::schema_change::PendingChange;

pub use crate::arrival::Arrival;
pub use crate::outcome::Outcome;

/// A message that could not be opened. It is kept as a whole, with the chunk number that it claims.
#[derive(Debug, Clone)]
pub struct Unreadable {
    /// The lane of its subject.
    pub lane: Lane,
    /// The manifest and digest that it claims, if readable; not trusted.
    pub claims: Option<Box<(Manifest, Digest)>>,
    /// The exchange's sequence.
    pub sequence: u64,
    /// When the exchange stored it.
    pub exchanged_at: Timestamp,
    /// The cause, without any value.
    pub reason: String,
    /// The published bytes.
    pub bytes: bytes::Bytes,
}

/// What the ledger contains of a lane: enough to write its receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneReport {
    /// The lane.
    pub lane: Lane,
    /// Its current epoch.
    pub epoch: u32,
    /// The first number of that epoch that the store received.
    pub from: u64,
    /// The frontier; 0: nothing without a gap yet.
    pub to: u64,
    /// Digest of chunk `to`.
    pub head: Option<Digest>,
    /// Cursor after chunk `to`.
    pub cursor: Option<Cursor>,
    /// Rows of the chunks up to `to` in this epoch.
    pub rows: u64,
    /// Numbers up to `to` that are in quarantine, whole or in part.
    pub quarantined: Vec<u64>,
    /// Stored numbers above the frontier: chunks that wait for an earlier one.
    pub pending: u64,
    /// The end of a resynchronisation that could not remove the rows which were not sent again.
    pub unfinished_removal: Option<ChunkNumber>,
    /// The chunk up to which rows may differ from the source's, until a comparison that begins after it shows that they are equal.
    pub uncompared: Option<ChunkNumber>,
    /// Set while the lane is stopped.
    pub stopped: Option<String>,
    /// Set while chunks wait for an operator's approval of changed columns. Names feed, column, old and new, and the
    /// remedy.
    pub pending_change: Option<String>,
    /// Set while chunks are refused until an operator acts: names, tables or privileges do not allow storing them.
    pub refused: Option<Refusal>,
    /// The last chunk whose ledger entry is folded; `None` before any is.
    pub compacted: Option<ChunkNumber>,
    /// The last folded chunk that must be stored again; `None` outside of a refill.
    pub refill_until: Option<ChunkNumber>,
    /// The first chunk of the lineage: the feed was sent again from its beginning there.
    pub lineage_start: ChunkNumber,
}

impl LaneReport {
    /// Returns the number of the last chunk up to which the store holds everything.
    #[must_use]
    pub fn chunk_number(&self) -> ChunkNumber {
        ChunkNumber {
            epoch: self.epoch,
            number: self.to,
        }
    }

    /// Returns whether a resynchronisation is not complete: rows may differ from the source's.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        self.unfinished_removal.is_some() || self.uncompared.is_some()
    }

    /// Returns why the lane is blocked until an operator acts, for this side.
    #[must_use]
    pub fn blocked_reason(&self) -> Option<String> {
        let waits = || {
            self.pending_change
                .clone()
                .or_else(|| self.refused.as_ref().map(Refusal::to_string))
        };
        self.stopped.clone().or_else(waits)
    }

    /// Returns the same for the sender: the text names nothing of this side's database.
    #[must_use]
    pub fn shared_blocked_reason(&self) -> Option<&str> {
        let refused = || self.refused.as_ref().map(|refusal| refusal.shared.as_str());
        self.stopped
            .as_deref()
            .or(self.pending_change.as_deref())
            .or_else(refused)
    }
}

/// Who approved a change, and why. Kept permanently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// The person who approved it.
    pub actor: String,
    /// The reason.
    pub reason: String,
}

/// Changes of columns that wait for approval.
#[async_trait]
pub trait PendingChanges: Store {
    /// Returns every lane that waits, with its pending change.
    async fn pending_changes(&self) -> Result<Vec<(Lane, PendingChange)>>;

    /// Approves a lane's pending change; the tables change when the next chunk is stored. Returns `None` if nothing
    /// is pending. The approval is kept.
    async fn accept(&self, lane: &Lane, approval: &Approval) -> Result<Option<PendingChange>>;
}

/// A store. Every operation is one transaction, or several that each change nothing when repeated.
#[async_trait]
pub trait Store: Send + Sync {
    /// Creates or upgrades the store's own tables.
    async fn prepare(&self) -> Result<()>;

    /// Stores chunks of one lane in one transaction: rows, ledger entries, tombstones and lane state. The tables are
    /// created from the schema of the first chunk. The order and number of calls, and concurrent callers, do not
    /// change the result. Returns one outcome for each arrival, in order.
    async fn store(&self, lane: &Lane, arrivals: &[Arrival]) -> Result<Vec<Outcome>>;

    /// Quarantines a message that could not be opened, under the chunk number that it claims.
    async fn quarantine(&self, message: &Unreadable) -> Result<()>;

    /// Advances every lane's frontier as far as the ledger reaches and returns the reports. Drops tombstones that no
    /// older chunk can need.
    async fn reports(&self) -> Result<Vec<LaneReport>>;

    /// Folds the oldest ledger entries outside of `retention` that a receipt covers, some of each lane, one
    /// transaction each. Returns the number of folded entries; 0: nothing is due. A lane that `covered` lacks is not
    /// folded.
    async fn compact(&self, keep: &LedgerRetention, covered: &BTreeMap<Lane, ChunkNumber>) -> Result<u64>;

    /// Returns the identity of this store, which [`Store::prepare`] creates.
    async fn identity(&self) -> Result<Identity>;

    /// Compares the row count of every lane's table with the stored rows. A count that exceeds the time limit is
    /// cancelled.
    async fn count_rows(&self, limit: Duration) -> Result<Vec<RowCount>>;

    /// Closes the connections.
    async fn close(&self);
}
