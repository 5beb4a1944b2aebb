//! What the requester shows of itself. No argument and no row stands here.

use std::collections::BTreeMap;

use serde::Serialize;

/// The requester at a glance: what this process did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RequestsStatus {
    /// Rows of the outbox that became requests.
    pub taken: u64,
    /// Rows of the outbox that make no valid request; their reasons stand beside them.
    pub unfit: u64,
    /// Requests that the exchange has stored.
    pub filed: u64,
    /// Requests that the exchange does not take; their reasons stand in the store.
    pub not_filed: u64,
    /// Replies stored.
    pub replies: u64,
    /// Rows of them.
    pub rows: u64,
    /// Rows of them that the store's constraints refused.
    pub rows_quarantined: u64,
    /// Replies confirmed.
    pub confirmed: u64,
    /// Why the last reply that could not be stored was put off; it comes again.
    pub put_off: Option<String>,
    /// Requests whose replies are not stored until somebody acts, with the reason and what to do.
    pub refused: BTreeMap<String, String>,
    /// Answers that were confirmed and are not stored: the store was restored from a backup, or replaced.
    pub lost_answers: u64,
    /// The error while it lasts.
    pub last_error: Option<String>,
}
