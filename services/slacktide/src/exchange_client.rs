//! The exchange over the transport that the configuration names: NATS JetStream or HTTPS.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use exchange::port::{ReadFrom, Sequence, Stream};
use exchange::stream_state::StreamState;
use exchange::{
    AuditExchange, Connection, ControlExchange, Delivery, Exchange, FeedExchange, Filed, LeaseExchange,
    Published, RequestExchange, Result, Settlement, StatusExchange, Stored,
};
use nats::JetStream;
use runtime::exit::Exit;
use schemas::name::{Lane, OfficerName, PartyName, RecipientName, SourceName};
use schemas::request::RequestId;
use tokio::sync::watch;
use web::WebExchange;

use crate::failure::Failure;

/// A connection to the exchange. Clones share it.
#[derive(Clone, Debug)]
pub(crate) enum ExchangeClient {
    /// `nats://`, `tls://`.
    Nats(JetStream),
    /// `https://`, through a gateway.
    Web(WebExchange),
}

/// How to connect.
#[derive(Clone, Debug)]
pub(crate) enum ExchangeOptions {
    /// Over NATS.
    Nats(nats::Options),
    /// Over HTTPS.
    Web(web::Options),
}

/// Evaluates an expression with the connection of either transport.
macro_rules! on {
    ($client:expr, $exchange:ident => $call:expr) => {
        match $client {
            ExchangeClient::Nats($exchange) => $call,
            ExchangeClient::Web($exchange) => $call,
        }
    };
}

impl ExchangeClient {
    /// Connects.
    ///
    /// # Errors
    /// Those of the transport.
    pub(crate) async fn connect(options: ExchangeOptions) -> Result<Self> {
        match options {
            ExchangeOptions::Nats(options) => JetStream::connect(options).await.map(Self::Nats),
            ExchangeOptions::Web(options) => WebExchange::connect(options).await.map(Self::Web),
        }
    }

    /// Returns whether the exchange is connected, now and at each change.
    pub(crate) fn connection(&self) -> watch::Receiver<Connection> {
        on!(self, exchange => exchange.connection())
    }

    /// Returns the connection over NATS, for what a gateway does not offer: streams, consumers and their limits.
    pub(crate) fn nats(&self) -> Option<&JetStream> {
        match self {
            Self::Nats(exchange) => Some(exchange),
            Self::Web(_) => None,
        }
    }

    /// Returns the connection over NATS for a command that cannot do without it.
    ///
    /// # Errors
    /// Over HTTPS: with the remedy.
    pub(crate) fn into_nats(self) -> std::result::Result<JetStream, Failure> {
        match self {
            Self::Nats(exchange) => Ok(exchange),
            Self::Web(_) => Err(Failure::new(
                Exit::Usage,
                "streams and consumers are not available over https://; set [exchange] url = \"nats://…\" with the \
                 administrator's seed, and run the command on a host that reaches the exchange itself",
            )),
        }
    }
}

#[async_trait]
impl FeedExchange for ExchangeClient {
    async fn last_chunk(&self, lane: &Lane) -> Result<Option<Stored>> {
        on!(self, exchange => exchange.last_chunk(lane).await)
    }

    async fn publish_chunk(&self, lane: &Lane, bytes: Bytes, expected: Sequence) -> Result<Published> {
        on!(self, exchange => exchange.publish_chunk(lane, bytes, expected).await)
    }

    async fn leader_sequence(&self, lane: &Lane) -> Result<Sequence> {
        on!(self, exchange => exchange.leader_sequence(lane).await)
    }

    async fn lanes(&self, recipient: &RecipientName) -> Result<Vec<Lane>> {
        on!(self, exchange => exchange.lanes(recipient).await)
    }

    async fn fetch_chunks(&self, recipient: &RecipientName, max: usize) -> Result<Vec<Delivery>> {
        on!(self, exchange => exchange.fetch_chunks(recipient, max).await)
    }

    async fn is_drained(&self, recipient: &RecipientName) -> Result<bool> {
        on!(self, exchange => exchange.is_drained(recipient).await)
    }

    async fn settle(&self, deliveries: &[Delivery], settlement: Settlement) -> Result<()> {
        on!(self, exchange => exchange.settle(deliveries, settlement).await)
    }

    async fn last_receipt(&self, lane: &Lane) -> Result<Option<Stored>> {
        on!(self, exchange => exchange.last_receipt(lane).await)
    }

    async fn receipted_lanes(&self, recipient: &RecipientName) -> Result<Vec<Lane>> {
        on!(self, exchange => exchange.receipted_lanes(recipient).await)
    }

    async fn publish_receipt(&self, lane: &Lane, bytes: Bytes, expected: Sequence) -> Result<Published> {
        on!(self, exchange => exchange.publish_receipt(lane, bytes, expected).await)
    }
}

#[async_trait]
impl RequestExchange for ExchangeClient {
    async fn file_request(&self, recipient: &RecipientName, id: &RequestId, bytes: Bytes) -> Result<Filed> {
        on!(self, exchange => exchange.file_request(recipient, id, bytes).await)
    }

    async fn cancel_request(&self, recipient: &RecipientName, id: &RequestId, bytes: Bytes) -> Result<Filed> {
        on!(self, exchange => exchange.cancel_request(recipient, id, bytes).await)
    }

    async fn fetch_requests(
        &self,
        recipient: &RecipientName,
        from: Sequence,
        max: usize,
    ) -> Result<Vec<Stored>> {
        on!(self, exchange => exchange.fetch_requests(recipient, from, max).await)
    }

    async fn cancellation(&self, recipient: &RecipientName, id: &RequestId) -> Result<Option<Stored>> {
        on!(self, exchange => exchange.cancellation(recipient, id).await)
    }

    async fn reply(&self, recipient: &RecipientName, id: &RequestId, bytes: Bytes) -> Result<Filed> {
        on!(self, exchange => exchange.reply(recipient, id, bytes).await)
    }

    async fn fetch_replies(&self, recipient: &RecipientName, max: usize) -> Result<Vec<Delivery>> {
        on!(self, exchange => exchange.fetch_replies(recipient, max).await)
    }

    async fn publish_part(
        &self,
        recipient: &RecipientName,
        id: &RequestId,
        attempt: u32,
        number: u32,
        bytes: Bytes,
    ) -> Result<Filed> {
        on!(self, exchange => exchange.publish_part(recipient, id, attempt, number, bytes).await)
    }

    async fn part(
        &self,
        recipient: &RecipientName,
        id: &RequestId,
        attempt: u32,
        number: u32,
    ) -> Result<Option<Stored>> {
        on!(self, exchange => exchange.part(recipient, id, attempt, number).await)
    }

    async fn write_progress(
        &self,
        recipient: &RecipientName,
        id: &RequestId,
        bytes: Bytes,
    ) -> Result<Sequence> {
        on!(self, exchange => exchange.write_progress(recipient, id, bytes).await)
    }

    async fn progress(&self, recipient: &RecipientName, id: &RequestId) -> Result<Option<Stored>> {
        on!(self, exchange => exchange.progress(recipient, id).await)
    }

    async fn approve(
        &self,
        recipient: &RecipientName,
        id: &RequestId,
        officer: &OfficerName,
        bytes: Bytes,
    ) -> Result<Filed> {
        on!(self, exchange => exchange.approve(recipient, id, officer, bytes).await)
    }

    async fn approvals(&self, recipient: &RecipientName, id: &RequestId) -> Result<Vec<Stored>> {
        on!(self, exchange => exchange.approvals(recipient, id).await)
    }

    async fn confirm(&self, recipient: &RecipientName, id: &RequestId, bytes: Bytes) -> Result<Filed> {
        on!(self, exchange => exchange.confirm(recipient, id, bytes).await)
    }

    async fn confirmation(&self, recipient: &RecipientName, id: &RequestId) -> Result<Option<Stored>> {
        on!(self, exchange => exchange.confirmation(recipient, id).await)
    }

    async fn request_status(
        &self,
        recipient: &RecipientName,
        id: &RequestId,
    ) -> Result<(Option<Stored>, Option<Stored>)> {
        on!(self, exchange => exchange.request_status(recipient, id).await)
    }

    async fn request_ids(&self, recipient: &RecipientName, stream: Stream) -> Result<Vec<RequestId>> {
        on!(self, exchange => exchange.request_ids(recipient, stream).await)
    }
}

#[async_trait]
impl LeaseExchange for ExchangeClient {
    async fn lease(&self, source: &SourceName) -> Result<Option<Stored>> {
        on!(self, exchange => exchange.lease(source).await)
    }

    async fn write_lease(&self, source: &SourceName, bytes: Bytes, expected: Sequence) -> Result<Published> {
        on!(self, exchange => exchange.write_lease(source, bytes, expected).await)
    }
}

#[async_trait]
impl AuditExchange for ExchangeClient {
    async fn last_audit(&self, party: &PartyName, writer: &PartyName) -> Result<Option<Stored>> {
        on!(self, exchange => exchange.last_audit(party, writer).await)
    }

    async fn publish_audit(
        &self,
        party: &PartyName,
        writer: &PartyName,
        bytes: Bytes,
        expected: Sequence,
    ) -> Result<Published> {
        on!(self, exchange => exchange.publish_audit(party, writer, bytes, expected).await)
    }

    async fn parties(&self, stream: Stream) -> Result<Vec<PartyName>> {
        on!(self, exchange => exchange.parties(stream).await)
    }

    async fn read(&self, stream: Stream, from: ReadFrom, filter: &str, max: usize) -> Result<Vec<Stored>> {
        on!(self, exchange => exchange.read(stream, from, filter, max).await)
    }

    async fn stream_state(&self, stream: Stream, party: &PartyName) -> Result<StreamState> {
        on!(self, exchange => exchange.stream_state(stream, party).await)
    }
}

#[async_trait]
impl ControlExchange for ExchangeClient {
    async fn last_control(&self, party: &PartyName) -> Result<Option<Stored>> {
        on!(self, exchange => exchange.last_control(party).await)
    }

    async fn publish_control(
        &self,
        party: &PartyName,
        bytes: Bytes,
        expected: Sequence,
    ) -> Result<Published> {
        on!(self, exchange => exchange.publish_control(party, bytes, expected).await)
    }
}

#[async_trait]
impl StatusExchange for ExchangeClient {
    async fn publish_status(&self, party: &PartyName, writer: &PartyName, bytes: Bytes) -> Result<Sequence> {
        on!(self, exchange => exchange.publish_status(party, writer, bytes).await)
    }

    async fn statuses(&self, party: &PartyName) -> Result<Vec<Stored>> {
        on!(self, exchange => exchange.statuses(party).await)
    }

    async fn publish_watch(&self, party: &PartyName, bytes: Bytes) -> Result<Sequence> {
        on!(self, exchange => exchange.publish_watch(party, bytes).await)
    }

    async fn last_watch(&self, party: &PartyName) -> Result<Option<Stored>> {
        on!(self, exchange => exchange.last_watch(party).await)
    }
}

#[async_trait]
impl Exchange for ExchangeClient {
    async fn ping(&self) -> Result<Duration> {
        on!(self, exchange => exchange.ping().await)
    }

    async fn close(&self) {
        on!(self, exchange => exchange.close().await);
    }
}
