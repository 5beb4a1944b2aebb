//! Verifies, opens and joins a reply and its parts. Stores nothing.

use exchange::Delivery;
use jiff::Timestamp;
use runtime::supervise::describe_end;
use schemas::envelope::{Envelope, EnvelopeError};
use schemas::part::VerifiedPart;
use schemas::reply::Reply;
use schemas::subject::Subject;
use store::requests::ReceivedReply;

use super::RequesterParts;
use crate::error::StepError;

/// The result of opening a delivery.
pub(super) enum Opened {
    /// A reply of the bureau to this recipient, with the parts that it names.
    Reply(Box<ReceivedReply>),
    /// A key or a part is missing and may still arrive. Contains the cause.
    Waits(String),
    /// Not a reply that can be stored as it is. Contains the cause.
    Unfit(String),
}

/// Opens a delivery.
///
/// # Errors
/// The exchange's error while reading the parts.
pub(super) async fn open(parts: &RequesterParts, delivery: &Delivery) -> Result<Opened, StepError> {
    let delivered_at = Timestamp::now();
    let envelope = match Envelope::decode(&delivery.bytes) {
        Ok(envelope) => envelope,
        Err(error) => return Ok(Opened::Unfit(error.to_string())),
    };
    let reply: Reply = match envelope.verify(&parts.trusted) {
        Ok(reply) => reply,
        // The key may become trusted: an operator can correct [trust].
        Err(error @ EnvelopeError::Untrusted { .. }) => return Ok(Opened::Waits(error.to_string())),
        Err(error) => return Ok(Opened::Unfit(error.to_string())),
    };
    let place = Subject::Reply(reply.recipient.clone(), reply.id.clone()).to_string();
    if place != delivery.subject || reply.recipient != parts.recipient {
        return Ok(Opened::Unfit(format!(
            "a reply for subject {place} arrived on {}",
            delivery.subject
        )));
    }
    let named = reply.outcome.parts();
    let attempt = match (reply.attempt, named.is_empty()) {
        (Some(attempt), _) => attempt,
        (None, true) => 0,
        (None, false) => return Ok(Opened::Unfit("it names parts of no attempt".to_owned())),
    };
    let mut opened = Vec::with_capacity(named.len());
    for (number, digest) in (1_u32..).zip(named) {
        let found = parts
            .exchange
            .part(&reply.recipient, &reply.id, attempt, number)
            .await?;
        let Some(stored) = found else {
            let why = "a part of the reply is missing at the exchange, which may have been restored from an older copy";
            return Ok(Opened::Waits(format!("part {number}: {why}")));
        };
        let (trusted, decryption_keys) = (parts.trusted.clone(), parts.decryption_keys.clone());
        // Unpacking costs CPU.
        let opening = tokio::task::spawn_blocking(move || {
            VerifiedPart::open(&stored.bytes, &trusted, &decryption_keys)
        });
        match opening
            .await
            .map_err(|error| StepError::Opening(describe_end(&error)))?
        {
            Ok(part) if part.digest == *digest => opened.push(part),
            Ok(VerifiedPart { .. }) => {
                return Ok(Opened::Unfit(format!(
                    "part {number} is not the one that the reply names"
                )));
            }
            Err(error) if error.missing_key().is_some() => return Ok(Opened::Waits(error.to_string())),
            Err(error) => return Ok(Opened::Unfit(format!("part {number}: {error}"))),
        }
    }
    Ok(Opened::Reply(Box::new(ReceivedReply {
        reply,
        digest: envelope.digest(),
        bytes: delivery.bytes.to_vec(),
        parts: opened,
        exchanged_at: delivery.stored_at,
        delivered_at,
    })))
}
