//! The snapshots that a connection keeps for all feeds.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use crate::fence::{PreparedTransactions, TransactionSnapshot};

/// The transactions of other sessions at one moment.
#[derive(Debug)]
pub(in crate::postgres) struct Activity {
    /// The source's clock, and the open transactions.
    pub(in crate::postgres) seen: TransactionSnapshot,
    /// The monotonic clock before the statements.
    pub(in crate::postgres) began: Instant,
    /// The monotonic clock after them.
    pub(in crate::postgres) ended: Instant,
    /// The agent's wall clock after them.
    pub(in crate::postgres) agent: Timestamp,
}

/// The snapshots of one connection, for all feeds.
#[derive(Debug)]
pub(in crate::postgres) struct Activities {
    pub(super) connected: Instant,
    pub(super) last: Option<Arc<Activity>>,
    pub(super) prepared: PreparedTransactions,
}

impl Activities {
    /// Creates it for a new connection.
    pub(in crate::postgres) fn new() -> Self {
        Self {
            connected: Instant::now(),
            last: None,
            prepared: PreparedTransactions::default(),
        }
    }
}
