//! The state of a request, from the messages at the exchange.

use exchange::{Exchange, Stored};
use jiff::Timestamp;
use requests::status::{self, RequestMessages, Status};
use schemas::confirm::Confirm;
use schemas::digest::Digest;
use schemas::envelope::{Envelope, Payload};
use schemas::name::RecipientName;
use schemas::progress::Progress;
use schemas::reply::{Outcome, Reply};
use schemas::request::{Cancel, Request, RequestId};
use serde::Serialize;
use web::interface::problem::ProblemKind;

use crate::rejection::Rejection;

/// A request as the exchange has it now. No signature of it is verified.
#[derive(Debug, Serialize)]
pub(super) struct RequestState {
    /// Its id.
    pub(super) id: RequestId,
    /// Its recipient.
    pub(super) recipient: RecipientName,
    /// The final outcome with its fields; absent while it waits.
    #[serde(flatten)]
    pub(super) outcome: Option<Outcome>,
    /// The time of each step, as `slacktide request show --json` prints it.
    pub(super) status: Status,
}

/// A message with its digest and time.
struct ReadMessage<T> {
    message: T,
    digest: Digest,
    stored_at: Timestamp,
}

impl<T> ReadMessage<T> {
    fn borrow(&self) -> status::Stored<'_, T> {
        status::Stored {
            message: &self.message,
            digest: self.digest,
            stored_at: self.stored_at,
        }
    }
}

/// Reads the state of a request, or returns `None` if the exchange has no message of it.
pub(super) async fn read(
    exchange: &dyn Exchange,
    recipient: &RecipientName,
    id: &RequestId,
) -> Result<Option<RequestState>, Rejection> {
    // The last step first, so that every step before a seen one is seen too.
    let confirm = exchange.confirmation(recipient, id).await?;
    let progress = exchange.progress(recipient, id).await?;
    let (request, reply) = exchange.request_status(recipient, id).await?;
    let cancel = exchange.cancellation(recipient, id).await?;
    let request = decode::<Request>(request.as_ref())?;
    let cancel = decode::<Cancel>(cancel.as_ref())?;
    let progress = decode::<Progress>(progress.as_ref())?;
    let reply = decode::<Reply>(reply.as_ref())?;
    let confirm = decode::<Confirm>(confirm.as_ref())?;
    let known = RequestMessages {
        filed_at: None,
        request: request.as_ref().map(ReadMessage::borrow),
        cancel: cancel.as_ref().map(ReadMessage::borrow),
        progress: progress.as_ref().map(ReadMessage::borrow),
        reply: reply.as_ref().map(ReadMessage::borrow),
        confirm: confirm.as_ref().map(ReadMessage::borrow),
    };
    let status = status::compute(&known, Timestamp::now());
    Ok(status.map(|status| RequestState {
        id: id.clone(),
        recipient: recipient.clone(),
        outcome: status.outcome().and(reply.map(|reply| reply.message.outcome)),
        status,
    }))
}

/// Reads a message of the exchange.
fn decode<P: Payload>(stored: Option<&Stored>) -> Result<Option<ReadMessage<P>>, Rejection> {
    let Some(stored) = stored else { return Ok(None) };
    match read_payload(&stored.bytes) {
        Some((message, digest)) => Ok(Some(ReadMessage {
            message,
            digest,
            stored_at: stored.stored_at,
        })),
        None => Err(not_a_message::<P>(&stored.subject)),
    }
}

/// Reads a payload and the message's digest.
pub(super) fn read_payload<P: Payload>(bytes: &[u8]) -> Option<(P, Digest)> {
    let envelope = Envelope::decode(bytes).ok()?;
    Some((envelope.read().ok()?, envelope.digest()))
}

/// A message that is not of its subject's kind. Each party can publish any bytes under its own subjects, so this is neither an error
/// of the gateway nor of the exchange.
pub(super) fn not_a_message<P: Payload>(subject: &str) -> Rejection {
    let detail = format!("the message at {subject} is not of kind {}", P::KIND);
    Rejection::new(ProblemKind::Conflict, detail)
}

/// No message of a request.
pub(super) fn unknown(id: &RequestId) -> Rejection {
    let detail = format!("the exchange has no request {id} of this recipient");
    Rejection::new(ProblemKind::NotFound, detail)
}
