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

use crate::error::Result;
use crate::merge::ChunkNumber;
use crate::port::{Approval, Store};

/// The identity of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its own id.
    pub id: StoreId,
    /// The stores that an operator replaced by it.
    pub replaces: Vec<StoreId>,
}

impl Identity {
    /// Returns whether receipts of this store are its own, or those of a store that it replaces.
    #[must_use]
    pub fn owns(&self, store: &StoreId) -> bool {
        self.id == *store || self.replaces.contains(store)
    }
}

/// The row count of one lane's table, compared with the stored rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowCount {
    /// The lane.
    pub lane: Lane,
    /// The table, in SQL.
    pub table: String,
    /// Whether others may add rows to it, because it existed before.
    pub is_shared: bool,
    /// The result of the count.
    pub rows: Rows,
}

/// The result of counting a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// The table is missing, or another one has its name.
    Gone,
    /// The table was counted.
    Counted {
        /// The expected number, from the ledger.
        stored: u64,
        /// The actual number.
        found: u64,
    },
    /// Unknown: the count takes too long, or the server does not report new rows of this table.
    Unknown,
}

/// How a table differs from the stored rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    /// The table is missing.
    Gone,
    /// It has fewer rows.
    Fewer {
        /// How many are missing.
        missing: u64,
    },
    /// It has more rows.
    More {
        /// The number of additional rows.
        surplus: u64,
    },
}

impl RowCount {
    /// PURE: returns how the table differs; `None` if no difference is known.
    #[must_use]
    pub fn difference(&self) -> Option<Difference> {
        match self.rows {
            Rows::Gone => Some(Difference::Gone),
            Rows::Unknown => None,
            Rows::Counted { stored, found } if found < stored => Some(Difference::Fewer {
                missing: stored - found,
            }),
            Rows::Counted { stored, found } if found > stored && !self.is_shared => Some(Difference::More {
                surplus: found - stored,
            }),
            Rows::Counted { .. } => None,
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use store_testing::samples::lane;

    #[test]
    fn row_count_of_shared_table_reports_only_missing_rows() {
        let difference = |is_shared, rows| {
            RowCount {
                lane: lane(),
                table: "setl".to_owned(),
                is_shared,
                rows,
            }
            .difference()
        };
        let counted = |stored, found| Rows::Counted { stored, found };
        assert_eq!(difference(false, counted(3, 3)), None);
        assert_eq!(difference(true, counted(3, 5)), None);
        assert_eq!(
            difference(false, counted(3, 5)),
            Some(Difference::More { surplus: 2 })
        );
        for is_shared in [false, true] {
            assert_eq!(
                difference(is_shared, counted(3, 1)),
                Some(Difference::Fewer { missing: 2 })
            );
            assert_eq!(difference(is_shared, Rows::Gone), Some(Difference::Gone));
            assert_eq!(difference(is_shared, Rows::Unknown), None);
        }
    }
}
