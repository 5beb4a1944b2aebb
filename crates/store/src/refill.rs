//! A store that holds less than its receipts cover: its identity, chunks stored again, and row counts.
//!
//! A restored backup, a replaced file, a truncated or dropped table, and another database behind the same address all
//! look alike at the exchange: acknowledged chunks are not stored. So a store has an **identity**, a UUID that is
//! created with its bookkeeping and is part of every receipt. Its ledger shows how many rows its tables must have. An
//! operator can order it to **await** known chunks again. Awaited chunks are stored like new ones, newest version
//! wins, and the frontier stays before the first of them until all are stored. So an interrupted refill stays
//! visible, and repeating it is safe.

use async_trait::async_trait;
use schemas::name::Lane;
use schemas::receipt::StoreId;

use crate::chunk_number::ChunkNumber;
use crate::error::Result;
use crate::port::{Approval, Store};

pub use crate::identity::Identity;
pub use crate::row_count::{Difference, RowCount, Rows};

/// Operator commands for a store that holds less than its receipts cover.
#[async_trait]
pub trait Refill: Store {
    /// Awaits the stored chunks of a range again, and creates missing tables. The frontier moves to before the first
    /// of them. Returns the number of awaited chunks.
    async fn mark_awaited(&self, lane: &Lane, from: ChunkNumber, to: ChunkNumber) -> Result<u64>;

    /// Returns up to `limit` awaited chunks of a lane, in order. Superseded chunks are not awaited, because they are
    /// not stored again.
    async fn awaited(&self, lane: &Lane, limit: u32) -> Result<Vec<ChunkNumber>>;

    /// Marks an awaited chunk as stored again, because it cannot be fetched.
    async fn mark_stored(&self, lane: &Lane, chunk_number: ChunkNumber) -> Result<()>;

    /// Accepts the current rows of a lane's table as the stored rows. Records who decided, if given.
    async fn accept_row_count(&self, lane: &Lane, by: Option<&Approval>) -> Result<()>;

    /// Declares that this store replaces others. Records who decided.
    async fn replace(&self, stores: &[StoreId], by: &Approval) -> Result<Identity>;
}
