//! The verbs.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use schemas::name::{Lane, OfficerName, PartyName, RecipientName, SourceName};
use schemas::request::RequestId;

use crate::delivery::{Delivery, Settlement};
use crate::error::{Error, ErrorKind, Result};
use crate::outcome::{Filed, Published, Stored};

/// A place in the exchange's own order, at the head of which a publish is expected.
/// 0: the subject is expected to be empty.
pub type Sequence = u64;

/// Where a replay begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// At the first message kept whose sequence is this or higher.
    Sequence(Sequence),
    /// At the first message stored at this time or later.
    Time(jiff::Timestamp),
}

/// The streams of the exchange, by what they hold. Each party has one of its own: what one party stores, or does not fetch,
/// takes no room from another one. Messages are read for one party at a time, and have sequences of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stream {
    /// Chunks.
    Data,
    /// Receipts.
    Receipts,
    /// Data requests.
    Requests,
    /// Wishes to cancel them.
    Cancels,
    /// What officers decided about them.
    Approvals,
    /// How they stand while they wait; the last word of each.
    Progress,
    /// Parts of their answers.
    Parts,
    /// Their outcomes.
    Replies,
    /// What the recipients stored of them.
    Confirms,
    /// Acts of people and agents.
    Audit,
    /// Orders of operators.
    Control,
}

impl Stream {
    /// The first token of its subjects.
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

/// The party that a filter of subjects names, by its second token.
#[must_use]
pub fn party_of(filter: &str) -> Option<PartyName> {
    filter.split('.').nth(1)?.parse().ok()
}

/// What is wrong with a filter that names no party.
#[must_use]
pub fn no_party(stream: Stream, filter: &str) -> String {
    format!("{filter} names no party, and each party has a stream {stream:?} of its own")
}

fn not_offered(party: &PartyName) -> Error {
    Error::new(
        ErrorKind::Protocol,
        format!("control.{party}: orders are not offered by this transport"),
    )
}

/// The exchange as one party sees it through its own credential. Every verb is bounded in
/// time by the transport; none waits for the other party.
///
/// Bytes are whole envelopes (`schemas::envelope`): a transport neither reads nor changes
/// them. Every publish waits until the exchange has stored the message durably, and names the
/// stream it must land in.
#[async_trait]
pub trait Exchange: Send + Sync {
    /// The last chunk of a lane.
    async fn last_chunk(&self, lane: &Lane) -> Result<Option<Stored>>;

    /// Publishes a chunk if the lane's last sequence is still `expected`.
    ///
    /// [`Published::Conflict`] when it is not: read [`Exchange::last_chunk`] and go on from
    /// there. After an error of kind `Unknown` (an acknowledgement that did not come) the
    /// chunk may or may not be stored: read as well.
    async fn publish_chunk(&self, lane: &Lane, bytes: Bytes, expected: Sequence) -> Result<Published>;

    /// Fetches up to `max` chunks for a recipient, in the exchange's order of redelivery. May
    /// bring fewer while there are more: only an empty answer with `drained()` says there are
    /// none now. Waits no longer than the transport's own bound.
    async fn fetch_chunks(&self, recipient: &RecipientName, max: usize) -> Result<Vec<Delivery>>;

    /// Whether the recipient has nothing undelivered at the exchange.
    async fn drained(&self, recipient: &RecipientName) -> Result<bool>;

    /// Settles deliveries and waits until the exchange has noted it. Settling twice is
    /// harmless. A delivery that is never settled comes again.
    async fn settle(&self, deliveries: &[Delivery], how: Settlement) -> Result<()>;

    /// The last receipt of a lane.
    async fn last_receipt(&self, lane: &Lane) -> Result<Option<Stored>>;

    /// The lanes of a recipient that have a receipt, sorted; for the recipient. A store that was replaced knows of none. A
    /// transport for benchmarks may leave it out.
    async fn receipted_lanes(&self, recipient: &RecipientName) -> Result<Vec<Lane>> {
        let what = format!("receipt.{recipient}.*: the lanes are not listed by this transport");
        Err(Error::new(ErrorKind::Protocol, what))
    }

    /// Publishes a receipt if the lane's last receipt is still at `expected`.
    async fn publish_receipt(&self, lane: &Lane, bytes: Bytes, expected: Sequence) -> Result<Published>;

    /// The lease record of a source.
    async fn lease(&self, source: &SourceName) -> Result<Option<Stored>>;

    /// Writes the lease record if it is still at `expected`.
    async fn write_lease(&self, source: &SourceName, bytes: Bytes, expected: Sequence) -> Result<Published>;

    /// Files a request: once for each id, for ever.
    async fn file_request(&self, recipient: &RecipientName, id: &RequestId, bytes: Bytes) -> Result<Filed>;

    /// Files the wish to cancel a request: once for each id.
    async fn cancel_request(&self, recipient: &RecipientName, id: &RequestId, bytes: Bytes) -> Result<Filed>;

    /// Up to `max` requests of a recipient that have no reply yet, stored at `from` or
    /// later, oldest first; for the bureau. Nothing is held un-acknowledged: the queue is
    /// requests without replies, as the streams have them now.
    async fn fetch_requests(
        &self,
        recipient: &RecipientName,
        from: Sequence,
        max: usize,
    ) -> Result<Vec<Stored>>;

    /// The cancel wish of a request.
    async fn cancellation(&self, recipient: &RecipientName, id: &RequestId) -> Result<Option<Stored>>;

    /// Gives a request its one final outcome: once for each id, for ever.
    async fn reply(&self, recipient: &RecipientName, id: &RequestId, bytes: Bytes) -> Result<Filed>;

    /// Fetches up to `max` replies for a recipient, like [`Exchange::fetch_chunks`].
    async fn fetch_replies(&self, recipient: &RecipientName, max: usize) -> Result<Vec<Delivery>>;

    /// Publishes a part of an answer: once for each attempt and number, for ever; both count from
    /// 1. Whoever finds the first part of an attempt taken by another goes on with the next one.
    async fn publish_part(
        &self,
        recipient: &RecipientName,
        id: &RequestId,
        attempt: u32,
        number: u32,
        bytes: Bytes,
    ) -> Result<Filed>;

    /// A part of an answer. Whether it counts is said by the reply alone.
    async fn part(
        &self,
        recipient: &RecipientName,
        id: &RequestId,
        attempt: u32,
        number: u32,
    ) -> Result<Option<Stored>>;

    /// Writes how a request stands, over what was written before; its sequence. Unconditional: of
    /// two writers the later one is read, and neither decides anything.
    async fn write_progress(
        &self,
        recipient: &RecipientName,
        id: &RequestId,
        bytes: Bytes,
    ) -> Result<Sequence>;

    /// How a request stands, as last written.
    async fn progress(&self, recipient: &RecipientName, id: &RequestId) -> Result<Option<Stored>>;

    /// Files what an officer decided about a request: once for each officer, for ever.
    async fn approve(
        &self,
        recipient: &RecipientName,
        id: &RequestId,
        officer: &OfficerName,
        bytes: Bytes,
    ) -> Result<Filed>;

    /// What all officers decided about a request, oldest first; for the bureau.
    async fn approvals(&self, recipient: &RecipientName, id: &RequestId) -> Result<Vec<Stored>>;

    /// Files the recipient's word that a reply is stored: once for each request, for ever.
    async fn confirm(&self, recipient: &RecipientName, id: &RequestId, bytes: Bytes) -> Result<Filed>;

    /// The recipient's word that a reply is stored.
    async fn confirmation(&self, recipient: &RecipientName, id: &RequestId) -> Result<Option<Stored>>;

    /// A request and its reply as the streams have them now.
    async fn request_status(
        &self,
        recipient: &RecipientName,
        id: &RequestId,
    ) -> Result<(Option<Stored>, Option<Stored>)>;

    /// The requests of a recipient that have a message in one of its streams, sorted: filed ([`Stream::Requests`]) or
    /// confirmed ([`Stream::Confirms`]). A transport for benchmarks may leave it out.
    async fn request_ids(&self, recipient: &RecipientName, _stream: Stream) -> Result<Vec<RequestId>> {
        Err(Error::new(
            ErrorKind::Protocol,
            format!("request.{recipient}: the ids of requests are not offered by this transport"),
        ))
    }

    /// The last audit entry of a writer.
    async fn last_audit(&self, party: &PartyName, writer: &PartyName) -> Result<Option<Stored>>;

    /// Publishes an audit entry if the writer's last one is still at `expected`.
    async fn publish_audit(
        &self,
        party: &PartyName,
        writer: &PartyName,
        bytes: Bytes,
        expected: Sequence,
    ) -> Result<Published>;

    /// The last record of a party's orders. A transport for benchmarks may leave it out.
    async fn last_control(&self, party: &PartyName) -> Result<Option<Stored>> {
        Err(not_offered(party))
    }

    /// Publishes a record of a party's orders if its last one is still at `expected`.
    async fn publish_control(
        &self,
        party: &PartyName,
        _bytes: Bytes,
        _expected: Sequence,
    ) -> Result<Published> {
        Err(not_offered(party))
    }

    /// The parties that have a stream of this kind, sorted by name.
    /// For the auditor, and for the bureau the recipients that may file requests.
    async fn parties(&self, stream: Stream) -> Result<Vec<PartyName>>;

    /// Reads up to `max` messages of a stream from a place on, whose subjects match `filter`
    /// (a subject, `*` and `>` allowed; the second token names the party); for the auditor, for the bureau the requests and what was said about them (cancels, approvals,
    /// confirmations), its chunks and its operators' orders, and for the recipient its chunks and confirmations. No consumer is made. The next place
    /// is the last sequence read plus one; an empty answer is the end for now.
    async fn read(&self, stream: Stream, from: From, filter: &str, max: usize) -> Result<Vec<Stored>>;

    /// One round trip to the exchange.
    async fn ping(&self) -> Result<Duration>;

    /// Sends what is buffered and closes the connection, in bounded time.
    async fn close(&self);
}
