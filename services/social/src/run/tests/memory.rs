//! An exchange of one process that stores chunks and the lease alone.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use exchange::port::{ReadFrom as Start, Sequence, Stream};
use exchange::{
    AuditExchange, ControlExchange, Delivery, Error, FeedExchange, Filed, LeaseExchange, Published,
    RequestExchange, Result, Settlement, Stored,
};
use jiff::Timestamp;
use schemas::chunk;
use schemas::name::{OfficerName, PartyName};
use schemas::request::RequestId;

use super::*;

#[derive(Default)]
pub(super) struct Memory {
    pub(super) lanes: Mutex<BTreeMap<Lane, Vec<Stored>>>,
    pub(super) lease: Mutex<Option<Stored>>,
    /// Every n-th publish is stored and not acknowledged.
    pub(super) lose_every: u64,
    pub(super) publishes: Mutex<u64>,
    /// The lease cannot be read.
    pub(super) is_unreachable: std::sync::atomic::AtomicBool,
}

pub(super) fn stored(sequence: u64, bytes: Bytes) -> Stored {
    Stored {
        subject: String::new(),
        sequence,
        stored_at: Timestamp::now(),
        bytes,
    }
}

impl Memory {
    pub(super) fn chunks(&self, lane: &Lane, key: &PublicKey) -> Vec<chunk::VerifiedChunk> {
        let lanes = self.lanes.lock().unwrap();
        let open = |stored: &Stored| chunk::open(&stored.bytes, std::slice::from_ref(key)).unwrap();
        lanes
            .get(lane)
            .map(|log| log.iter().map(open).collect())
            .unwrap_or_default()
    }

    /// Whether the last holder gave the lease back.
    pub(super) fn is_released(&self) -> bool {
        let stored = self.lease.lock().unwrap().clone().unwrap();
        let envelope = schemas::envelope::Envelope::decode(&stored.bytes).unwrap();
        envelope.read::<schemas::lease::Lease>().unwrap().released
    }
}

fn unused<T>() -> Result<T> {
    Err(Error::new(exchange::ErrorKind::Protocol, "not used here"))
}

#[async_trait]
impl FeedExchange for Memory {
    async fn last_chunk(&self, lane: &Lane) -> Result<Option<Stored>> {
        Ok(self
            .lanes
            .lock()
            .unwrap()
            .get(lane)
            .and_then(|log| log.last().cloned()))
    }
    async fn publish_chunk(&self, lane: &Lane, bytes: Bytes, expected: Sequence) -> Result<Published> {
        let mut lanes = self.lanes.lock().unwrap();
        let log = lanes.entry(lane.clone()).or_default();
        if log.last().map_or(0, |last| last.sequence) != expected {
            return Ok(Published::Conflict);
        }
        let sequence = expected + 1;
        log.push(stored(sequence, bytes));
        let mut publishes = self.publishes.lock().unwrap();
        *publishes += 1;
        if self.lose_every > 0 && publishes.is_multiple_of(self.lose_every) {
            return Err(Error::new(exchange::ErrorKind::Unknown, "no answer"));
        }
        Ok(Published::Done { sequence })
    }
    async fn last_receipt(&self, _: &Lane) -> Result<Option<Stored>> {
        Ok(None)
    }
    async fn fetch_chunks(&self, _: &RecipientName, _: usize) -> Result<Vec<Delivery>> {
        unused()
    }
    async fn is_drained(&self, _: &RecipientName) -> Result<bool> {
        unused()
    }
    async fn settle(&self, _: &[Delivery], _: Settlement) -> Result<()> {
        unused()
    }
    async fn publish_receipt(&self, _: &Lane, _: Bytes, _: Sequence) -> Result<Published> {
        unused()
    }
}

#[async_trait]
impl RequestExchange for Memory {
    async fn file_request(&self, _: &RecipientName, _: &RequestId, _: Bytes) -> Result<Filed> {
        unused()
    }
    async fn cancel_request(&self, _: &RecipientName, _: &RequestId, _: Bytes) -> Result<Filed> {
        unused()
    }
    async fn fetch_requests(&self, _: &RecipientName, _: Sequence, _: usize) -> Result<Vec<Stored>> {
        unused()
    }
    async fn cancellation(&self, _: &RecipientName, _: &RequestId) -> Result<Option<Stored>> {
        unused()
    }
    async fn reply(&self, _: &RecipientName, _: &RequestId, _: Bytes) -> Result<Filed> {
        unused()
    }
    async fn fetch_replies(&self, _: &RecipientName, _: usize) -> Result<Vec<Delivery>> {
        unused()
    }
    async fn publish_part(
        &self,
        _: &RecipientName,
        _: &RequestId,
        _: u32,
        _: u32,
        _: Bytes,
    ) -> Result<Filed> {
        unused()
    }
    async fn part(&self, _: &RecipientName, _: &RequestId, _: u32, _: u32) -> Result<Option<Stored>> {
        unused()
    }
    async fn write_progress(&self, _: &RecipientName, _: &RequestId, _: Bytes) -> Result<Sequence> {
        unused()
    }
    async fn progress(&self, _: &RecipientName, _: &RequestId) -> Result<Option<Stored>> {
        unused()
    }
    async fn approve(&self, _: &RecipientName, _: &RequestId, _: &OfficerName, _: Bytes) -> Result<Filed> {
        unused()
    }
    async fn approvals(&self, _: &RecipientName, _: &RequestId) -> Result<Vec<Stored>> {
        unused()
    }
    async fn confirm(&self, _: &RecipientName, _: &RequestId, _: Bytes) -> Result<Filed> {
        unused()
    }
    async fn confirmation(&self, _: &RecipientName, _: &RequestId) -> Result<Option<Stored>> {
        unused()
    }
    async fn request_status(
        &self,
        _: &RecipientName,
        _: &RequestId,
    ) -> Result<(Option<Stored>, Option<Stored>)> {
        unused()
    }
}

#[async_trait]
impl LeaseExchange for Memory {
    async fn lease(&self, _: &SourceName) -> Result<Option<Stored>> {
        if self.is_unreachable.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(Error::new(exchange::ErrorKind::Unreachable, "no connection"));
        }
        Ok(self.lease.lock().unwrap().clone())
    }
    async fn write_lease(&self, _: &SourceName, bytes: Bytes, expected: Sequence) -> Result<Published> {
        let mut lease = self.lease.lock().unwrap();
        if lease.as_ref().map_or(0, |lease| lease.sequence) != expected {
            return Ok(Published::Conflict);
        }
        *lease = Some(stored(expected + 1, bytes));
        Ok(Published::Done {
            sequence: expected + 1,
        })
    }
}

#[async_trait]
impl AuditExchange for Memory {
    async fn parties(&self, _: Stream) -> Result<Vec<PartyName>> {
        unused()
    }
    async fn last_audit(&self, _: &PartyName, _: &PartyName) -> Result<Option<Stored>> {
        unused()
    }
    async fn publish_audit(&self, _: &PartyName, _: &PartyName, _: Bytes, _: Sequence) -> Result<Published> {
        unused()
    }
    async fn read(&self, _: Stream, _: Start, _: &str, _: usize) -> Result<Vec<Stored>> {
        unused()
    }
}

#[async_trait]
impl Exchange for Memory {
    async fn ping(&self) -> Result<Duration> {
        Ok(Duration::ZERO)
    }
    async fn close(&self) {}
}

impl ControlExchange for Memory {}
