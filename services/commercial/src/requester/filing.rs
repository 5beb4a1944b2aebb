//! PURE: what was asked becomes a signed request.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use schemas::digest::Digest;
use schemas::envelope::{Envelope, EnvelopeError};
use schemas::name::RecipientName;
use schemas::origin::Origin;
use schemas::request::{Request, RequestId};
use schemas::sign::SigningKey;
use store::requests::Filing;
use store::requests::outbox::Wish;

/// Who asked, where the insurer's program did not say.
pub const UNNAMED: &str = "outbox";

/// The request that a wish makes now. Its id follows from the recipient, the key and the day in UTC; the store knows
/// a key that was used on another day.
///
/// # Errors
/// [`EnvelopeError`] when it cannot be signed.
pub fn filing(
    wish: Wish,
    recipient: &RecipientName,
    key: &SigningKey,
    here: &Origin,
    outbox: Option<u64>,
    now: Timestamp,
) -> Result<Filing, EnvelopeError> {
    let today = now.to_zoned(TimeZone::UTC).date();
    let request = Request {
        id: RequestId::of_key(today, recipient, &wish.idempotency),
        recipient: recipient.clone(),
        origin: Some(here.clone()),
        kind: wish.kind,
        arguments: wish.arguments,
        purpose: wish.purpose,
        basis: wish.basis,
        deadline: wish.deadline,
        idempotency: Some(wish.idempotency),
        filed_by: wish.filed_by.unwrap_or_else(|| UNNAMED.to_owned()),
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

/// A request's digest, and its bytes as they are published.
///
/// # Errors
/// [`EnvelopeError`] when it cannot be signed.
pub fn signed(request: &Request, key: &SigningKey) -> Result<(Digest, Vec<u8>), EnvelopeError> {
    let envelope = Envelope::seal(request, Vec::new(), key)?;
    Ok((envelope.digest(), envelope.encode()?))
}
