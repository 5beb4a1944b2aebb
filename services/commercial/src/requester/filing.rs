//! PURE: builds a signed request from an outbox row.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use schemas::digest::Digest;
use schemas::envelope::{Envelope, EnvelopeError};
use schemas::name::RecipientName;
use schemas::origin::Origin;
use schemas::request::{Request, RequestId};
use schemas::sign::SigningKey;
use store::requests::Filing;
use store::requests::outbox::RequestDraft;

/// The filer's name if the insurer's program gives none.
pub const UNNAMED: &str = "outbox";

/// Builds the request of a draft. Its id derives from the recipient, the idempotency key and the current UTC day; the
/// store detects a key that was used on another day.
///
/// # Errors
/// [`EnvelopeError`] if it cannot be signed.
pub fn filing(
    draft: RequestDraft,
    recipient: &RecipientName,
    key: &SigningKey,
    here: &Origin,
    outbox: Option<u64>,
    now: Timestamp,
) -> Result<Filing, EnvelopeError> {
    let today = now.to_zoned(TimeZone::UTC).date();
    let request = Request {
        id: RequestId::from_idempotency_key(today, recipient, &draft.idempotency),
        recipient: recipient.clone(),
        origin: Some(here.clone()),
        kind: draft.kind,
        arguments: draft.arguments,
        purpose: draft.purpose,
        basis: draft.basis,
        deadline: draft.deadline,
        idempotency: Some(draft.idempotency),
        filed_by: draft.filed_by.unwrap_or_else(|| UNNAMED.to_owned()),
        filed_at: now,
        key: key.public().clone(),
    };
    let (digest, bytes) = signed(&request, key)?;
    Ok(Filing {
        request,
        digest,
        bytes,
        exchanged_at: None,
        outbox,
    })
}

/// Signs a request. Returns its digest and the bytes to publish.
///
/// # Errors
/// [`EnvelopeError`] if it cannot be signed.
pub fn signed(request: &Request, key: &SigningKey) -> Result<(Digest, Vec<u8>), EnvelopeError> {
    let envelope = Envelope::sign(request, Vec::new(), key)?;
    Ok((envelope.digest(), envelope.encode()?))
}
