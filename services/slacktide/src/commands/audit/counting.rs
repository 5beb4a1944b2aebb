//! Shows how many messages are read from the exchange.

use std::sync::{Mutex, PoisonError};

use ::exchange::StreamState;
use ::exchange::port::{ReadFrom, Sequence, Stream};
use ::exchange::{AuditExchange, Published, Result, Stored};
use async_trait::async_trait;
use bytes::Bytes;
use schemas::name::PartyName;

use crate::output::Progress;

/// The exchange of an auditor; its reads are counted on standard error.
pub(super) struct Counting<'a> {
    exchange: &'a dyn AuditExchange,
    shown: Mutex<(u64, Progress)>,
}

impl<'a> Counting<'a> {
    /// Counts the messages that are read from now on.
    pub(super) fn new(exchange: &'a dyn AuditExchange) -> Self {
        Self {
            exchange,
            shown: Mutex::new((0, Progress::new("messages read", None))),
        }
    }
}

#[async_trait]
impl AuditExchange for Counting<'_> {
    async fn last_audit(&self, party: &PartyName, writer: &PartyName) -> Result<Option<Stored>> {
        self.exchange.last_audit(party, writer).await
    }

    async fn publish_audit(
        &self,
        party: &PartyName,
        writer: &PartyName,
        bytes: Bytes,
        expected: Sequence,
    ) -> Result<Published> {
        self.exchange.publish_audit(party, writer, bytes, expected).await
    }

    async fn parties(&self, stream: Stream) -> Result<Vec<PartyName>> {
        self.exchange.parties(stream).await
    }

    async fn read(&self, stream: Stream, from: ReadFrom, filter: &str, max: usize) -> Result<Vec<Stored>> {
        let page = self.exchange.read(stream, from, filter, max).await?;
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, progress) = &mut *shown;
        *count = count.saturating_add(page.len() as u64);
        progress.set(*count, &format!("{stream:?}").to_lowercase());
        drop(shown);
        Ok(page)
    }

    async fn stream_state(&self, stream: Stream, party: &PartyName) -> Result<StreamState> {
        self.exchange.stream_state(stream, party).await
    }
}
