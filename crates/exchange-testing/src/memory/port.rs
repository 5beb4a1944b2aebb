//! The operations, over logs and durable consumers.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use schemas::name::{Lane, OfficerName, PartyName, RecipientName, SourceName};
use schemas::request::RequestId;
use schemas::subject::Subject;

use super::durable::Token;
use super::log::{Log, matches};
use super::{Memory, missing_consumer};
use exchange::delivery::{Delivery, Settlement};
use exchange::error::{Error, ErrorKind, Result};
use exchange::outcome::{Filed, Published, Stored};
use exchange::port::{
    AuditExchange, ControlExchange, Exchange, FeedExchange, LeaseExchange, ReadFrom, RequestExchange,
    Sequence, StatusExchange, Stream, filter_party, missing_party,
};
use exchange::stream_state::StreamState;

#[async_trait]
impl FeedExchange for Memory {
    async fn last_chunk(&self, lane: &Lane) -> Result<Option<Stored>> {
        Ok(self.last(&Subject::Data(lane.clone())))
    }

    async fn publish_chunk(&self, lane: &Lane, bytes: Bytes, expected: Sequence) -> Result<Published> {
        self.publish_at(&Subject::Data(lane.clone()), &bytes, expected)
    }

    async fn lanes(&self, recipient: &RecipientName) -> Result<Vec<Lane>> {
        Ok(self.lanes_in("data", recipient))
    }

    async fn fetch_chunks(&self, recipient: &RecipientName, max: usize) -> Result<Vec<Delivery>> {
        self.fetch("data", recipient, max)
    }

    async fn is_drained(&self, recipient: &RecipientName) -> Result<bool> {
        let state = self.state();
        let durable = state
            .durables
            .get(&("data", recipient.clone()))
            .ok_or_else(|| missing_consumer("data", recipient))?;
        let filter = format!("data.{recipient}.*");
        let is_undelivered =
            |stored: &Stored| matches(&filter, &stored.subject) && !durable.is_delivered(stored.sequence);
        let log = state.logs.get("data");
        Ok(!log.is_some_and(|log| log.messages().any(is_undelivered)))
    }

    async fn settle(&self, deliveries: &[Delivery], settlement: Settlement) -> Result<()> {
        let settlement = match settlement {
            Settlement::Ack => Settlement::Ack,
            Settlement::Nak(delay) => Settlement::Nak(delay.min(self.max_redelivery_delay)),
        };
        let mut state = self.state();
        for delivery in deliveries {
            let invalid = || {
                Error::new(
                    ErrorKind::Protocol,
                    format!("{:?} is not a token", delivery.token),
                )
            };
            let token = Token::parse(&delivery.token).ok_or_else(invalid)?;
            let durable = state.durables.get_mut(&(token.stream, token.recipient));
            durable.ok_or_else(invalid)?.settle(token.sequence, settlement);
        }
        Ok(())
    }

    async fn last_receipt(&self, lane: &Lane) -> Result<Option<Stored>> {
        Ok(self.last(&Subject::Receipt(lane.clone())))
    }

    async fn receipted_lanes(&self, recipient: &RecipientName) -> Result<Vec<Lane>> {
        Ok(self.lanes_in("receipt", recipient))
    }

    async fn publish_receipt(&self, lane: &Lane, bytes: Bytes, expected: Sequence) -> Result<Published> {
        self.publish_at(&Subject::Receipt(lane.clone()), &bytes, expected)
    }
}

#[async_trait]
impl RequestExchange for Memory {
    async fn file_request(&self, recipient: &RecipientName, id: &RequestId, bytes: Bytes) -> Result<Filed> {
        self.publish_once(&Subject::Request(recipient.clone(), id.clone()), &bytes)
    }

    async fn cancel_request(&self, recipient: &RecipientName, id: &RequestId, bytes: Bytes) -> Result<Filed> {
        self.publish_once(&Subject::Cancel(recipient.clone(), id.clone()), &bytes)
    }

    async fn fetch_requests(
        &self,
        recipient: &RecipientName,
        from: Sequence,
        max: usize,
    ) -> Result<Vec<Stored>> {
        let own = format!("request.{recipient}.*");
        let state = self.state();
        let Some(requests) = state.logs.get("request") else {
            return Ok(Vec::new());
        };
        let replies = state.logs.get("reply");
        let answered = |request: &Stored| {
            let reply = request.subject.replacen("request.", "reply.", 1);
            replies.is_some_and(|replies| replies.last(&reply).is_some())
        };
        let open = requests
            .messages()
            .filter(|request| matches(&own, &request.subject))
            .filter(|request| request.sequence >= from && !answered(request));
        Ok(open.take(max).cloned().collect())
    }

    async fn request_ids(&self, recipient: &RecipientName, stream: Stream) -> Result<Vec<RequestId>> {
        let own = format!("{}.{recipient}.*", stream.token());
        let state = self.state();
        let messages = state.logs.get(stream.token()).into_iter().flat_map(Log::messages);
        let ids = messages.filter(|message| matches(&own, &message.subject));
        let id = |message: &Stored| message.subject.rsplit('.').next()?.parse().ok();
        let ids: std::collections::BTreeSet<RequestId> = ids.filter_map(id).collect();
        Ok(ids.into_iter().collect())
    }

    async fn cancellation(&self, recipient: &RecipientName, id: &RequestId) -> Result<Option<Stored>> {
        Ok(self.last(&Subject::Cancel(recipient.clone(), id.clone())))
    }

    async fn reply(&self, recipient: &RecipientName, id: &RequestId, bytes: Bytes) -> Result<Filed> {
        self.publish_once(&Subject::Reply(recipient.clone(), id.clone()), &bytes)
    }

    async fn fetch_replies(&self, recipient: &RecipientName, max: usize) -> Result<Vec<Delivery>> {
        self.fetch("reply", recipient, max)
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
        self.publish_once(&subject, &bytes)
    }

    async fn part(
        &self,
        recipient: &RecipientName,
        id: &RequestId,
        attempt: u32,
        number: u32,
    ) -> Result<Option<Stored>> {
        let subject = Subject::Part(recipient.clone(), id.clone(), attempt, number);
        Ok(self.last(&subject))
    }

    async fn write_progress(
        &self,
        recipient: &RecipientName,
        id: &RequestId,
        bytes: Bytes,
    ) -> Result<Sequence> {
        self.publish_over(&Subject::Progress(recipient.clone(), id.clone()), &bytes)
    }

    async fn progress(&self, recipient: &RecipientName, id: &RequestId) -> Result<Option<Stored>> {
        Ok(self.last(&Subject::Progress(recipient.clone(), id.clone())))
    }

    async fn approve(
        &self,
        recipient: &RecipientName,
        id: &RequestId,
        officer: &OfficerName,
        bytes: Bytes,
    ) -> Result<Filed> {
        let subject = Subject::Approval(recipient.clone(), id.clone(), officer.clone());
        self.publish_once(&subject, &bytes)
    }

    async fn approvals(&self, recipient: &RecipientName, id: &RequestId) -> Result<Vec<Stored>> {
        let filter = format!("approval.{recipient}.{id}.*");
        self.read(Stream::Approvals, ReadFrom::Sequence(0), &filter, usize::MAX)
            .await
    }

    async fn confirm(&self, recipient: &RecipientName, id: &RequestId, bytes: Bytes) -> Result<Filed> {
        self.publish_once(&Subject::Confirm(recipient.clone(), id.clone()), &bytes)
    }

    async fn confirmation(&self, recipient: &RecipientName, id: &RequestId) -> Result<Option<Stored>> {
        Ok(self.last(&Subject::Confirm(recipient.clone(), id.clone())))
    }

    async fn request_status(
        &self,
        recipient: &RecipientName,
        id: &RequestId,
    ) -> Result<(Option<Stored>, Option<Stored>)> {
        let request = self.last(&Subject::Request(recipient.clone(), id.clone()));
        Ok((request, self.last(&Subject::Reply(recipient.clone(), id.clone()))))
    }
}

#[async_trait]
impl LeaseExchange for Memory {
    async fn lease(&self, source: &SourceName) -> Result<Option<Stored>> {
        if self.state().leases_fail {
            return Err(Error::new(ErrorKind::Unreachable, "no connection"));
        }
        Ok(self.last(&Subject::Lease(source.clone())))
    }

    async fn write_lease(&self, source: &SourceName, bytes: Bytes, expected: Sequence) -> Result<Published> {
        self.publish_at(&Subject::Lease(source.clone()), &bytes, expected)
    }
}

#[async_trait]
impl AuditExchange for Memory {
    async fn last_audit(&self, party: &PartyName, writer: &PartyName) -> Result<Option<Stored>> {
        Ok(self.last(&Subject::Audit(party.clone(), writer.clone())))
    }

    async fn publish_audit(
        &self,
        party: &PartyName,
        writer: &PartyName,
        bytes: Bytes,
        expected: Sequence,
    ) -> Result<Published> {
        self.publish_at(&Subject::Audit(party.clone(), writer.clone()), &bytes, expected)
    }

    async fn parties(&self, stream: Stream) -> Result<Vec<PartyName>> {
        let state = self.state();
        let log = state.logs.get(stream.token());
        let names = log.into_iter().flat_map(Log::messages);
        let mut names: Vec<PartyName> = names
            .filter_map(|stored| stored.subject.split('.').nth(1)?.parse().ok())
            .collect();
        names.sort();
        names.dedup();
        Ok(names)
    }

    async fn read(&self, stream: Stream, from: ReadFrom, filter: &str, max: usize) -> Result<Vec<Stored>> {
        if filter_party(filter).is_none() {
            return Err(Error::new(ErrorKind::Protocol, missing_party(stream, filter)));
        }
        let state = self.state();
        let is_in_range = |stored: &&Stored| match from {
            ReadFrom::Sequence(sequence) => stored.sequence >= sequence,
            ReadFrom::Time(time) => stored.stored_at >= time,
        };
        let log = state.logs.get(stream.token());
        let messages = log.into_iter().flat_map(Log::messages).filter(is_in_range);
        Ok(messages
            .filter(|stored| matches(filter, &stored.subject))
            .take(max)
            .cloned()
            .collect())
    }

    async fn stream_state(&self, stream: Stream, party: &PartyName) -> Result<StreamState> {
        let state = self.state();
        let filter = format!("{}.{party}.>", stream.token());
        let log = state.logs.get(stream.token()).into_iter().flat_map(Log::messages);
        let own: Vec<&Stored> = log
            .filter(|stored| {
                matches(&filter, &stored.subject) || stored.subject == format!("{}.{party}", stream.token())
            })
            .collect();
        let (first, last) = (own.first(), own.last());
        Ok(StreamState {
            name: format!("{}_{party}", stream.token().to_uppercase()),
            messages: own.len() as u64,
            bytes: own.iter().map(|stored| stored.bytes.len() as u64).sum(),
            max_bytes: None,
            first_sequence: first.map_or(0, |stored| stored.sequence),
            last_sequence: last.map_or(0, |stored| stored.sequence),
            first_stored_at: first.map(|stored| stored.stored_at),
            last_stored_at: last.map(|stored| stored.stored_at),
            leader: None,
            replicas: Vec::new(),
        })
    }
}

#[async_trait]
impl ControlExchange for Memory {
    async fn last_control(&self, party: &PartyName) -> Result<Option<Stored>> {
        Ok(self.last(&Subject::Control(party.clone())))
    }

    async fn publish_control(
        &self,
        party: &PartyName,
        bytes: Bytes,
        expected: Sequence,
    ) -> Result<Published> {
        self.publish_at(&Subject::Control(party.clone()), &bytes, expected)
    }
}

#[async_trait]
impl StatusExchange for Memory {
    async fn publish_status(&self, party: &PartyName, writer: &PartyName, bytes: Bytes) -> Result<Sequence> {
        self.publish_over(&Subject::Status(party.clone(), writer.clone()), &bytes)
    }

    async fn statuses(&self, party: &PartyName) -> Result<Vec<Stored>> {
        let filter = format!("status.{party}.*");
        let state = self.state();
        let messages = state.logs.get("status").into_iter().flat_map(Log::messages);
        let mut last: Vec<Stored> = messages
            .filter(|stored| matches(&filter, &stored.subject))
            .cloned()
            .collect();
        last.sort_by(|one, other| one.subject.cmp(&other.subject));
        Ok(last)
    }

    async fn publish_watch(&self, party: &PartyName, bytes: Bytes) -> Result<Sequence> {
        self.publish_over(&Subject::Watch(party.clone()), &bytes)
    }

    async fn last_watch(&self, party: &PartyName) -> Result<Option<Stored>> {
        Ok(self.last(&Subject::Watch(party.clone())))
    }
}

#[async_trait]
impl Exchange for Memory {
    async fn ping(&self) -> Result<Duration> {
        Ok(Duration::ZERO)
    }

    async fn close(&self) {}
}
