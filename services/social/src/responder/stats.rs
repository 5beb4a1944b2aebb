//! The status of the responder for the health page, metrics and `slacktide status`. It holds no argument, no row key and no
//! request id.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

/// The status of data requests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RequestsStatus {
    /// The current activity.
    pub state: String,
    /// Requests without an outcome.
    pub waiting: u64,
    /// Those of `waiting` that are admitted and queued.
    pub queued: u64,
    /// Those of `waiting` that are being read or stored.
    pub answering: u64,
    /// Those of `waiting` that need approval.
    pub for_approval: u64,
    /// Those of `waiting` that are held.
    pub held: u64,
    /// When the oldest waiting request was stored.
    pub oldest: Option<Timestamp>,
    /// Outcomes that this process stored, by name.
    pub outcomes: BTreeMap<String, u64>,
    /// Rows in these outcomes.
    pub rows: u64,
    /// Rows that the block list and holds withheld from these outcomes.
    pub withheld: u64,
    /// Parts stored by this process.
    pub parts: u64,
    /// Quanta read for requests.
    pub quanta: u64,
    /// Milliseconds of source time used for requests.
    pub source_ms: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// Outcomes that another responder stored first.
    pub lost: u64,
    /// Progress messages written.
    pub progress_messages: u64,
    /// When the streams were last read.
    pub polled_at: Option<Timestamp>,
    /// The last error.
    pub last_error: Option<String>,
}

impl RequestsStatus {
    /// Clears what only the holder of the lease knows. The counters of this process stay.
    pub fn hand_over(&mut self) {
        (self.waiting, self.queued, self.answering) = (0, 0, 0);
        (self.for_approval, self.held, self.oldest) = (0, 0, None);
        (self.last_error, self.polled_at) = (None, None);
    }
}
