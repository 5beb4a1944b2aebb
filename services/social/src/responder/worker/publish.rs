//! Signs and stores messages, each in a task of its own.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use requests::queue::RequestKey;
use runtime::supervise::describe_end;
use schemas::chunk::ChunkError;
use schemas::envelope::EnvelopeError;
use schemas::reply::{Outcome, Reply};
use tokio::sync::Semaphore;

use super::super::answer::{PartDraft, Signer, with_evidence};
use super::super::reply_publisher::{ReplyPublisher, SignedMessage, StoreResult, sign_reply};
use super::super::request_state::Message;
use super::super::request_step::Event;
use super::super::trace::{self, RequestTrace};
use super::RequestWorker;
use crate::retry;

/// A message on its way to the exchange.
pub(super) struct Outgoing {
    key: RequestKey,
    message: Message,
    deadline: Option<Timestamp>,
    /// Parts that are stored in the attempt.
    parts: u64,
    /// Withheld rows that a reply states.
    withheld: u64,
    /// The trace of the request.
    trace: Option<RequestTrace>,
}

/// The content of a message.
enum Content {
    Part(Box<PartDraft>),
    Reply(Box<Reply>),
    Signed(SignedMessage),
}

/// The end of a task that stored a message.
pub(super) struct Finished {
    outgoing: Outgoing,
    /// `None` if it could not be signed.
    signed: Option<SignedMessage>,
    result: StoreResult,
}

impl RequestWorker {
    /// Starts to sign and store a message. Returns an event if there is nothing to sign.
    pub(super) fn publish(&mut self, key: &RequestKey, message: Message) -> Option<Event> {
        let mut withheld = 0;
        let content = match &message {
            Message::Part { attempt, number } => {
                let answer = self.answers.get(key);
                match answer.and_then(|answer| answer.draft(*attempt, *number)) {
                    Some(draft) => Content::Part(Box::new(draft)),
                    None => return Some(Event::AttemptFailed("its rows were dropped".to_owned())),
                }
            }
            Message::Reply {
                outcome,
                attempt,
                definition,
                ..
            } => {
                let request_ref = self.request_ref(key, *definition)?;
                let mut reply = request_ref.reply(outcome.clone(), &self.signer(key), Timestamp::now());
                reply.attempt = *attempt;
                if let Some(answer) = self.answers.get_mut(key) {
                    // Nothing more is read.
                    answer.query = None;
                    // The source was read, so the reply carries the load evidence.
                    reply = with_evidence(reply, answer);
                }
                withheld = reply.withheld;
                Content::Reply(Box::new(reply))
            }
        };
        let entry = self.table.index.get(key)?;
        let attempt = entry.processing.attempt.as_ref();
        let outgoing = Outgoing {
            key: key.clone(),
            deadline: entry.request.as_ref().ok().and_then(|request| request.deadline),
            parts: attempt.map_or(0, |attempt| attempt.stored.len() as u64),
            withheld,
            trace: entry.trace.map(|context| RequestTrace {
                context,
                since: entry.position.stored_at,
            }),
            message,
        };
        self.send(outgoing, content, 0);
        None
    }

    /// Stores the bytes of the message in flight again, after a back-off. Rows that were read are kept until the exchange has
    /// them or the lease ends.
    pub(super) fn publish_again(&mut self, tries: u32) {
        if let Some((outgoing, signed)) = self.unconfirmed.take() {
            self.send(outgoing, Content::Signed(signed), tries);
        }
    }

    fn send(&mut self, outgoing: Outgoing, content: Content, tries: u32) {
        let (publisher, slots) = (Arc::clone(&self.publisher), Arc::clone(&self.publishing_slots));
        let signer = self.signer(&outgoing.key);
        self.publishing_tasks
            .spawn(outgoing.send(content, publisher, slots, signer, tries));
    }

    /// Handles the exchange's response to a message.
    pub(super) fn message_sent(&mut self, done: Finished) {
        let Finished {
            outgoing,
            signed,
            result,
        } = done;
        let key = outgoing.key.clone();
        let is_reply = matches!(outgoing.message, Message::Reply { .. });
        let event = match (result, signed) {
            // The term ends, and with it this worker.
            (StoreResult::LeaseLost, _) => return,
            (StoreResult::Failed(why), _) => Event::AttemptFailed(why),
            (_, None) => Event::AttemptFailed("it was not signed".to_owned()),
            (StoreResult::Exists, _) => {
                self.update_status(|status| status.lost += u64::from(is_reply));
                Event::Exists
            }
            (StoreResult::Unconfirmed, Some(signed)) => {
                self.unconfirmed = Some((outgoing, signed));
                Event::Unconfirmed
            }
            (StoreResult::Stored, Some(signed)) => match &outgoing.message {
                Message::Part { .. } => Event::PartStored {
                    digest: signed.digest,
                    totals: signed.totals,
                },
                Message::Reply { outcome, .. } => {
                    self.record_outcome(&outgoing, outcome);
                    Event::ReplyStored
                }
            },
        };
        self.apply(&key, event);
        if is_reply {
            self.update_counts();
        }
    }

    fn record_outcome(&mut self, outgoing: &Outgoing, outcome: &Outcome) {
        let (key, parts, withheld) = (&outgoing.key, outgoing.parts, outgoing.withheld);
        let at = self.now().unwrap_or_else(Timestamp::now);
        self.table.index.record_own_outcome(key, at, outcome);
        tracing::info!(
            recipient = %key.recipient, id = %key.id, outcome = outcome.name(), rows = outcome.rows(), parts, withheld,
            "request completed"
        );
        self.update_status(|status| {
            *status.outcomes.entry(outcome.name().to_owned()).or_default() += 1;
            status.rows += outcome.rows();
            status.withheld += withheld;
            status.parts += parts;
        });
    }
}

impl Outgoing {
    /// Signs the message, unless it is signed, and stores it after the back-off for so many tries.
    async fn send(
        self,
        content: Content,
        publisher: Arc<ReplyPublisher>,
        slots: Arc<Semaphore>,
        signer: Signer,
        tries: u32,
    ) -> Finished {
        // The semaphore is never closed.
        let _slot = slots.acquire_owned().await.ok();
        if tries > 0 {
            tokio::time::sleep(retry::after(tries)).await;
        }
        let signed = match content {
            Content::Signed(signed) => Ok(signed),
            Content::Reply(reply) => sign_reply(&reply, &signer).map_err(SignError::Reply),
            Content::Part(draft) => sign_part(*draft, signer).await,
        };
        let (result, signed) = match signed {
            Ok(signed) => {
                let bytes = &signed.bytes;
                let storing = publisher.store(&self.key, &self.message, bytes, self.deadline);
                let result = trace::publish(&self.key, &self.message, self.trace, storing);
                (result.await, Some(signed))
            }
            Err(error) => (StoreResult::Failed(error.to_string()), None),
        };
        Finished {
            outgoing: self,
            signed,
            result,
        }
    }
}

/// Why a message could not be signed.
#[derive(Debug, thiserror::Error)]
enum SignError {
    #[error("{0}")]
    Reply(EnvelopeError),
    #[error("{0}")]
    Part(ChunkError),
    #[error("signing a part failed: {0}")]
    Ended(&'static str),
}

async fn sign_part(draft: PartDraft, signer: Signer) -> Result<SignedMessage, SignError> {
    let totals = draft.totals();
    let signing = tokio::task::spawn_blocking(move || draft.sign(&signer));
    match signing.await {
        Ok(Ok(signed)) => Ok(SignedMessage {
            bytes: Bytes::from(signed.bytes),
            digest: signed.digest,
            totals,
        }),
        Ok(Err(error)) => Err(SignError::Part(error)),
        Err(error) => Err(SignError::Ended(describe_end(&error))),
    }
}
