//! A transaction that may still write rows.

use std::collections::BTreeSet;

use jiff::Timestamp;

/// Identifies a transaction for as long as it is open.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransactionId {
    /// A session's: its process id and the transaction's start.
    Session {
        /// The backend's process id.
        pid: i32,
        /// Microseconds since 1970.
        started_us: i64,
    },
    /// A prepared transaction, by number and name. It has no session.
    Prepared(String),
}

/// The possible origins of a prepared transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedOrigin {
    /// The earliest time at which it can have begun, or `None` if no snapshot bounds it.
    pub earliest: Option<Timestamp>,
    /// Sessions' transactions that it may have been, or `None` if it may have been any.
    pub candidates: Option<BTreeSet<TransactionId>>,
}

/// The transaction that blocks the fence. It is shown with an alarm and never times out.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FenceHolder {
    /// `transaction` or `prepared transaction`.
    pub what: String,
    /// The database role.
    pub role: String,
    /// Its application name, or the prepared transaction's name.
    pub application: String,
    /// Since when.
    pub since: Timestamp,
}

/// An open transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenTransaction {
    /// Its identity.
    pub id: TransactionId,
    /// The database's transaction number, once it has written. It does not change when the transaction is prepared.
    pub xid: Option<u32>,
    /// The database role.
    pub role: String,
    /// The application's name, or the prepared transaction's own name.
    pub application: String,
    /// When it began. For a prepared transaction: when it was prepared, which is later than the times in its rows.
    pub since: Timestamp,
    /// What earlier snapshots show of a prepared transaction, set by [`super::PreparedTransactions::trace`]. `None` for other
    /// transactions, and if nothing is known.
    pub origin: Option<PreparedOrigin>,
}

impl OpenTransaction {
    /// Whether it is prepared.
    #[must_use]
    pub fn is_prepared(&self) -> bool {
        matches!(self.id, TransactionId::Prepared(_))
    }

    /// Returns the earliest time at which it can have begun, or `None` if no snapshot bounds it.
    #[must_use]
    pub fn earliest(&self) -> Option<Timestamp> {
        if self.is_prepared() {
            self.origin.as_ref()?.earliest
        } else {
            Some(self.since)
        }
    }

    /// Returns it as the holder of the fence.
    #[must_use]
    pub fn as_holder(&self) -> FenceHolder {
        let what = if self.is_prepared() {
            "prepared transaction"
        } else {
            "transaction"
        };
        FenceHolder {
            what: what.to_owned(),
            role: self.role.clone(),
            application: self.application.clone(),
            since: self.since,
        }
    }
}
