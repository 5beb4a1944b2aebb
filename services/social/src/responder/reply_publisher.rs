//! Stores one message at the exchange, and classifies its response.
//!
//! Every message is stored once, permanently, so a retry is harmless: an existing message with the same bytes means a lost
//! acknowledgement; other bytes were written by another process. [`super::request_step`] decides what follows.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use exchange::{Filed, RequestExchange};
use jiff::Timestamp;
use requests::queue::RequestKey;
use schemas::digest::Digest;
use schemas::envelope::{Envelope, EnvelopeError};
use schemas::reply::Reply;
use tokio::time::Instant;

use super::answer::Signer;
use super::answer_config::AnswerOptions;
use super::clock::ExchangeClock;
use super::plan;
use super::request_state::{Message, PartTotals};
use super::request_step::is_answer;
use crate::lease_keeper::LeaseWatch;

/// Stores parts and replies while the lease is held.
#[derive(Clone)]
pub struct ReplyPublisher {
    /// The exchange.
    pub exchange: Arc<dyn RequestExchange>,
    /// The lease, without which nothing is published.
    pub lease: LeaseWatch,
    /// The exchange's clock.
    pub clock: ExchangeClock,
    /// The options, which contain the margin before a deadline.
    pub options: AnswerOptions,
}

/// A signed message. A retry stores the same bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedMessage {
    /// The published bytes.
    pub bytes: Bytes,
    /// Their digest.
    pub digest: Digest,
    /// The totals of a part.
    pub totals: PartTotals,
}

/// The response of the exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreResult {
    /// The message is stored.
    Stored,
    /// The subject holds other bytes.
    Exists,
    /// There is no acknowledgement, or an answer was not sent because it would be late.
    Unconfirmed,
    /// The exchange refused the message, or it could not be signed.
    Failed(String),
    /// The lease expired.
    LeaseLost,
}

impl ReplyPublisher {
    /// Stores a message of a request with this deadline.
    pub async fn store(
        &self,
        key: &RequestKey,
        message: &Message,
        bytes: &Bytes,
        deadline: Option<Timestamp>,
    ) -> StoreResult {
        if let Message::Reply {
            outcome, not_before, ..
        } = message
        {
            if let Some(not_before) = not_before {
                self.await_time(*not_before).await;
            }
            let now = self.clock.now(Instant::now());
            if is_answer(outcome) && now.is_some_and(|now| plan::runs_out(deadline, now, &self.options)) {
                return StoreResult::Unconfirmed;
            }
        }
        if self.lease.term().is_none() {
            return StoreResult::LeaseLost;
        }
        let (recipient, id) = (&key.recipient, &key.id);
        let filed = match message {
            Message::Part { attempt, number } => {
                self.exchange
                    .publish_part(recipient, id, *attempt, *number, bytes.clone())
                    .await
            }
            Message::Reply { .. } => self.exchange.reply(recipient, id, bytes.clone()).await,
        };
        self.classify(bytes, filed)
    }

    /// Waits until the exchange's time has come to `at`.
    async fn await_time(&self, at: Timestamp) {
        let now = || self.clock.now(Instant::now());
        while let Some(left) = now().map(|now| at.duration_since(now))
            && left.is_positive()
        {
            tokio::time::sleep(Duration::try_from(left).unwrap_or(Duration::ZERO)).await;
        }
    }

    fn classify(&self, bytes: &Bytes, filed: exchange::Result<Filed>) -> StoreResult {
        match filed {
            Ok(Filed::Done { .. }) => StoreResult::Stored,
            Ok(Filed::Exists(stored)) if stored.bytes == *bytes => StoreResult::Stored,
            Ok(Filed::Exists(_)) => StoreResult::Exists,
            Err(_) if self.lease.term().is_none() => StoreResult::LeaseLost,
            Err(error) if error.kind.is_transient() => {
                tracing::debug!(%error, "publication waits for the exchange");
                StoreResult::Unconfirmed
            }
            Err(error) => StoreResult::Failed(error.to_string()),
        }
    }
}

/// Signs a reply.
///
/// # Errors
/// [`EnvelopeError`] if it cannot be signed or encoded.
pub fn sign_reply(reply: &Reply, signer: &Signer) -> Result<SignedMessage, EnvelopeError> {
    let signed = Envelope::sign(reply, Vec::new(), &signer.key)?;
    Ok(SignedMessage {
        digest: signed.digest(),
        bytes: Bytes::from(signed.encode()?),
        totals: PartTotals::default(),
    })
}

#[cfg(test)]
mod tests;
