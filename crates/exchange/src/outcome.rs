//! What a publish comes to, and what the exchange holds.

use bytes::Bytes;
use jiff::Timestamp;

/// A message as the exchange holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its subject.
    pub subject: String,
    /// Its place in the exchange's order.
    pub sequence: u64,
    /// When it was stored, by the exchange's clock.
    pub stored_at: Timestamp,
    /// The envelope.
    pub bytes: Bytes,
}

/// What a compare-and-set publish came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// Stored and fsynced at this sequence.
    Done {
        /// The sequence, to be expected next.
        sequence: u64,
    },
    /// Somebody else wrote first; nothing was stored.
    Conflict,
}

/// What a once-for-ever publish came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filed {
    /// Stored and fsynced at this sequence.
    Done {
        /// The sequence.
        sequence: u64,
    },
    /// There was one already; nothing was stored. Compare digests: the same one is a lost
    /// acknowledgement, another one is the outcome that won.
    Already(Stored),
}
