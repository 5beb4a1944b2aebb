//! What the responder shows of itself: for the health page, metrics and status. No argument, no key of a row and no
//! request's id stands here.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

/// Requests at a glance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RequestsStatus {
    /// What it does, in words.
    pub state: String,
    /// Requests without an outcome.
    pub waiting: u64,
    /// Of these, admitted and in the queue.
    pub queued: u64,
    /// Of these, whose source is being read, or whose parts are being stored.
    pub answering: u64,
    /// Of these, waiting for officers.
    pub for_approval: u64,
    /// Of these, held.
    pub held: u64,
    /// When the oldest of them was stored.
    pub oldest: Option<Timestamp>,
    /// Outcomes given by this process, by name.
    pub outcomes: BTreeMap<String, u64>,
    /// Rows in them.
    pub rows: u64,
    /// Rows that the block list and holds kept back from them.
    pub withheld: u64,
    /// Parts stored by this process.
    pub parts: u64,
    /// Quanta read for them.
    pub quanta: u64,
    /// Milliseconds that the source was used for them.
    pub source_ms: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// Outcomes that another responder gave first.
    pub lost: u64,
    /// Messages about waiting requests.
    pub told: u64,
    /// When the streams were read last.
    pub looked_at: Option<Timestamp>,
    /// The last trouble.
    pub last_error: Option<String>,
}

impl RequestsStatus {
    /// Forgets what only the holder of the lease knows. What this process did stays.
    pub fn hand_over(&mut self) {
        (self.waiting, self.queued, self.answering) = (0, 0, 0);
        (self.for_approval, self.held, self.oldest) = (0, 0, None);
        (self.last_error, self.looked_at) = (None, None);
    }
}
