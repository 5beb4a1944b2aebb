//! PURE: a signed message that a reader sends.
//!
//! The gateway checks that it is whole: its form, and the signature by the key that it names. Whether that key is trusted is
//! decided by the party that it is for.

use bytes::Bytes;
use schemas::digest::Digest;
use schemas::envelope::{Envelope, EnvelopeError, Payload};
use web::interface::problem::ProblemKind;

use crate::rejection::Rejection;

/// Reads a message. Returns the payload and the message's digest.
pub(super) fn read<P: Payload>(bytes: &Bytes) -> Result<(P, Digest), Rejection> {
    let read = || -> Result<(P, Digest), EnvelopeError> {
        let envelope = Envelope::decode(bytes)?;
        let key = envelope.read::<P>()?.signer().clone();
        Ok((envelope.verify(&[key])?, envelope.digest()))
    };
    read().map_err(|error| {
        // The decoder's text may contain a value of the payload.
        let what = match error {
            EnvelopeError::Frame(_) => format!("the body is not a signed message of kind {}", P::KIND),
            EnvelopeError::Payload { .. } | EnvelopeError::DuplicateKey { .. } => {
                format!("the payload does not follow the schema of {}", P::KIND)
            }
            other => other.to_string(),
        };
        Rejection::new(ProblemKind::InvalidMessage, what)
    })
}
