//! A delivered chunk.

use jiff::Timestamp;
use schemas::chunk::VerifiedChunk;

/// A delivered chunk.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The chunk with verified signature, body and totals.
    pub chunk: VerifiedChunk,
    /// The exchange's sequence; evidence only, never a key.
    pub sequence: u64,
    /// When the exchange stored it.
    pub exchanged_at: Timestamp,
}
