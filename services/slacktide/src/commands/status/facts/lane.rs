//! The facts of one lane: the last word of either side, and what the configuration says of it.
//!
//! Positions are left out: they may hold personal data.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemas::digest::Digest;
use schemas::manifest::{HeldBack, Manifest};
use schemas::name::{FeedName, Lane, RecipientName};
use schemas::receipt::Receipt;
use serde::Serialize;
use social::changed::{self, Now};
use social::tail::under_way;

/// One lane, both sides of it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct LaneFacts {
    /// Who it is for.
    pub(crate) recipient: RecipientName,
    /// The feed.
    pub(crate) feed: FeedName,
    /// The digest of the definition as it is configured; the bureau's to know.
    pub(crate) definition: Option<Digest>,
    /// What differs between that definition and the last chunk's, with the commands; `None`: nothing.
    #[serde(skip)]
    pub(crate) changed: Option<String>,
    /// The last chunk.
    pub(crate) chunk: Option<ChunkFacts>,
    /// The last receipt.
    pub(crate) receipt: Option<ReceiptFacts>,
    /// What the bureau tells the recipient of a lane that stands still.
    pub(crate) bureau_says: Option<String>,
    /// What could not be read or believed.
    pub(crate) trouble: Option<String>,
}

impl LaneFacts {
    /// Nothing is known yet.
    pub(super) fn of(lane: &Lane, definition: Option<Digest>) -> Self {
        Self {
            recipient: lane.recipient.clone(),
            feed: lane.feed.clone(),
            definition,
            changed: None,
            chunk: None,
            receipt: None,
            bureau_says: None,
            trouble: None,
        }
    }

    /// Notes what differs between the definition as it is configured and the last chunk's.
    pub(super) fn compare(&mut self, now: &Now) {
        self.changed = match (&self.chunk, self.definition) {
            (Some(chunk), Some(definition)) if chunk.definition != definition => {
                let before = (&chunk.schema, Some(chunk.definition));
                Some(changed::told(&self.lane(), before, (now, definition), None))
            }
            _ => None,
        };
    }

    /// Its name.
    pub(crate) fn lane(&self) -> Lane {
        Lane {
            recipient: self.recipient.clone(),
            feed: self.feed.clone(),
        }
    }
}

/// A lane's last chunk.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ChunkFacts {
    /// Its epoch.
    pub(crate) epoch: u32,
    /// Its number.
    pub(crate) number: u64,
    /// When the exchange stored it.
    pub(crate) stored_at: Timestamp,
    /// Its rows.
    pub(crate) rows: u64,
    /// Rows in its range that holds keep back.
    pub(crate) withheld: u64,
    /// Rows in its range that could not be carried.
    pub(crate) rejects: usize,
    /// Where holds began to keep rows back, by the hold's id. Without the positions.
    #[serde(skip)]
    pub(crate) held_back: BTreeMap<String, HeldBack>,
    /// Whether the feed is being sent again from its start, and this chunk does not complete it.
    pub(crate) is_resync: bool,
    /// The definition it was read by.
    pub(crate) definition: Digest,
    /// Its columns.
    #[serde(skip)]
    pub(crate) schema: schemas::column::RowSchema,
    /// Whether the position after it is sealed to the bureau.
    pub(crate) has_cursor: bool,
}

impl ChunkFacts {
    /// By its manifest.
    pub(crate) fn of(manifest: Manifest, stored_at: Timestamp) -> Self {
        Self {
            epoch: manifest.epoch,
            number: manifest.number,
            stored_at,
            rows: manifest.totals.rows,
            withheld: manifest.totals.withheld,
            rejects: manifest.rejects.len(),
            held_back: manifest.totals.held_back,
            is_resync: under_way(manifest.resync).is_some(),
            definition: manifest.definition,
            schema: manifest.schema,
            has_cursor: manifest.cursor_after.is_some(),
        }
    }
}

/// A lane's last receipt.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ReceiptFacts {
    /// The epoch that `to` counts in.
    pub(crate) epoch: u32,
    /// Everything up to this chunk is stored or in quarantine.
    pub(crate) to: u64,
    /// When the exchange stored it.
    pub(crate) stored_at: Timestamp,
    /// Rows so far.
    pub(crate) rows: u64,
    /// Numbers that are in quarantine.
    pub(crate) quarantined: Vec<u64>,
    /// Why the receiver has stopped the lane.
    pub(crate) stopped: Option<String>,
    /// Whether the receiver's store is behind what the receipt covers.
    pub(crate) is_behind: bool,
}

impl ReceiptFacts {
    /// By the receipt.
    pub(crate) fn of(receipt: Receipt, stored_at: Timestamp) -> Self {
        Self {
            epoch: receipt.epoch,
            to: receipt.to,
            stored_at,
            rows: receipt.rows,
            quarantined: receipt.quarantined,
            stopped: receipt.stopped,
            is_behind: receipt.behind.is_some(),
        }
    }
}
