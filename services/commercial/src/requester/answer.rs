//! A reply with its parts: verified, opened, put together. Nothing is stored here.

use exchange::Delivery;
use jiff::Timestamp;
use runtime::supervise::describe_end;
use schemas::envelope::{Envelope, EnvelopeError};
use schemas::part::{self, OpenedPart};
use schemas::reply::Reply;
use schemas::subject::Subject;
use store::requests::Answered;

use super::RequesterParts;

/// What a delivery turned out to be.
pub(super) enum Opened {
    /// A reply of the bureau's to this recipient, with the parts that it names.
    Reply(Box<Answered>),
    /// It waits for something that may come: a key, a part. Why.
    Waits(String),
    /// No reply that could ever be stored as it is. Why.
    Unfit(String),
}

/// Opens a delivery.
///
/// # Errors
/// What the exchange answered when it was asked for the parts.
pub(super) async fn open(parts: &RequesterParts, delivery: &Delivery) -> Result<Opened, String> {
    let delivered_at = Timestamp::now();
    let envelope = match Envelope::decode(&delivery.bytes) {
        Ok(envelope) => envelope,
        Err(error) => return Ok(Opened::Unfit(error.to_string())),
    };
    let reply: Reply = match envelope.verify(&parts.trusted) {
        Ok(reply) => reply,
        // The key may be trusted yet: [trust] can be corrected.
        Err(error @ EnvelopeError::Untrusted { .. }) => return Ok(Opened::Waits(error.to_string())),
        Err(error) => return Ok(Opened::Unfit(error.to_string())),
    };
    let place = Subject::Reply(reply.recipient.clone(), reply.id.clone()).to_string();
    if place != delivery.subject || reply.recipient != parts.recipient {
        return Ok(Opened::Unfit(format!(
            "a reply that says it belongs on {place} stands on {}",
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
            .await;
        let Some(stored) = found.map_err(|error| error.to_string())? else {
            let why = "a part that the reply names is not at the exchange, which may have been restored from an older copy";
            return Ok(Opened::Waits(format!("part {number}: {why}")));
        };
        let (trusted, seals) = (parts.trusted.clone(), parts.seals.clone());
        // Unpacking costs CPU.
        let opening = tokio::task::spawn_blocking(move || part::open(&stored.bytes, &trusted, &seals));
        match opening
            .await
            .map_err(|error| format!("opening a part ended early: {}", describe_end(&error)))?
        {
            Ok(part) if part.digest == *digest => opened.push(part),
            Ok(OpenedPart { .. }) => {
                return Ok(Opened::Unfit(format!(
                    "part {number} is not the one that the reply names"
                )));
            }
            Err(error) if error.waits_for_key().is_some() => return Ok(Opened::Waits(error.to_string())),
            Err(error) => return Ok(Opened::Unfit(format!("part {number}: {error}"))),
        }
    }
    Ok(Opened::Reply(Box::new(Answered {
        reply,
        digest: envelope.digest(),
        bytes: delivery.bytes.to_vec(),
        parts: opened,
        exchanged_at: delivery.stored_at,
        delivered_at,
    })))
}
