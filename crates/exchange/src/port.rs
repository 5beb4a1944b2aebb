//! The operations of the exchange.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use schemas::name::{Lane, OfficerName, PartyName, RecipientName, SourceName};
use schemas::request::RequestId;

use crate::delivery::{Delivery, Settlement};
use crate::error::{Error, ErrorKind, Result};
use crate::outcome::{Filed, Published, Stored};

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
    /// Returns the first token of its subjects.
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

fn unsupported_orders(party: &PartyName) -> Error {
    Error::new(
        ErrorKind::Protocol,
        format!("control.{party}: this transport does not support orders"),
    )
}

/// The exchange as one party accesses it with its own credential. The transport limits the duration of every operation; none
/// waits for the other party.
///
/// Bytes are whole envelopes (`schemas::envelope`): a transport neither reads nor changes them. Every publish waits until
/// the exchange has stored the message durably, and names the expected stream.
#[async_trait]
pub trait Exchange: Send + Sync {
    /// Returns the last chunk of a lane.
    async fn last_chunk(&self, lane: &Lane) -> Result<Option<Stored>>;

    /// Publishes a chunk if the lane's last sequence is still `expected`.
    ///
    /// [`Published::Conflict`] if it is not: the caller reads [`Exchange::last_chunk`] and continues from there. After an
    /// error of kind `Unknown` (a missing acknowledgement) the chunk may be stored: the caller reads as well.
    async fn publish_chunk(&self, lane: &Lane, bytes: Bytes, expected: Sequence) -> Result<Published>;

    /// Fetches up to `max` chunks for a recipient, in the exchange's order of redelivery. May
    /// return fewer while there are more: only an empty result with `is_drained()` means that there are none now. Waits no
    /// longer than the transport's own limit.
    async fn fetch_chunks(&self, recipient: &RecipientName, max: usize) -> Result<Vec<Delivery>>;

    /// Returns whether the exchange has no undelivered chunk for the recipient.
    async fn is_drained(&self, recipient: &RecipientName) -> Result<bool>;

    /// Settles deliveries and waits until the exchange has stored that. Settling is idempotent. A delivery that is never
    /// settled is redelivered.
    async fn settle(&self, deliveries: &[Delivery], settlement: Settlement) -> Result<()>;

    /// Returns the last receipt of a lane.
    async fn last_receipt(&self, lane: &Lane) -> Result<Option<Stored>>;

    /// Returns the lanes of a recipient that have a receipt, sorted; for the recipient, whose replaced store has no record of
    /// them. Optional for benchmark transports.
    async fn receipted_lanes(&self, recipient: &RecipientName) -> Result<Vec<Lane>> {
        let what = format!("receipt.{recipient}.*: this transport does not list the lanes");
        Err(Error::new(ErrorKind::Protocol, what))
    }

    /// Publishes a receipt if the lane's last receipt is still at `expected`.
    async fn publish_receipt(&self, lane: &Lane, bytes: Bytes, expected: Sequence) -> Result<Published>;

    /// Returns the lease record of a source.
    async fn lease(&self, source: &SourceName) -> Result<Option<Stored>>;

    /// Writes the lease record if it is still at `expected`.
    async fn write_lease(&self, source: &SourceName, bytes: Bytes, expected: Sequence) -> Result<Published>;

    /// Files a request, once per id.
    async fn file_request(&self, recipient: &RecipientName, id: &RequestId, bytes: Bytes) -> Result<Filed>;

    /// Files the cancellation of a request, once per id.
    async fn cancel_request(&self, recipient: &RecipientName, id: &RequestId, bytes: Bytes) -> Result<Filed>;

    /// Returns up to `max` requests of a recipient that have no reply yet, stored at `from` or later, oldest first; for the
    /// bureau. The queue is not a consumer: it is the requests without replies in the streams.
    async fn fetch_requests(
        &self,
        recipient: &RecipientName,
        from: Sequence,
        max: usize,
    ) -> Result<Vec<Stored>>;

    /// Returns the cancellation of a request.
    async fn cancellation(&self, recipient: &RecipientName, id: &RequestId) -> Result<Option<Stored>>;

    /// Publishes the final outcome of a request, once per id.
    async fn reply(&self, recipient: &RecipientName, id: &RequestId, bytes: Bytes) -> Result<Filed>;

    /// Fetches up to `max` replies for a recipient, like [`Exchange::fetch_chunks`].
    async fn fetch_replies(&self, recipient: &RecipientName, max: usize) -> Result<Vec<Delivery>>;

    /// Publishes a part of an answer, once per attempt and number; both count from 1. A responder that finds the first part of
    /// an attempt published by another uses the next attempt.
    async fn publish_part(
        &self,
        recipient: &RecipientName,
        id: &RequestId,
        attempt: u32,
        number: u32,
        bytes: Bytes,
    ) -> Result<Filed>;

    /// Returns a part of an answer. Only the reply determines whether it is valid.
    async fn part(
        &self,
        recipient: &RecipientName,
        id: &RequestId,
        attempt: u32,
        number: u32,
    ) -> Result<Option<Stored>>;

    /// Replaces the progress of a request and returns its sequence. Unconditional: of two writers the later one is read, and
    /// progress decides nothing.
    async fn write_progress(
        &self,
        recipient: &RecipientName,
        id: &RequestId,
        bytes: Bytes,
    ) -> Result<Sequence>;

    /// Returns the last written progress of a request.
    async fn progress(&self, recipient: &RecipientName, id: &RequestId) -> Result<Option<Stored>>;

    /// Files an officer's decision about a request, once per officer.
    async fn approve(
        &self,
        recipient: &RecipientName,
        id: &RequestId,
        officer: &OfficerName,
        bytes: Bytes,
    ) -> Result<Filed>;

    /// Returns all officers' decisions about a request, oldest first; for the bureau.
    async fn approvals(&self, recipient: &RecipientName, id: &RequestId) -> Result<Vec<Stored>>;

    /// Files the recipient's confirmation that a reply is stored, once per request.
    async fn confirm(&self, recipient: &RecipientName, id: &RequestId, bytes: Bytes) -> Result<Filed>;

    /// Returns the recipient's confirmation that a reply is stored.
    async fn confirmation(&self, recipient: &RecipientName, id: &RequestId) -> Result<Option<Stored>>;

    /// Returns a request and its reply as the streams have them now.
    async fn request_status(
        &self,
        recipient: &RecipientName,
        id: &RequestId,
    ) -> Result<(Option<Stored>, Option<Stored>)>;

    /// Returns the ids of a recipient's requests in one of its streams, sorted: filed ([`Stream::Requests`]) or confirmed
    /// ([`Stream::Confirms`]). Optional for benchmark transports.
    async fn request_ids(&self, recipient: &RecipientName, _stream: Stream) -> Result<Vec<RequestId>> {
        Err(Error::new(
            ErrorKind::Protocol,
            format!("request.{recipient}: this transport does not list the ids of requests"),
        ))
    }

    /// Returns the last audit entry of a writer.
    async fn last_audit(&self, party: &PartyName, writer: &PartyName) -> Result<Option<Stored>>;

    /// Publishes an audit entry if the writer's last one is still at `expected`.
    async fn publish_audit(
        &self,
        party: &PartyName,
        writer: &PartyName,
        bytes: Bytes,
        expected: Sequence,
    ) -> Result<Published>;

    /// Returns the last record of a party's orders. Optional for benchmark transports.
    async fn last_control(&self, party: &PartyName) -> Result<Option<Stored>> {
        Err(unsupported_orders(party))
    }

    /// Publishes a record of a party's orders if its last one is still at `expected`.
    async fn publish_control(
        &self,
        party: &PartyName,
        _bytes: Bytes,
        _expected: Sequence,
    ) -> Result<Published> {
        Err(unsupported_orders(party))
    }

    /// Returns the parties that have a stream of this kind, sorted by name; for the auditor, and for the bureau the recipients
    /// that may file requests.
    async fn parties(&self, stream: Stream) -> Result<Vec<PartyName>>;

    /// Reads up to `max` messages of a stream from `from` on whose subjects match `filter` (a subject, `*` and `>` allowed; the
    /// second token is the party). Creates no consumer. The next page begins at the last sequence plus one; an empty result is
    /// the current end.
    ///
    /// The auditor may read everything; the bureau requests, cancels, approvals, confirmations, its chunks and its operators'
    /// orders; the recipient its chunks and confirmations.
    async fn read(&self, stream: Stream, from: ReadFrom, filter: &str, max: usize) -> Result<Vec<Stored>>;

    /// Measures one round trip to the exchange.
    async fn ping(&self) -> Result<Duration>;

    /// Flushes buffered messages and closes the connection, within a bounded time.
    async fn close(&self);
}
