//! A transaction that may still bring rows.

use jiff::Timestamp;

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
    /// Prepared, by its name: it lives on without a session.
    Prepared(String),
}

/// A transaction seen open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenTransaction {
    /// Which one.
    pub id: TransactionId,
    /// The database role.
    pub role: String,
    /// The application's name; of a prepared transaction, its own name.
    pub application: String,
    /// When it began. Of a prepared transaction, when it was prepared, which is later than the
    /// times in its rows.
    pub since: Timestamp,
}

impl OpenTransaction {
    /// Whether it is a prepared one.
    #[must_use]
    pub fn is_prepared(&self) -> bool {
        matches!(self.id, TransactionId::Prepared(_))
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

/// The one to name, when it has been open for longer than the margin: a prepared one first, for
/// it freezes the fence, then the oldest.
pub(super) fn holder<'a>(
    open: impl Iterator<Item = &'a OpenTransaction>,
    at: Timestamp,
    margin: std::time::Duration,
) -> Option<Holder> {
    let long = |transaction: &&OpenTransaction| {
        at.duration_since(transaction.since) > jiff::SignedDuration::try_from(margin).unwrap_or_default()
    };
    open.filter(long)
        .min_by_key(|one| (!one.is_prepared(), one.since))
        .map(OpenTransaction::as_holder)
}
