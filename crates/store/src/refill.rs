//! A store that holds less than it signed for: its identity, what is stored again, and rows that are counted.
//!
//! A restored backup, a replaced file, a truncated or dropped table and another database behind the same address all look
//! the same to the exchange: chunks were acknowledged that are not stored. So a store has an **identity**, a UUID that is
//! made with its bookkeeping and stands in every receipt; it knows from its ledger how many rows its tables must have; and
//! it can be ordered to **await** chunks again that its ledger knows. Awaited chunks are stored as new ones are, by the rule
//! that the newest wins, and the frontier stays before the first of them until all are stored. So a refill that was
//! interrupted stays visible, and repeating it is harmless.

use async_trait::async_trait;
use schemas::name::Lane;
use schemas::receipt::StoreId;

use crate::error::Result;
use crate::merge::Place;
use crate::port::{Answer, Store};

/// Which store this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its own identity.
    pub id: StoreId,
    /// Stores in whose place an operator put it.
    pub replaces: Vec<StoreId>,
}

impl Identity {
    /// Whether receipts of this store are its own, or of one that it replaces.
    #[must_use]
    pub fn owns(&self, store: &StoreId) -> bool {
        self.id == *store || self.replaces.contains(store)
    }
}

/// The rows of one lane's table, compared with what was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowCount {
    /// The lane.
    pub lane: Lane,
    /// The table, in SQL.
    pub table: String,
    /// Whether others may add rows to it: it was there before.
    pub is_shared: bool,
    /// What was found.
    pub rows: Rows,
}

/// What was found under a table's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// The table is not there any more, or another one has its name.
    Gone,
    /// Its rows.
    Counted {
        /// How many there must be, by the ledger.
        stored: u64,
        /// How many there are.
        found: u64,
    },
    /// They cannot be compared: the count takes too long, or the server does not tell new rows of this table from others.
    Unknown,
}

/// How a table differs from what was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    /// The table is gone.
    Gone,
    /// It has fewer rows.
    Fewer {
        /// How many are missing.
        missing: u64,
    },
    /// It has more rows.
    More {
        /// How many are too many.
        surplus: u64,
    },
}

impl RowCount {
    /// PURE: how the table differs from what was stored; `None` where nothing is known to differ.
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

/// What an operator may order of a store that holds less than it signed for.
#[async_trait]
pub trait Refill: Store {
    /// Awaits the stored chunks of a lane from one place to another once more, and makes tables that are gone. The frontier
    /// goes back to before the first of them. Returns how many are awaited now.
    async fn await_again(&self, lane: &Lane, from: Place, to: Place) -> Result<u64>;

    /// Every place of a lane that is awaited, in order, up to `most`. What a later epoch left behind is not: nothing of it is
    /// stored again.
    async fn awaited(&self, lane: &Lane, most: u32) -> Result<Vec<Place>>;

    /// Takes an awaited chunk as stored, as it was before: it cannot be stored again.
    async fn as_before(&self, lane: &Lane, place: Place) -> Result<()>;

    /// Takes the rows that a lane's table has now for those that were stored. Kept with who decided, where somebody did.
    async fn trust_rows(&self, lane: &Lane, by: Option<&Answer>) -> Result<()>;

    /// Puts this store in the place of others. Kept with who decided.
    async fn replace(&self, stores: &[StoreId], by: &Answer) -> Result<Identity>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::lane;

    #[test]
    fn count_of_a_shared_table_misses_only_fewer_rows() {
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
