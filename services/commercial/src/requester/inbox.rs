//! Fetches, stores and settles replies. A reply is settled only after it is stored.

use std::time::{Duration, SystemTime};

use exchange::{Delivery, Settlement};
use futures_util::StreamExt as _;
use futures_util::stream;
use schemas::envelope::{Envelope, EnvelopeError};
use schemas::reply::Reply;
use schemas::request::{Request, RequestId};
use store::requests::{Filing, FilingOutcome, ReceivedReply, ReplyOutcome};
use tokio_util::sync::CancellationToken;

use super::RequesterParts;
use super::answer::{Opened, open};
use crate::error::StepError;
use crate::trace;

/// The number of replies in one fetch. Each holds all rows of its answer in memory.
const FETCH_BATCH: usize = 16;

/// The number of replies opened while another one is stored.
const OPEN_AHEAD: usize = 4;

/// The retry delay of a reply that waits for a key or a part.
const RETRY_WAITING: Duration = Duration::from_secs(10);

/// The retry delay of an invalid reply. An operator may have found the cause by then.
const RETRY_INVALID: Duration = Duration::from_secs(3_600);

/// The retry delay of a reply that the store refuses.
const RETRY_REFUSED: Duration = Duration::from_secs(15);

/// The maximum number of refused replies shown. They usually share one cause.
const MAX_REFUSED_SHOWN: usize = 20;

/// Stores replies until none is left.
pub(super) async fn store_replies(parts: &RequesterParts, stop: &CancellationToken) -> Result<(), StepError> {
    while !stop.is_cancelled() {
        let started = SystemTime::now();
        let fetched = parts
            .exchange
            .fetch_replies(&parts.recipient, FETCH_BATCH)
            .await?;
        if fetched.is_empty() {
            break;
        }
        let mut opened = stream::iter(fetched)
            .map(|delivery| async move { (open(parts, &delivery).await, delivery) })
            .buffered(OPEN_AHEAD);
        let mut failure = None;
        while let Some((opened, delivery)) = opened.next().await {
            let settlement = match opened {
                Ok(Opened::Reply(received)) => {
                    let storing = store_reply(parts, &received, &delivery);
                    trace::answer(&delivery, started, storing).await
                }
                Ok(Opened::Waits(why)) => Ok(defer(parts, &delivery, &why, RETRY_WAITING)),
                Ok(Opened::Unfit(why)) => Ok(defer(parts, &delivery, &why, RETRY_INVALID)),
                Err(error) => Err(error),
            };
            let settlement = settlement.unwrap_or_else(|error| {
                failure = Some(error);
                Settlement::Nak(Duration::from_secs(1))
            });
            // A reply that could not be settled is redelivered and is known then.
            if let Err(error) = parts.exchange.settle(&[delivery], settlement).await {
                failure = Some(error.into());
            }
        }
        if let Some(error) = failure {
            return Err(error);
        }
    }
    Ok(())
}

fn defer(parts: &RequesterParts, delivery: &Delivery, why: &str, rest: Duration) -> Settlement {
    parts
        .registry
        .requests(|status| status.defer(&delivery.subject, why));
    if parts.registry.is_news("replies", why) {
        tracing::error!(
            subject = delivery.subject,
            why,
            "reply deferred, it is redelivered"
        );
    }
    Settlement::Nak(rest)
}

/// Clears the deferred state of a reply after any process stored it.
fn clear_deferred(parts: &RequesterParts, delivery: &Delivery) {
    let mut is_cleared = false;
    parts.registry.requests(|status| {
        status.clear_deferred(&delivery.subject);
        is_cleared = status.deferred.is_none();
    });
    if is_cleared && let Some(occurrences) = parts.registry.over("replies") {
        tracing::info!(occurrences, "deferred replies stored");
    }
}

pub(super) async fn store_reply(
    parts: &RequesterParts,
    received: &ReceivedReply,
    delivery: &Delivery,
) -> Result<Settlement, StepError> {
    let mut stored = parts.store.store_reply(received).await;
    if matches!(stored, Ok(ReplyOutcome::Unknown)) {
        // Another host filed the request, or the store lost it. The exchange has the request.
        match adopt_request(parts, &received.reply).await? {
            Ok(()) => stored = parts.store.store_reply(received).await,
            Err(why) => return Ok(defer(parts, delivery, &why.to_string(), RETRY_INVALID)),
        }
    }
    let id = received.reply.id.to_string();
    let outcome = match stored {
        Ok(outcome) => outcome,
        // Names, tables or columns do not fit. Only an operator can help, so the retry delay is short.
        Err(error) if error.kind == store::ErrorKind::Refused => {
            let why = error.to_string();
            show_refused(parts, &id, &why);
            return Ok(defer(parts, delivery, &why, RETRY_REFUSED));
        }
        Err(error) => return Err(error.into()),
    };
    parts.registry.requests(|status| {
        status.refused.remove(&id);
    });
    Ok(match outcome {
        ReplyOutcome::Stored { rows, quarantined } => {
            parts.registry.requests(|status| {
                status.replies += 1;
                status.rows += rows;
                status.rows_quarantined += quarantined;
                *status
                    .outcomes
                    .entry(received.reply.outcome.name().to_owned())
                    .or_default() += 1;
            });
            clear_deferred(parts, delivery);
            Settlement::Ack
        }
        ReplyOutcome::AlreadyStored => {
            clear_deferred(parts, delivery);
            Settlement::Ack
        }
        ReplyOutcome::Unknown => defer(parts, delivery, "the store forgot the request", RETRY_WAITING),
        ReplyOutcome::Contradicts { reason } => {
            show_refused(parts, &id, &reason);
            defer(parts, delivery, &reason, RETRY_INVALID)
        }
    })
}

/// Shows that a reply waits for an operator, until it is stored.
fn show_refused(parts: &RequesterParts, id: &str, why: &str) {
    parts.registry.requests(|status| {
        if status.refused.len() < MAX_REFUSED_SHOWN || status.refused.contains_key(id) {
            status.refused.insert(id.to_owned(), why.to_owned());
        }
    });
}

/// Why the request of a reply cannot be recorded. An operator has to find the cause.
#[derive(Debug, thiserror::Error)]
enum NotAdopted {
    /// The exchange does not hold it.
    #[error("it answers a request that is not at the exchange")]
    Missing,
    /// It cannot be read.
    #[error("the request at the exchange: {0}")]
    Unreadable(EnvelopeError),
    /// It is another request.
    #[error("the request at the exchange has another id or recipient")]
    Mismatch,
    /// The store has another request under its idempotency key.
    #[error("its idempotency key is another request's here: {0}")]
    KeyTaken(RequestId),
}

/// Records the request as it is at the exchange.
async fn adopt_request(parts: &RequesterParts, reply: &Reply) -> Result<Result<(), NotAdopted>, StepError> {
    let (request, _) = parts.exchange.request_status(&reply.recipient, &reply.id).await?;
    let Some(stored) = request else {
        return Ok(Err(NotAdopted::Missing));
    };
    let read = Envelope::decode(&stored.bytes).and_then(|envelope| {
        let request: Request = envelope.read()?;
        Ok((request, envelope.digest()))
    });
    let (request, digest) = match read {
        Ok(read) => read,
        Err(error) => return Ok(Err(NotAdopted::Unreadable(error))),
    };
    if request.id != reply.id || request.recipient != reply.recipient {
        return Ok(Err(NotAdopted::Mismatch));
    }
    let filing = Filing {
        request,
        digest,
        bytes: stored.bytes.to_vec(),
        exchanged_at: Some(stored.stored_at),
        outbox: None,
    };
    Ok(match parts.store.file(&filing).await? {
        FilingOutcome::Kept => Ok(()),
        FilingOutcome::Known(id) if id == reply.id => Ok(()),
        FilingOutcome::Known(id) | FilingOutcome::Contradicts(id) => Err(NotAdopted::KeyTaken(id)),
    })
}
