//! What this process did for a request so far. It is lost with the process and with the lease: the streams hold everything
//! that matters.

use jiff::Timestamp;
use schemas::progress::Waiting;
use tokio::time::Instant;

/// The state of one request in this process.
#[derive(Debug, Default)]
pub struct RequestState {
    /// What it waits for; `None` before the first decision.
    pub waiting: Option<Waiting>,
    /// Whether its answer has begun, so that the quota was checked.
    pub begun: bool,
    /// Whether its outcome is being stored, or is stored and not read back yet.
    pub closed: bool,
    /// Whether its answer is being published.
    pub publishing: bool,
    /// The number of failed attempts.
    pub failures: u32,
    /// The earliest time of the next attempt.
    pub retry_at: Option<Instant>,
    /// Whether an earlier poll saw it, so that a progress message is worth sending.
    pub was_polled_before: bool,
    /// Its queue position, as last computed.
    pub place: Option<u64>,
    /// The forecast of its answer, as last computed.
    pub forecast: Option<Timestamp>,
    /// The last progress message that this process knows of.
    pub last_progress: Option<super::progress_throttle::SentProgress>,
    /// Whether a progress message is being written.
    pub is_sending_progress: bool,
}
