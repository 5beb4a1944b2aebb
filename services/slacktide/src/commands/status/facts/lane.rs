//! The facts of one lane: last chunk, last receipt and configuration. Positions are left out: they may hold personal data.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemas::digest::Digest;
use schemas::manifest::{Manifest, OutstandingRows};
use schemas::name::{FeedName, Lane, RecipientName};
use schemas::receipt::Receipt;
use social::definition_diff::{self, CurrentDefinition};
use social::tail::pending_resync;

/// A lane, seen from both sides.
#[derive(Debug, Clone)]
pub(crate) struct LaneFacts {
    /// The recipient.
    pub(crate) recipient: RecipientName,
    /// The feed.
    pub(crate) feed: FeedName,
    /// The digest of the configured definition; only the bureau knows it.
    pub(crate) definition: Option<Digest>,
    /// What differs between that definition and the last chunk's, with the commands; `None`: nothing.
    pub(crate) changed: Option<String>,
    /// The last chunk.
    pub(crate) chunk: Option<ChunkFacts>,
    /// The last receipt.
    pub(crate) receipt: Option<ReceiptFacts>,
    /// The bureau's notice to the recipient about a lane that is not moving.
    pub(crate) bureau_notice: Option<String>,
    /// What could not be read or verified.
    pub(crate) error: Option<String>,
}

impl LaneFacts {
    /// Creates it without facts.
    pub(super) fn of(lane: &Lane, definition: Option<Digest>) -> Self {
        Self {
            recipient: lane.recipient.clone(),
            feed: lane.feed.clone(),
            definition,
            changed: None,
            chunk: None,
            receipt: None,
            bureau_notice: None,
            error: None,
        }
    }

    /// Sets `changed`: how the configured definition differs from the last chunk's.
    pub(super) fn compare(&mut self, now: &CurrentDefinition) {
        self.changed = match (&self.chunk, self.definition) {
            (Some(chunk), Some(definition)) if chunk.definition != definition => {
                let before = (&chunk.schema, Some(chunk.definition));
                Some(definition_diff::describe_change(
                    &self.lane(),
                    before,
                    (now, definition),
                    None,
                ))
            }
            _ => None,
        };
    }

    /// The lane's name.
    pub(crate) fn lane(&self) -> Lane {
        Lane {
            recipient: self.recipient.clone(),
            feed: self.feed.clone(),
        }
    }
}

/// A lane's last chunk.
#[derive(Debug, Clone)]
pub(crate) struct ChunkFacts {
    /// Its epoch.
    pub(crate) epoch: u32,
    /// Its number.
    pub(crate) number: u64,
    /// When the exchange stored it.
    pub(crate) stored_at: Timestamp,
    /// Its rows.
    pub(crate) rows: u64,
    /// Rows in its range that are withheld.
    pub(crate) withheld: u64,
    /// Rows in its range that could not be carried.
    pub(crate) rejects: usize,
    /// Where rows began to be withheld, by the hold's id. Without the positions.
    pub(crate) outstanding: BTreeMap<String, OutstandingRows>,
    /// Whether the feed is being sent again from its start, and this chunk does not complete it.
    pub(crate) is_resync: bool,
    /// The definition that it was read with.
    pub(crate) definition: Digest,
    /// Its columns.
    pub(crate) schema: schemas::column::RowSchema,
    /// Whether it carries the encrypted position after it.
    pub(crate) has_cursor: bool,
}

impl ChunkFacts {
    /// Creates it from the manifest.
    pub(crate) fn of(manifest: Manifest, stored_at: Timestamp) -> Self {
        Self {
            epoch: manifest.epoch,
            number: manifest.number,
            stored_at,
            rows: manifest.content.totals.rows,
            withheld: manifest.content.totals.withheld,
            rejects: manifest.content.rejects.len(),
            outstanding: manifest.content.totals.outstanding,
            is_resync: pending_resync(manifest.resync).is_some(),
            definition: manifest.content.definition,
            schema: manifest.content.schema,
            has_cursor: manifest.cursor_after.is_some(),
        }
    }
}

/// A lane's last receipt.
#[derive(Debug, Clone)]
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
    /// Creates it from the receipt.
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
