//! Stores parts and outcomes at the exchange, retrying until it has them.
//!
//! Every message is stored once, permanently, so a retry is harmless: an existing message with the same bytes means a lost
//! acknowledgement; other bytes were written by another process. If the first part of an attempt has other bytes, the
//! attempt number is taken and the next one is used. An existing outcome with other bytes is final.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use exchange::{Error, Filed, RequestExchange};
use jiff::Timestamp;
use runtime::supervise::describe_end;
use schemas::envelope::Envelope;
use schemas::reply::{Outcome, Reply};
use tokio::time::Instant;

use super::answer::{Answer, RequestRef, Signer, with_evidence};
use super::answer_config::AnswerOptions;
use super::clock::ExchangeClock;
use super::plan;
use crate::lease_keeper::LeaseWatch;
use crate::retry;

/// Publishes answers and replies while the lease is held.
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

/// The result of a publication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishOutcome {
    /// The closed blocks are stored, and there is more to read.
    More,
    /// The outcome is stored.
    Done(Outcome),
    /// Another process stored an outcome first.
    Superseded,
    /// Another process wrote into the attempt, which is void.
    AttemptTaken,
    /// The exchange refused the message.
    Failed(String),
    /// The lease expired.
    LeaseLost,
}

impl ReplyPublisher {
    /// Stores the closed blocks of an answer, and its outcome if it has ended.
    pub async fn publish_answer(&self, answer: &mut Answer, signer: &Signer) -> PublishOutcome {
        while let Some(draft) = answer.draft() {
            let number = answer.next_number();
            let with = signer.clone();
            let signing = tokio::task::spawn_blocking(move || draft.sign(&with));
            let signed = match signing.await {
                Ok(Ok(signed)) => signed,
                Ok(Err(error)) => return PublishOutcome::Failed(error.to_string()),
                Err(error) => {
                    return PublishOutcome::Failed(format!(
                        "signing a part failed: {}",
                        describe_end(&error)
                    ));
                }
            };
            let bytes = Bytes::from(signed.bytes);
            let key = &answer.request_ref.key;
            let store = || {
                self.exchange
                    .publish_part(&key.recipient, &key.id, answer.attempt, number, bytes.clone())
            };
            match self.store_until_done(&bytes, store).await {
                StoreOutcome::Stored => answer.mark_stored(signed.digest),
                StoreOutcome::Conflict if number == 1 => answer.attempt = answer.attempt.saturating_add(1),
                StoreOutcome::Conflict => return PublishOutcome::AttemptTaken,
                StoreOutcome::Failed(error) => return PublishOutcome::Failed(error),
                StoreOutcome::LeaseLost => return PublishOutcome::LeaseLost,
            }
        }
        let Some(outcome) = answer.outcome() else {
            return PublishOutcome::More;
        };
        let request_ref = answer.request_ref.clone();
        let reply = with_evidence(request_ref.reply(outcome, signer, Timestamp::now()), answer);
        self.publish_reply(&request_ref, reply, signer).await
    }

    /// Stores an outcome.
    pub async fn publish_reply(
        &self,
        request_ref: &RequestRef,
        mut reply: Reply,
        signer: &Signer,
    ) -> PublishOutcome {
        let mut tries = 0;
        loop {
            if self.lease.term().is_none() {
                return PublishOutcome::LeaseLost;
            }
            if is_answer(&reply.outcome) && self.is_late(request_ref).await {
                // An answer is never late: its parts are disclosed, but the outcome is that it expired.
                reply = request_ref.reply(Outcome::Expired, signer, Timestamp::now());
            }
            let bytes =
                match Envelope::sign(&reply, Vec::new(), &signer.key).and_then(|signed| signed.encode()) {
                    Ok(bytes) => Bytes::from(bytes),
                    Err(error) => return PublishOutcome::Failed(error.to_string()),
                };
            let key = &request_ref.key;
            let once = self.exchange.reply(&key.recipient, &key.id, bytes.clone());
            match self.classify(&bytes, once.await) {
                Ok(StoreOutcome::Stored) => return PublishOutcome::Done(reply.outcome),
                Ok(StoreOutcome::Conflict) => return PublishOutcome::Superseded,
                Ok(StoreOutcome::Failed(error)) => return PublishOutcome::Failed(error),
                Ok(StoreOutcome::LeaseLost) => return PublishOutcome::LeaseLost,
                Err(error) => back_off(&error, &mut tries).await,
            }
        }
    }

    /// Returns whether an answer would be late, after waiting until the deadline has passed.
    async fn is_late(&self, request_ref: &RequestRef) -> bool {
        let Some(deadline) = request_ref.deadline else {
            return false;
        };
        let now = || self.clock.now(Instant::now());
        let Some(at) = now() else { return false };
        if !plan::runs_out(Some(deadline), at, &self.options) {
            return false;
        }
        while let Some(left) = now().map(|now| deadline.duration_since(now))
            && left.is_positive()
        {
            tokio::time::sleep(Duration::try_from(left).unwrap_or(Duration::ZERO)).await;
        }
        true
    }

    async fn store_until_done<F>(&self, bytes: &Bytes, store: impl Fn() -> F) -> StoreOutcome
    where
        F: Future<Output = exchange::Result<Filed>>,
    {
        let mut tries = 0;
        loop {
            if self.lease.term().is_none() {
                return StoreOutcome::LeaseLost;
            }
            match self.classify(bytes, store().await) {
                Ok(store) => return store,
                Err(error) => back_off(&error, &mut tries).await,
            }
        }
    }

    /// Classifies the result of one store call; an error is worth a retry.
    fn classify(&self, bytes: &Bytes, filed: exchange::Result<Filed>) -> Result<StoreOutcome, Error> {
        match filed {
            Ok(Filed::Done { .. }) => Ok(StoreOutcome::Stored),
            Ok(Filed::Exists(stored)) if stored.bytes == *bytes => Ok(StoreOutcome::Stored),
            Ok(Filed::Exists(_)) => Ok(StoreOutcome::Conflict),
            Err(_) if self.lease.term().is_none() => Ok(StoreOutcome::LeaseLost),
            Err(error) if error.kind.is_transient() => Err(error),
            Err(error) => Ok(StoreOutcome::Failed(error.to_string())),
        }
    }
}

enum StoreOutcome {
    Stored,
    Conflict,
    Failed(String),
    LeaseLost,
}

/// Only the end of the lease ends the retries: rows that were read are kept until the exchange stores them.
async fn back_off(error: &Error, tries: &mut u32) {
    tracing::debug!(%error, "publication waits for the exchange");
    *tries = tries.saturating_add(1);
    tokio::time::sleep(retry::after(*tries)).await;
}

fn is_answer(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Answered { .. } | Outcome::Partial { .. } | Outcome::Empty
    )
}

#[cfg(test)]
mod tests;
