//! A transaction that may still bring rows.

use jiff::Timestamp;

use super::prepared::PreparedOrigin;
use crate::port::Holder;

/// Tells one transaction from every other, for as long as it is open.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransactionId {
    /// Of a session: its process id and the transaction's start in microseconds since 1970.
    Session {
        /// The backend's process id.
        pid: i32,
        /// Microseconds since 1970.
        started_us: i64,
    },
    /// Prepared, by its name and number: it lives on without a session.
    Prepared(String),
}

/// A transaction seen open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenTransaction {
    /// Which one.
    pub id: TransactionId,
    /// Its number at the database, once it has written: the same before and after it is prepared.
    pub xid: Option<u32>,
    /// The database role.
    pub role: String,
    /// The application's name; of a prepared transaction, its own name.
    pub application: String,
    /// When it began. Of a prepared transaction, when it was prepared, which is later than the
    /// times in its rows.
    pub since: Timestamp,
    /// What earlier looks tell about a prepared transaction, as [`super::PreparedTransactions::trace`] fills it in; `None` of
    /// any other transaction, and where nothing is known.
    pub origin: Option<PreparedOrigin>,
}

impl OpenTransaction {
    /// Whether it is a prepared one.
    #[must_use]
    pub fn is_prepared(&self) -> bool {
        matches!(self.id, TransactionId::Prepared(_))
    }

    /// Returns the earliest time at which it can have begun, or `None` if no look bounds it.
    #[must_use]
    pub fn earliest(&self) -> Option<Timestamp> {
        if self.is_prepared() {
            self.origin.as_ref()?.earliest
        } else {
            Some(self.since)
        }
    }

    /// As the one who holds the fence.
    #[must_use]
    pub fn as_holder(&self) -> Holder {
        let what = if self.is_prepared() {
            "prepared transaction"
        } else {
            "transaction"
        };
        Holder {
            what: what.to_owned(),
            role: self.role.clone(),
            application: self.application.clone(),
            since: self.since,
        }
    }
}
