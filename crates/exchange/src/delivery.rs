//! Deliveries and their settlement.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use crate::trace::TraceParent;

/// One message, delivered and not yet settled.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Its subject.
    pub subject: String,
    /// Its sequence in the stream. Not unique: it repeats after the exchange was restored.
    pub sequence: u64,
    /// When the exchange stored it.
    pub stored_at: Timestamp,
    /// Number of deliveries, including this one.
    pub attempt: u64,
    /// The envelope.
    pub bytes: Bytes,
    /// The span that published it. Not signed.
    pub trace: Option<TraceParent>,
    /// Opaque; the transport needs it to settle the delivery.
    pub token: String,
}

/// How a delivery is settled. Quarantined messages are settled with `Ack`, because the store has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    /// Stored: do not redeliver it.
    Ack,
    /// Not stored: redeliver it after this delay.
    Nak(Duration),
}
