//! The operations of the exchange, in six traits. A fake in a test implements only the one that it needs.
//!
//! - [`feeds`] chunks and receipts
//! - [`requests`] data requests and their answers
//! - [`leases`] leases of sources
//! - [`audit`] audit entries and replay
//! - [`control`] operators' orders
//! - [`status`] the status of agents

pub mod audit;
pub mod control;
pub mod feeds;
pub mod leases;
pub mod requests;
pub mod status;

use std::time::Duration;

use async_trait::async_trait;
use schemas::name::PartyName;
pub use schemas::stream::Stream;

pub use audit::AuditExchange;
pub use control::ControlExchange;
pub use feeds::FeedExchange;
pub use leases::LeaseExchange;
pub use requests::RequestExchange;
pub use status::StatusExchange;

use crate::error::Result;

/// A sequence number of the exchange. As the expected last sequence of a publish, 0 means an empty subject.
pub type Sequence = u64;

/// An expected last sequence that no subject ever has. A publish that expects it stores nothing, and is answered with the last
/// sequence by the leader of the stream: the way to ask the leader with nothing but the right to publish.
pub const IMPOSSIBLE_SEQUENCE: Sequence = 9_223_372_036_854_775_807;

/// Where a replay begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadFrom {
    /// At the first retained message with this sequence or a higher one.
    Sequence(Sequence),
    /// At the first message stored at this time or later.
    Time(jiff::Timestamp),
}

/// Returns the party in a subject filter: its second token.
#[must_use]
pub fn filter_party(filter: &str) -> Option<PartyName> {
    filter.split('.').nth(1)?.parse().ok()
}

/// Describes the error of a filter without a party.
#[must_use]
pub fn missing_party(stream: Stream, filter: &str) -> String {
    format!("the filter {filter} has no party, but each party has its own stream {stream:?}")
}

/// The exchange as one party accesses it with its own credential: the six groups of operations, and the connection.
///
/// The transport limits the duration of every operation; none waits for the other party. Bytes are whole envelopes
/// (`schemas::envelope`): a transport neither reads nor changes them. Every publish waits until the exchange has stored the
/// message durably, and names the expected stream.
#[async_trait]
pub trait Exchange:
    FeedExchange + RequestExchange + LeaseExchange + AuditExchange + ControlExchange + StatusExchange
{
    /// Measures one round trip to the exchange.
    async fn ping(&self) -> Result<Duration>;

    /// Flushes buffered messages and closes the connection, within a bounded time.
    async fn close(&self);
}
