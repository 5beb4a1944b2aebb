//! Operations on data requests.

use async_trait::async_trait;
use bytes::Bytes;
use schemas::name::{OfficerName, RecipientName};
use schemas::request::RequestId;

use super::{Sequence, Stream};
use crate::delivery::Delivery;
use crate::error::{Error, ErrorKind, Result};
use crate::outcome::{Filed, Stored};

/// Data requests, what is decided about them, and their answers.
#[async_trait]
pub trait RequestExchange: Send + Sync {
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

    /// Fetches up to `max` replies for a recipient, like [`FeedExchange::fetch_chunks`](super::FeedExchange::fetch_chunks).
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
}
