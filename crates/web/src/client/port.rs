//! The operations over HTTP.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use exchange::port::{ReadFrom, Sequence, Stream};
use exchange::stream_state::StreamState;
use exchange::{
    AuditExchange, ControlExchange, Delivery, Exchange, FeedExchange, Filed, LeaseExchange, Published,
    RequestExchange, Result, Settlement, StatusExchange, Stored,
};
use schemas::name::{Lane, OfficerName, PartyName, RecipientName, SourceName};
use schemas::request::RequestId;

use super::WebExchange;
use crate::interface::body::{Parties, QueueState, ReceiptedLanes, RequestIds};
use crate::interface::feeds::{Feed, Feeds};
use crate::interface::path::{self, Queue, of_request};

#[async_trait]
impl FeedExchange for WebExchange {
    async fn last_chunk(&self, lane: &Lane) -> Result<Option<Stored>> {
        self.inner.last(path::tail(lane)).await
    }

    async fn leader_sequence(&self, lane: &Lane) -> Result<Sequence> {
        self.inner.leader_sequence(path::tail(lane)).await
    }

    async fn publish_chunk(&self, lane: &Lane, bytes: Bytes, expected: Sequence) -> Result<Published> {
        self.inner.publish_at(path::tail(lane), bytes, expected).await
    }

    async fn lanes(&self, recipient: &RecipientName) -> Result<Vec<Lane>> {
        let feeds: Feeds = self.inner.json(path::feeds(recipient)).await?;
        let lane = |feed: Feed| Lane {
            recipient: feed.recipient,
            feed: feed.feed,
        };
        Ok(feeds.feeds.into_iter().map(lane).collect())
    }

    async fn fetch_chunks(&self, recipient: &RecipientName, max: usize) -> Result<Vec<Delivery>> {
        self.inner
            .fetch(&path::deliveries(recipient, Queue::Chunks), max)
            .await
    }

    async fn is_drained(&self, recipient: &RecipientName) -> Result<bool> {
        let state: QueueState = self
            .inner
            .json(path::deliveries(recipient, Queue::Chunks))
            .await?;
        Ok(state.is_drained)
    }

    async fn settle(&self, deliveries: &[Delivery], how: Settlement) -> Result<()> {
        self.inner.settle(deliveries, how).await
    }

    async fn last_receipt(&self, lane: &Lane) -> Result<Option<Stored>> {
        self.inner.last(path::receipt(lane)).await
    }

    async fn receipted_lanes(&self, recipient: &RecipientName) -> Result<Vec<Lane>> {
        let lanes: ReceiptedLanes = self.inner.json(path::lanes(recipient)).await?;
        let lane = |feed| Lane {
            recipient: recipient.clone(),
            feed,
        };
        Ok(lanes.feeds.into_iter().map(lane).collect())
    }

    async fn publish_receipt(&self, lane: &Lane, bytes: Bytes, expected: Sequence) -> Result<Published> {
        self.inner.publish_at(path::receipt(lane), bytes, expected).await
    }
}

#[async_trait]
impl RequestExchange for WebExchange {
    async fn file_request(&self, recipient: &RecipientName, id: &RequestId, bytes: Bytes) -> Result<Filed> {
        self.inner
            .publish_once(of_request(recipient, id, "request"), bytes)
            .await
    }

    async fn cancel_request(&self, recipient: &RecipientName, id: &RequestId, bytes: Bytes) -> Result<Filed> {
        self.inner
            .publish_once(of_request(recipient, id, "cancellation"), bytes)
            .await
    }

    async fn fetch_requests(
        &self,
        recipient: &RecipientName,
        from: Sequence,
        max: usize,
    ) -> Result<Vec<Stored>> {
        let path = path::OPEN_REQUESTS;
        self.inner
            .list(format!("{path}?recipient={recipient}&from={from}&max={max}"))
            .await
    }

    async fn request_ids(&self, recipient: &RecipientName, stream: Stream) -> Result<Vec<RequestId>> {
        let (path, stream) = (path::REQUESTS, stream.token());
        let ids: RequestIds = self
            .inner
            .json(format!("{path}?recipient={recipient}&stream={stream}"))
            .await?;
        Ok(ids.ids)
    }

    async fn cancellation(&self, recipient: &RecipientName, id: &RequestId) -> Result<Option<Stored>> {
        self.inner.last(of_request(recipient, id, "cancellation")).await
    }

    async fn reply(&self, recipient: &RecipientName, id: &RequestId, bytes: Bytes) -> Result<Filed> {
        self.inner
            .publish_once(of_request(recipient, id, "reply"), bytes)
            .await
    }

    async fn fetch_replies(&self, recipient: &RecipientName, max: usize) -> Result<Vec<Delivery>> {
        self.inner
            .fetch(&path::deliveries(recipient, Queue::Replies), max)
            .await
    }

    async fn publish_part(
        &self,
        recipient: &RecipientName,
        id: &RequestId,
        attempt: u32,
        number: u32,
        bytes: Bytes,
    ) -> Result<Filed> {
        self.inner
            .publish_once(path::part(recipient, id, attempt, number), bytes)
            .await
    }

    async fn part(
        &self,
        recipient: &RecipientName,
        id: &RequestId,
        attempt: u32,
        number: u32,
    ) -> Result<Option<Stored>> {
        self.inner.last(path::part(recipient, id, attempt, number)).await
    }

    async fn write_progress(
        &self,
        recipient: &RecipientName,
        id: &RequestId,
        bytes: Bytes,
    ) -> Result<Sequence> {
        self.inner
            .publish_over(of_request(recipient, id, "progress"), bytes)
            .await
    }

    async fn progress(&self, recipient: &RecipientName, id: &RequestId) -> Result<Option<Stored>> {
        self.inner.last(of_request(recipient, id, "progress")).await
    }

    async fn approve(
        &self,
        recipient: &RecipientName,
        id: &RequestId,
        officer: &OfficerName,
        bytes: Bytes,
    ) -> Result<Filed> {
        self.inner.approve(recipient, id, officer, bytes).await
    }

    async fn approvals(&self, recipient: &RecipientName, id: &RequestId) -> Result<Vec<Stored>> {
        self.inner.list(of_request(recipient, id, "approvals")).await
    }

    async fn confirm(&self, recipient: &RecipientName, id: &RequestId, bytes: Bytes) -> Result<Filed> {
        self.inner
            .publish_once(of_request(recipient, id, "confirmation"), bytes)
            .await
    }

    async fn confirmation(&self, recipient: &RecipientName, id: &RequestId) -> Result<Option<Stored>> {
        self.inner.last(of_request(recipient, id, "confirmation")).await
    }

    async fn request_status(
        &self,
        recipient: &RecipientName,
        id: &RequestId,
    ) -> Result<(Option<Stored>, Option<Stored>)> {
        // A reply that is there by now has its request, and not the other way round.
        let reply = self.inner.last(of_request(recipient, id, "reply")).await?;
        let request = self.inner.last(of_request(recipient, id, "request")).await?;
        Ok((request, reply))
    }
}

#[async_trait]
impl LeaseExchange for WebExchange {
    async fn lease(&self, source: &SourceName) -> Result<Option<Stored>> {
        self.inner.last(path::lease(source)).await
    }

    async fn write_lease(&self, source: &SourceName, bytes: Bytes, expected: Sequence) -> Result<Published> {
        self.inner.publish_at(path::lease(source), bytes, expected).await
    }
}

#[async_trait]
impl AuditExchange for WebExchange {
    async fn last_audit(&self, party: &PartyName, writer: &PartyName) -> Result<Option<Stored>> {
        self.inner.last(path::audit(party, writer)).await
    }

    async fn publish_audit(
        &self,
        party: &PartyName,
        writer: &PartyName,
        bytes: Bytes,
        expected: Sequence,
    ) -> Result<Published> {
        self.inner
            .publish_at(path::audit(party, writer), bytes, expected)
            .await
    }

    async fn parties(&self, stream: Stream) -> Result<Vec<PartyName>> {
        let parties: Parties = self.inner.json(path::stream_parties(stream)).await?;
        Ok(parties.parties)
    }

    async fn read(&self, stream: Stream, from: ReadFrom, filter: &str, max: usize) -> Result<Vec<Stored>> {
        self.inner.replay(stream, from, filter, max).await
    }

    async fn stream_state(&self, stream: Stream, party: &PartyName) -> Result<StreamState> {
        self.inner.json(path::stream_state(stream, party)).await
    }
}

#[async_trait]
impl ControlExchange for WebExchange {
    async fn last_control(&self, party: &PartyName) -> Result<Option<Stored>> {
        self.inner.last(path::control(party)).await
    }

    async fn publish_control(
        &self,
        party: &PartyName,
        bytes: Bytes,
        expected: Sequence,
    ) -> Result<Published> {
        self.inner.publish_at(path::control(party), bytes, expected).await
    }
}

#[async_trait]
impl StatusExchange for WebExchange {
    async fn publish_status(&self, party: &PartyName, writer: &PartyName, bytes: Bytes) -> Result<Sequence> {
        self.inner
            .publish_over(path::agent_status(party, writer), bytes)
            .await
    }

    async fn statuses(&self, party: &PartyName) -> Result<Vec<Stored>> {
        self.inner.list(path::agents_status(party)).await
    }

    async fn publish_watch(&self, party: &PartyName, bytes: Bytes) -> Result<Sequence> {
        self.inner.publish_over(path::watch(party), bytes).await
    }

    async fn last_watch(&self, party: &PartyName) -> Result<Option<Stored>> {
        self.inner.last(path::watch(party)).await
    }
}

#[async_trait]
impl Exchange for WebExchange {
    async fn ping(&self) -> Result<Duration> {
        self.inner.ping().await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
