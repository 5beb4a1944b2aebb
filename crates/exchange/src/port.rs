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

pub use audit::AuditExchange;
pub use control::ControlExchange;
pub use feeds::FeedExchange;
pub use leases::LeaseExchange;
pub use requests::RequestExchange;
pub use status::StatusExchange;

use crate::error::{Error, ErrorKind, Result};
use crate::stream_state::StreamState;

/// A sequence number of the exchange. As the expected last sequence of a publish, 0 means an empty subject.
pub type Sequence = u64;

/// Where a replay begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadFrom {
    /// At the first retained message with this sequence or a higher one.
    Sequence(Sequence),
    /// At the first message stored at this time or later.
    Time(jiff::Timestamp),
}

/// The streams of the exchange, by content. Each party has its own stream of each kind, so that the messages of one party use
/// no storage of another. Each stream has its own sequences and is read for one party at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stream {
    /// Chunks.
    Data,
    /// Receipts.
    Receipts,
    /// Data requests.
    Requests,
    /// Cancellations of requests.
    Cancels,
    /// Officers' decisions about requests.
    Approvals,
    /// The latest progress of each request.
    Progress,
    /// Parts of answers.
    Parts,
    /// Outcomes of requests.
    Replies,
    /// The recipients' confirmations that replies are stored.
    Confirms,
    /// Audited actions of people and agents.
    Audit,
    /// Operators' orders.
    Control,
}

impl Stream {
    /// Returns the first token of the stream's subjects.
    #[must_use]
    pub fn token(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Receipts => "receipt",
            Self::Requests => "request",
            Self::Cancels => "cancel",
            Self::Approvals => "approval",
            Self::Progress => "progress",
            Self::Parts => "part",
            Self::Replies => "reply",
            Self::Confirms => "confirm",
            Self::Audit => "audit",
            Self::Control => "control",
        }
    }
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

    /// Returns the state of one stream. A party may ask for the streams that it publishes in, the auditor for the streams that it
    /// reads. Optional for benchmark transports.
    async fn stream_state(&self, stream: Stream, party: &PartyName) -> Result<StreamState> {
        let what = format!(
            "{}.{party}: this transport does not report the state of a stream",
            stream.token()
        );
        Err(Error::new(ErrorKind::Protocol, what))
    }

    /// Flushes buffered messages and closes the connection, within a bounded time.
    async fn close(&self);
}
