//! The verbs of a receiver.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use schemas::chunk::Verified;
use schemas::cursor::Cursor;
use schemas::digest::Digest;
use schemas::manifest::Manifest;
use schemas::name::Lane;

use crate::compaction::Keep;
use crate::error::Result;
use crate::merge::Place;
use crate::naming::Refusal;
use crate::refill::{Identity, RowCount};
use crate::table::asked::Question;

/// A chunk as it arrived.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// Verified: signature, body, totals.
    pub chunk: Verified,
    /// The exchange's sequence; evidence only, never a key.
    pub sequence: u64,
    /// When the exchange stored it.
    pub exchanged_at: Timestamp,
}

/// A message that could not be opened: kept whole, with whatever place it claims.
#[derive(Debug, Clone)]
pub struct Unreadable {
    /// The lane of its subject.
    pub lane: Lane,
    /// The place it claims, where that could be read; not trusted.
    pub claims: Option<Box<(Manifest, Digest)>>,
    /// The exchange's sequence.
    pub sequence: u64,
    /// When the exchange stored it.
    pub exchanged_at: Timestamp,
    /// What is wrong, without any value.
    pub reason: String,
    /// The published bytes.
    pub bytes: bytes::Bytes,
}

/// What became of a chunk. Everything but `Stopped` and `Later` may be settled as done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Rows and ledger entry are committed.
    Stored {
        /// Rows in the chunk.
        rows: u64,
        /// Of these, rows that the receiver's constraints refused; they are in quarantine.
        quarantined: u64,
    },
    /// It was stored before; nothing changed.
    Already,
    /// It belongs to the lost end of an epoch that a later one replaced; noted, not stored.
    Superseded,
    /// The lane is stopped (this chunk may be why), or the chunk's columns changed and an operator
    /// has to be asked; nothing was stored. Deliver it again later.
    Stopped {
        /// Why, for people.
        reason: String,
    },
    /// Something that it builds on (its epoch's opening, or the chunk that an opening
    /// continues) is on its way with another poller; nothing was stored. Deliver it again soon.
    Later {
        /// What it waits for, for people.
        reason: String,
    },
}

/// What the ledger knows of a lane: enough to write its receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneReport {
    /// The lane.
    pub lane: Lane,
    /// Its current epoch.
    pub epoch: u32,
    /// First number the receiver got in that epoch's chain.
    pub from: u64,
    /// The frontier; 0: nothing gapless yet.
    pub to: u64,
    /// Digest of chunk `to`.
    pub head: Option<Digest>,
    /// Cursor after chunk `to`.
    pub cursor: Option<Cursor>,
    /// Rows of the chunks up to `to` in this epoch.
    pub rows: u64,
    /// Numbers up to `to` that are in quarantine, whole or in part.
    pub quarantined: Vec<u64>,
    /// Stored numbers above the frontier: chunks that wait for one before them.
    pub pending: u64,
    /// The end of a resynchronisation that could not remove the rows which did not come again.
    pub unremoved: Option<Place>,
    /// Set while the lane is stopped.
    pub stopped: Option<String>,
    /// Set while chunks wait for an operator's word: their columns changed in a way that is not
    /// followed by itself. Names feed, column, old and new, and what to do.
    pub waits: Option<String>,
    /// Set while chunks are refused until somebody acts here: names, tables or rights do not allow them.
    pub refused: Option<Refusal>,
    /// Up to this place the ledger's entries are folded; `None` before any was.
    pub compacted: Option<Place>,
    /// Up to this place folded chunks are stored again; `None` while none is.
    pub owed: Option<Place>,
    /// The first chunk of the lineage: the feed was sent again from its beginning there.
    pub lineage_start: Place,
}

impl LaneReport {
    /// Returns the place of the last chunk up to which the store holds everything.
    #[must_use]
    pub fn place(&self) -> Place {
        Place {
            epoch: self.epoch,
            number: self.to,
        }
    }

    /// Returns why the lane does not go on, where somebody has to act, in the words for this side.
    #[must_use]
    pub fn held_up(&self) -> Option<String> {
        let waits = || {
            self.waits
                .clone()
                .or_else(|| self.refused.as_ref().map(Refusal::to_string))
        };
        self.stopped.clone().or_else(waits)
    }

    /// Returns the same in words that the sender may read: they name nothing of this side's database.
    #[must_use]
    pub fn held_up_shared(&self) -> Option<&str> {
        let refused = || self.refused.as_ref().map(|refusal| refusal.shared.as_str());
        self.stopped.as_deref().or(self.waits.as_deref()).or_else(refused)
    }
}

/// Who answers a lane's question, and why. Kept for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The person who decided.
    pub actor: String,
    /// Why, in their words.
    pub reason: String,
}

/// What a lane waits for, and the way on.
#[async_trait]
pub trait Changes: Store {
    /// Every lane that waits, with what it waits for.
    async fn asked(&self) -> Result<Vec<(Lane, Question)>>;

    /// Accepts what a lane waits for; the tables change when the next chunk is stored. None:
    /// it waits for nothing. The answer is kept with who gave it.
    async fn accept(&self, lane: &Lane, answer: &Answer) -> Result<Option<Question>>;
}

/// A receiver. Every verb is one transaction, or several that each change nothing when repeated.
#[async_trait]
pub trait Store: Send + Sync {
    /// Makes or upgrades our own tables (ledger, quarantine, tombstones).
    async fn prepare(&self) -> Result<()>;

    /// Stores chunks of one lane: rows, ledger entries, tombstones, lane state, in one
    /// transaction in bulk; tables are made from the chunk's schema on first sight. The order
    /// and the number of calls, and who else calls at the same time, change nothing in the end.
    /// One outcome for each arrival, in order.
    async fn store(&self, lane: &Lane, arrivals: &[Arrival]) -> Result<Vec<Outcome>>;

    /// Keeps a message that could not be opened, and its place in the chain.
    async fn quarantine(&self, message: &Unreadable) -> Result<()>;

    /// Every lane's frontier, advanced as far as the ledger reaches; tombstones that no older
    /// chunk can need any more are dropped here.
    async fn reports(&self) -> Result<Vec<LaneReport>>;

    /// Folds the oldest ledger entries that `keep` does not keep and that a receipt covers: some entries of each lane, a
    /// transaction each. Returns how many were folded; 0: nothing is due. A lane that `covered` does not name stays.
    async fn compact(&self, keep: &Keep, covered: &BTreeMap<Lane, Place>) -> Result<u64>;

    /// Which store this is; [`Store::prepare`] made its identity.
    async fn identity(&self) -> Result<Identity>;

    /// Compares the rows of every lane's table with what was stored. A count that takes longer than `most` is given up.
    async fn count_rows(&self, most: Duration) -> Result<Vec<RowCount>>;

    /// Ends connections.
    async fn close(&self);
}
