//! Parts of the JSON of several commands.

use schemars::JsonSchema;
use schemas::control::{AnyAction, Order};
use schemas::digest::Digest;
use serde::Serialize;

use super::status::facts::{ChunkFacts, ReceiptFacts};
use crate::output::Time;

/// An order of an operator.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(super) struct OrderItem {
    /// Unique among the orders of the party.
    id: String,
    /// What it applies to: `gate.SOURCE`, `hold.ID`, `orders`.
    scope: String,
    /// Its effect.
    action: AnyAction,
    /// The operator.
    actor: String,
    /// The operator's reason.
    reason: String,
    /// When it was given.
    given_at: Time,
    /// When it expires; `null`: when it is revoked.
    expires_at: Option<Time>,
}

impl From<&Order> for OrderItem {
    fn from(order: &Order) -> Self {
        Self {
            id: order.id.clone(),
            scope: order.scope.clone(),
            action: order.action.clone(),
            actor: order.actor.clone(),
            reason: order.reason.clone(),
            given_at: order.given_at.into(),
            expires_at: order.expires.map(Time),
        }
    }
}

/// The last chunk of a lane.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(super) struct ChunkItem {
    /// Its epoch.
    epoch: u32,
    /// Its number in the epoch.
    number: u64,
    /// When the exchange stored it.
    stored_at: Time,
    /// Its rows.
    rows: u64,
    /// Rows in its range that are withheld.
    withheld: u64,
    /// Rows in its range that could not be carried.
    rejects: usize,
    /// Whether the feed is being sent again from its start, and this chunk does not complete it.
    is_resync: bool,
    /// The digest of the definition that it was read with.
    definition: Digest,
    /// Whether it carries the encrypted position after it.
    has_cursor: bool,
}

impl From<&ChunkFacts> for ChunkItem {
    fn from(chunk: &ChunkFacts) -> Self {
        Self {
            epoch: chunk.epoch,
            number: chunk.number,
            stored_at: chunk.stored_at.into(),
            rows: chunk.rows,
            withheld: chunk.withheld,
            rejects: chunk.rejects,
            is_resync: chunk.is_resync,
            definition: chunk.definition,
            has_cursor: chunk.has_cursor,
        }
    }
}

/// The last receipt of a lane.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(super) struct ReceiptItem {
    /// The epoch that `to` counts in.
    epoch: u32,
    /// Everything up to this chunk is stored or in quarantine.
    to: u64,
    /// When the exchange stored it.
    stored_at: Time,
    /// Rows so far.
    rows: u64,
    /// The numbers of chunks in quarantine.
    quarantined: Vec<u64>,
    /// Why the receiver has stopped the lane.
    stopped: Option<String>,
    /// Whether the receiver's store is behind what the receipt covers.
    is_behind: bool,
}

impl From<&ReceiptFacts> for ReceiptItem {
    fn from(receipt: &ReceiptFacts) -> Self {
        Self {
            epoch: receipt.epoch,
            to: receipt.to,
            stored_at: receipt.stored_at.into(),
            rows: receipt.rows,
            quarantined: receipt.quarantined.clone(),
            stopped: receipt.stopped.clone(),
            is_behind: receipt.is_behind,
        }
    }
}

/// Rows of a lane that are withheld.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(super) struct OutstandingItem {
    /// The id of the hold, or `blocklist`.
    id: String,
    /// The epoch of the chunk since which rows are withheld.
    epoch: u32,
    /// Its number in the epoch.
    number: u64,
    /// The rows.
    rows: u64,
}

/// Returns the withheld rows of a lane, by what withholds them.
pub(super) fn outstanding(chunk: Option<&ChunkFacts>) -> Vec<OutstandingItem> {
    let all = chunk.into_iter().flat_map(|chunk| &chunk.outstanding);
    all.map(|(id, rows)| OutstandingItem {
        id: id.clone(),
        epoch: rows.epoch,
        number: rows.number,
        rows: rows.rows,
    })
    .collect()
}
