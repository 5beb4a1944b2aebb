//! An exchange that only acknowledges. It keeps the last chunk of each lane and the lease, as the publisher's protocol
//! requires, and uses almost no CPU.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use exchange::port::{ReadFrom, Sequence, Stream};
use exchange::{
    AuditExchange, ControlExchange, Delivery, Error, ErrorKind, Exchange, FeedExchange, Filed, LeaseExchange,
    Published, RequestExchange, Result, Settlement, Stored,
};
use jiff::Timestamp;
use schemas::name::{Lane, OfficerName, PartyName, RecipientName, SourceName};
use schemas::request::RequestId;

/// The stored messages by subject.
#[derive(Default)]
pub(crate) struct Acknowledging {
    last: Mutex<HashMap<String, Stored>>,
}

impl Acknowledging {
    fn last(&self, subject: &str) -> Option<Stored> {
        self.last.lock().ok()?.get(subject).cloned()
    }

    fn put(&self, subject: &str, bytes: Bytes, expected: Sequence) -> Published {
        let Ok(mut last) = self.last.lock() else {
            return Published::Conflict;
        };
        let at = last.get(subject).map_or(0, |stored| stored.sequence);
        if at != expected {
            return Published::Conflict;
        }
        let sequence = at + 1;
        let stored = Stored {
            subject: subject.to_owned(),
            sequence,
            stored_at: Timestamp::now(),
            bytes,
        };
        last.insert(subject.to_owned(), stored);
        Published::Done { sequence }
    }
}

fn not_here<T>() -> Result<T> {
    Err(Error {
        kind: ErrorKind::Protocol,
        what: "this exchange only acknowledges".to_owned(),
    })
}

#[async_trait]
impl FeedExchange for Acknowledging {
    async fn last_chunk(&self, lane: &Lane) -> Result<Option<Stored>> {
        Ok(self.last(&format!("data.{lane}")))
    }

    async fn publish_chunk(&self, lane: &Lane, bytes: Bytes, expected: Sequence) -> Result<Published> {
        Ok(self.put(&format!("data.{lane}"), bytes, expected))
    }

    async fn fetch_chunks(&self, _: &RecipientName, _: usize) -> Result<Vec<Delivery>> {
        not_here()
    }

    async fn is_drained(&self, _: &RecipientName) -> Result<bool> {
        not_here()
    }

    async fn settle(&self, _: &[Delivery], _: Settlement) -> Result<()> {
        not_here()
    }

    async fn last_receipt(&self, _: &Lane) -> Result<Option<Stored>> {
        Ok(None)
    }

    async fn publish_receipt(&self, _: &Lane, _: Bytes, _: Sequence) -> Result<Published> {
        not_here()
    }
}

#[async_trait]
impl RequestExchange for Acknowledging {
    async fn file_request(&self, _: &RecipientName, _: &RequestId, _: Bytes) -> Result<Filed> {
        not_here()
    }

    async fn cancel_request(&self, _: &RecipientName, _: &RequestId, _: Bytes) -> Result<Filed> {
        not_here()
    }

    async fn fetch_requests(&self, _: &RecipientName, _: Sequence, _: usize) -> Result<Vec<Stored>> {
        not_here()
    }

    async fn cancellation(&self, _: &RecipientName, _: &RequestId) -> Result<Option<Stored>> {
        not_here()
    }

    async fn reply(&self, _: &RecipientName, _: &RequestId, _: Bytes) -> Result<Filed> {
        not_here()
    }

    async fn fetch_replies(&self, _: &RecipientName, _: usize) -> Result<Vec<Delivery>> {
        not_here()
    }

    async fn publish_part(
        &self,
        _: &RecipientName,
        _: &RequestId,
        _: u32,
        _: u32,
        _: Bytes,
    ) -> Result<Filed> {
        not_here()
    }

    async fn part(&self, _: &RecipientName, _: &RequestId, _: u32, _: u32) -> Result<Option<Stored>> {
        not_here()
    }

    async fn write_progress(&self, _: &RecipientName, _: &RequestId, _: Bytes) -> Result<Sequence> {
        not_here()
    }

    async fn progress(&self, _: &RecipientName, _: &RequestId) -> Result<Option<Stored>> {
        not_here()
    }

    async fn approve(&self, _: &RecipientName, _: &RequestId, _: &OfficerName, _: Bytes) -> Result<Filed> {
        not_here()
    }

    async fn approvals(&self, _: &RecipientName, _: &RequestId) -> Result<Vec<Stored>> {
        not_here()
    }

    async fn confirm(&self, _: &RecipientName, _: &RequestId, _: Bytes) -> Result<Filed> {
        not_here()
    }

    async fn confirmation(&self, _: &RecipientName, _: &RequestId) -> Result<Option<Stored>> {
        not_here()
    }

    async fn request_status(
        &self,
        _: &RecipientName,
        _: &RequestId,
    ) -> Result<(Option<Stored>, Option<Stored>)> {
        not_here()
    }
}

#[async_trait]
impl LeaseExchange for Acknowledging {
    async fn lease(&self, source: &SourceName) -> Result<Option<Stored>> {
        Ok(self.last(&format!("lease.{source}")))
    }

    async fn write_lease(&self, source: &SourceName, bytes: Bytes, expected: Sequence) -> Result<Published> {
        Ok(self.put(&format!("lease.{source}"), bytes, expected))
    }
}

#[async_trait]
impl AuditExchange for Acknowledging {
    async fn parties(&self, _: Stream) -> Result<Vec<PartyName>> {
        not_here()
    }

    async fn last_audit(&self, _: &PartyName, _: &PartyName) -> Result<Option<Stored>> {
        Ok(None)
    }

    async fn publish_audit(&self, _: &PartyName, _: &PartyName, _: Bytes, _: Sequence) -> Result<Published> {
        not_here()
    }

    async fn read(&self, _: Stream, _: ReadFrom, _: &str, _: usize) -> Result<Vec<Stored>> {
        not_here()
    }
}

#[async_trait]
impl Exchange for Acknowledging {
    async fn ping(&self) -> Result<Duration> {
        Ok(Duration::ZERO)
    }

    async fn close(&self) {}
}

impl ControlExchange for Acknowledging {}
