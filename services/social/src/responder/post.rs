//! Brings parts and outcomes to the exchange, until it has them.
//!
//! All of it is stored once for ever, so trying again is harmless: what is there already with the same bytes is a
//! lost acknowledgement; with others, somebody else's. The first part of an attempt that is somebody
//! else's belongs to another attempt, so ours takes the next number. An outcome that is somebody else's has won.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use exchange::{Error, Exchange, Filed};
use jiff::Timestamp;
use runtime::supervise::describe_end;
use schemas::envelope::Envelope;
use schemas::reply::{Outcome, Reply};
use tokio::time::Instant;

use super::answer::{About, Answer, Signer, with_evidence};
use super::answering::AnswerOptions;
use super::clock::ExchangeClock;
use super::plan;
use crate::lease_keeper::LeaseWatch;
use crate::retry;

/// What posting needs.
#[derive(Clone)]
pub struct Post {
    /// The exchange.
    pub exchange: Arc<dyn Exchange>,
    /// Without it nothing is posted.
    pub lease: LeaseWatch,
    /// The exchange's time.
    pub clock: ExchangeClock,
    /// The margin before a deadline.
    pub options: AnswerOptions,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Posted {
    /// What was closed is stored, and there is more to read.
    More,
    /// The outcome is stored.
    Done(Outcome),
    /// Somebody else's outcome is.
    Lost,
    /// The attempt is void: somebody else wrote into it.
    Taken,
    /// It cannot be stored.
    Failed(String),
    /// The lease is over.
    LeaseLost,
}

impl Post {
    /// Stores what an answer has closed, and its outcome where it has ended.
    pub async fn answer(&self, answer: &mut Answer, signer: &Signer) -> Posted {
        while let Some(draft) = answer.draft() {
            let number = answer.next_number();
            let with = signer.clone();
            let sealing = tokio::task::spawn_blocking(move || draft.seal(&with));
            let sealed = match sealing.await {
                Ok(Ok(sealed)) => sealed,
                Ok(Err(error)) => return Posted::Failed(error.to_string()),
                Err(error) => {
                    return Posted::Failed(format!("making a part ended early: {}", describe_end(&error)));
                }
            };
            let bytes = Bytes::from(sealed.bytes);
            let key = &answer.about.key;
            let filing = || {
                self.exchange
                    .publish_part(&key.recipient, &key.id, answer.attempt, number, bytes.clone())
            };
            match self.until_stored(&bytes, filing).await {
                Filing::Stored => answer.is_stored(sealed.digest),
                Filing::Other if number == 1 => answer.attempt = answer.attempt.saturating_add(1),
                Filing::Other => return Posted::Taken,
                Filing::Failed(error) => return Posted::Failed(error),
                Filing::LeaseLost => return Posted::LeaseLost,
            }
        }
        let Some(outcome) = answer.outcome() else {
            return Posted::More;
        };
        let about = answer.about.clone();
        let reply = with_evidence(about.reply(outcome, signer, Timestamp::now()), answer);
        self.reply(&about, reply, signer).await
    }

    /// Stores an outcome.
    pub async fn reply(&self, about: &About, mut reply: Reply, signer: &Signer) -> Posted {
        let mut tries = 0;
        loop {
            if self.lease.term().is_none() {
                return Posted::LeaseLost;
            }
            if answers(&reply.outcome) && self.is_late(about).await {
                // Never late: what was read for it is disclosed in parts, and is no answer.
                reply = about.reply(Outcome::Expired, signer, Timestamp::now());
            }
            let bytes =
                match Envelope::seal(&reply, Vec::new(), &signer.key).and_then(|sealed| sealed.encode()) {
                    Ok(bytes) => Bytes::from(bytes),
                    Err(error) => return Posted::Failed(error.to_string()),
                };
            let key = &about.key;
            let once = self.exchange.reply(&key.recipient, &key.id, bytes.clone());
            match self.filed(&bytes, once.await) {
                Ok(Filing::Stored) => return Posted::Done(reply.outcome),
                Ok(Filing::Other) => return Posted::Lost,
                Ok(Filing::Failed(error)) => return Posted::Failed(error),
                Ok(Filing::LeaseLost) => return Posted::LeaseLost,
                Err(error) => wait(&error, &mut tries).await,
            }
        }
    }

    /// Whether an answer would be late; then it waits until the deadline has passed indeed.
    async fn is_late(&self, about: &About) -> bool {
        let Some(deadline) = about.deadline else {
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

    async fn until_stored<F>(&self, bytes: &Bytes, filing: impl Fn() -> F) -> Filing
    where
        F: Future<Output = exchange::Result<Filed>>,
    {
        let mut tries = 0;
        loop {
            if self.lease.term().is_none() {
                return Filing::LeaseLost;
            }
            match self.filed(bytes, filing().await) {
                Ok(filing) => return filing,
                Err(error) => wait(&error, &mut tries).await,
            }
        }
    }

    /// What an attempt to store came to; or the error after which it is worth another.
    fn filed(&self, bytes: &Bytes, filed: exchange::Result<Filed>) -> Result<Filing, Error> {
        match filed {
            Ok(Filed::Done { .. }) => Ok(Filing::Stored),
            Ok(Filed::Already(stored)) if stored.bytes == *bytes => Ok(Filing::Stored),
            Ok(Filed::Already(_)) => Ok(Filing::Other),
            Err(_) if self.lease.term().is_none() => Ok(Filing::LeaseLost),
            Err(error) if error.kind.passes() => Err(error),
            Err(error) => Ok(Filing::Failed(error.to_string())),
        }
    }
}

enum Filing {
    Stored,
    Other,
    Failed(String),
    LeaseLost,
}

/// There is no end to it but the lease's: what was read is kept until the exchange takes it.
async fn wait(error: &Error, tries: &mut u32) {
    tracing::debug!(%error, "posting waits");
    *tries = tries.saturating_add(1);
    tokio::time::sleep(retry::after(*tries)).await;
}

fn answers(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Answered { .. } | Outcome::Partial { .. } | Outcome::Empty
    )
}

#[cfg(test)]
mod tests;
