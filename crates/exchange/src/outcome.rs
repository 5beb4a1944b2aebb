//! Results of publishing, and stored messages.

use bytes::Bytes;
use jiff::Timestamp;

use crate::trace::TraceParent;

/// A message that the exchange stores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its subject.
    pub subject: String,
    /// Its sequence in the stream.
    pub sequence: u64,
    /// When it was stored, by the exchange's clock.
    pub stored_at: Timestamp,
    /// The envelope.
    pub bytes: Bytes,
    /// The span that published it. Not signed.
    pub trace: Option<TraceParent>,
}

/// The result of a compare-and-set publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// Stored and fsynced at this sequence.
    Done {
        /// The sequence; the expected one of the next publish.
        sequence: u64,
    },
    /// Another writer was first; nothing was stored.
    Conflict,
}

/// The result of a publish to a subject that accepts one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filed {
    /// Stored and fsynced at this sequence.
    Done {
        /// The sequence.
        sequence: u64,
    },
    /// The subject already has a message; nothing was stored. An equal digest means a lost acknowledgement, another one a
    /// lost race.
    Exists(Stored),
}
