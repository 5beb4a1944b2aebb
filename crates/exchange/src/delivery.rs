//! What a fetch brings.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

/// One message, delivered and not yet settled.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Its subject.
    pub subject: String,
    /// Its place in the exchange's order. Repeats after the exchange was restored: never a key.
    pub sequence: u64,
    /// When the exchange stored it.
    pub stored_at: Timestamp,
    /// How often it was delivered, this time included.
    pub attempt: u64,
    /// The envelope.
    pub bytes: Bytes,
    /// What the transport needs to settle it; means nothing elsewhere.
    pub token: String,
}

/// What becomes of a delivery. Quarantined messages are settled as `Done`: the store holds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    /// Stored: never deliver it again.
    Done,
    /// Not now: deliver it again after this time.
    Later(Duration),
}
