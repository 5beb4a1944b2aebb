//! The operations over JetStream.

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
use schemas::subject::Subject;
use tokio::time::{Instant, timeout};

use crate::connect::JetStream;
use crate::streams::{self, APPROVALS, DATA, REPLIES, own};

/// Timeout of closing the connection.
const CLOSE_WITHIN: Duration = Duration::from_secs(3);

#[async_trait]
impl FeedExchange for JetStream {
    async fn last_chunk(&self, lane: &Lane) -> Result<Option<Stored>> {
        self.wire.last(&Subject::Data(lane.clone())).await
    }

    async fn leader_sequence(&self, lane: &Lane) -> Result<Sequence> {
        self.wire.leader_sequence(&Subject::Data(lane.clone())).await
    }

    async fn publish_chunk(&self, lane: &Lane, bytes: Bytes, expected: Sequence) -> Result<Published> {
        self.wire
            .publish_at(&Subject::Data(lane.clone()), bytes, expected)
            .await
    }

    async fn lanes(&self, recipient: &RecipientName) -> Result<Vec<Lane>> {
        self.wire.lanes(recipient).await
    }

    async fn fetch_chunks(&self, recipient: &RecipientName, max: usize) -> Result<Vec<Delivery>> {
        self.wire
            .pull(&own(DATA, recipient), recipient.as_str(), max)
            .await
    }

    async fn is_drained(&self, recipient: &RecipientName) -> Result<bool> {
        self.wire
            .is_drained(&own(DATA, recipient), recipient.as_str())
            .await
    }

    async fn settle(&self, deliveries: &[Delivery], how: Settlement) -> Result<()> {
        self.wire.settle(deliveries, how).await
    }

    async fn last_receipt(&self, lane: &Lane) -> Result<Option<Stored>> {
        self.wire.last(&Subject::Receipt(lane.clone())).await
    }

    async fn receipted_lanes(&self, recipient: &RecipientName) -> Result<Vec<Lane>> {
        self.wire.receipted_lanes(recipient).await
    }

    async fn publish_receipt(&self, lane: &Lane, bytes: Bytes, expected: Sequence) -> Result<Published> {
        self.wire
            .publish_at(&Subject::Receipt(lane.clone()), bytes, expected)
            .await
    }
}

#[async_trait]
impl RequestExchange for JetStream {
    async fn file_request(&self, recipient: &RecipientName, id: &RequestId, bytes: Bytes) -> Result<Filed> {
        let subject = Subject::Request(recipient.clone(), id.clone());
        self.wire.publish_once(&subject, bytes).await
    }

    async fn cancel_request(&self, recipient: &RecipientName, id: &RequestId, bytes: Bytes) -> Result<Filed> {
        let subject = Subject::Cancel(recipient.clone(), id.clone());
        self.wire.publish_once(&subject, bytes).await
    }

    async fn fetch_requests(
        &self,
        recipient: &RecipientName,
        from: Sequence,
        max: usize,
    ) -> Result<Vec<Stored>> {
        self.wire.open_requests(recipient, from, max).await
    }

    async fn request_ids(&self, recipient: &RecipientName, stream: Stream) -> Result<Vec<RequestId>> {
        self.wire.request_ids(recipient, stream).await
    }

    async fn cancellation(&self, recipient: &RecipientName, id: &RequestId) -> Result<Option<Stored>> {
        let subject = Subject::Cancel(recipient.clone(), id.clone());
        self.wire.last(&subject).await
    }

    async fn reply(&self, recipient: &RecipientName, id: &RequestId, bytes: Bytes) -> Result<Filed> {
        let subject = Subject::Reply(recipient.clone(), id.clone());
        self.wire.publish_once(&subject, bytes).await
    }

    async fn fetch_replies(&self, recipient: &RecipientName, max: usize) -> Result<Vec<Delivery>> {
        self.wire
            .pull(&own(REPLIES, recipient), recipient.as_str(), max)
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
        let subject = Subject::Part(recipient.clone(), id.clone(), attempt, number);
        self.wire.publish_once(&subject, bytes).await
    }

    async fn part(
        &self,
        recipient: &RecipientName,
        id: &RequestId,
        attempt: u32,
        number: u32,
    ) -> Result<Option<Stored>> {
        let subject = Subject::Part(recipient.clone(), id.clone(), attempt, number);
        self.wire.last(&subject).await
    }

    async fn write_progress(
        &self,
        recipient: &RecipientName,
        id: &RequestId,
        bytes: Bytes,
    ) -> Result<Sequence> {
        let subject = Subject::Progress(recipient.clone(), id.clone());
        self.wire.publish_over(&subject, bytes).await
    }

    async fn progress(&self, recipient: &RecipientName, id: &RequestId) -> Result<Option<Stored>> {
        let subject = Subject::Progress(recipient.clone(), id.clone());
        self.wire.last(&subject).await
    }

    async fn approve(
        &self,
        recipient: &RecipientName,
        id: &RequestId,
        officer: &OfficerName,
        bytes: Bytes,
    ) -> Result<Filed> {
        let subject = Subject::Approval(recipient.clone(), id.clone(), officer.clone());
        self.wire.publish_once(&subject, bytes).await
    }

    async fn approvals(&self, recipient: &RecipientName, id: &RequestId) -> Result<Vec<Stored>> {
        self.wire
            .all(
                &own(APPROVALS, recipient),
                &format!("approval.{recipient}.{id}.*"),
            )
            .await
    }

    async fn confirm(&self, recipient: &RecipientName, id: &RequestId, bytes: Bytes) -> Result<Filed> {
        let subject = Subject::Confirm(recipient.clone(), id.clone());
        self.wire.publish_once(&subject, bytes).await
    }

    async fn confirmation(&self, recipient: &RecipientName, id: &RequestId) -> Result<Option<Stored>> {
        let subject = Subject::Confirm(recipient.clone(), id.clone());
        self.wire.last(&subject).await
    }

    async fn request_status(
        &self,
        recipient: &RecipientName,
        id: &RequestId,
    ) -> Result<(Option<Stored>, Option<Stored>)> {
        let request = Subject::Request(recipient.clone(), id.clone());
        let reply = Subject::Reply(recipient.clone(), id.clone());
        // A reply that is there by now has its request, and not the other way round.
        let reply = self.wire.last(&reply).await?;
        Ok((self.wire.last(&request).await?, reply))
    }
}

#[async_trait]
impl LeaseExchange for JetStream {
    async fn lease(&self, source: &SourceName) -> Result<Option<Stored>> {
        self.wire.last(&Subject::Lease(source.clone())).await
    }

    async fn write_lease(&self, source: &SourceName, bytes: Bytes, expected: Sequence) -> Result<Published> {
        self.wire
            .publish_at(&Subject::Lease(source.clone()), bytes, expected)
            .await
    }
}

#[async_trait]
impl AuditExchange for JetStream {
    async fn last_audit(&self, party: &PartyName, writer: &PartyName) -> Result<Option<Stored>> {
        let subject = Subject::Audit(party.clone(), writer.clone());
        self.wire.last(&subject).await
    }

    async fn publish_audit(
        &self,
        party: &PartyName,
        writer: &PartyName,
        bytes: Bytes,
        expected: Sequence,
    ) -> Result<Published> {
        let subject = Subject::Audit(party.clone(), writer.clone());
        self.wire.publish_at(&subject, bytes, expected).await
    }

    async fn parties(&self, stream: Stream) -> Result<Vec<PartyName>> {
        self.wire.parties(stream).await
    }

    async fn read(&self, stream: Stream, from: ReadFrom, filter: &str, max: usize) -> Result<Vec<Stored>> {
        let stream = streams::read(stream, filter)?;
        self.wire.batch(&stream, from, filter, max).await
    }

    async fn stream_state(&self, stream: Stream, party: &PartyName) -> Result<StreamState> {
        self.wire.state_of(stream, party).await
    }
}

#[async_trait]
impl ControlExchange for JetStream {
    async fn last_control(&self, party: &PartyName) -> Result<Option<Stored>> {
        let subject = Subject::Control(party.clone());
        self.wire.last(&subject).await
    }

    async fn publish_control(
        &self,
        party: &PartyName,
        bytes: Bytes,
        expected: Sequence,
    ) -> Result<Published> {
        let subject = Subject::Control(party.clone());
        self.wire.publish_at(&subject, bytes, expected).await
    }
}

#[async_trait]
impl StatusExchange for JetStream {
    async fn publish_status(&self, party: &PartyName, writer: &PartyName, bytes: Bytes) -> Result<Sequence> {
        let subject = Subject::Status(party.clone(), writer.clone());
        self.wire.publish_over(&subject, bytes).await
    }

    async fn statuses(&self, party: &PartyName) -> Result<Vec<Stored>> {
        self.wire.statuses(party).await
    }

    async fn publish_watch(&self, party: &PartyName, bytes: Bytes) -> Result<Sequence> {
        self.wire
            .publish_over(&Subject::Watch(party.clone()), bytes)
            .await
    }

    async fn last_watch(&self, party: &PartyName) -> Result<Option<Stored>> {
        self.wire.last(&Subject::Watch(party.clone())).await
    }
}

#[async_trait]
impl Exchange for JetStream {
    async fn ping(&self) -> Result<Duration> {
        // Through JetStream and back, not only to the socket.
        let begun = Instant::now();
        self.wire.round_trip().await?;
        Ok(begun.elapsed())
    }

    async fn close(&self) {
        let mut closed = self.wire.signals.closed();
        // Drain returns early; an event reports its end.
        let ended = timeout(CLOSE_WITHIN, async {
            if self.wire.client.drain().await.is_ok() {
                // An error means that the sender is gone: closed as well.
                let _ = closed.wait_for(|closed| *closed).await;
            }
        });
        if ended.await.is_err() {
            tracing::warn!(
                waited_ms = CLOSE_WITHIN.as_millis(),
                "exchange connection did not close in time"
            );
        }
    }
}
