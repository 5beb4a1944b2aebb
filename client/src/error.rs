//! Errors of a requesting program.

use schemas::chunk::ChunkError;
use schemas::encryption::EncryptionKeyError;
use schemas::envelope::EnvelopeError;
use schemas::name::BadName;
use schemas::request::RequestId;
use schemas::rows::RowError;
use schemas::sign::KeyError;
use schemas::visible::InvisibleCharacter;

/// An error whose text contains the remedy, but no argument and no value of a row.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The exchange.
    #[error(transparent)]
    Exchange(#[from] exchange::Error),
    /// An invalid signing key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// An invalid encryption seed.
    #[error(transparent)]
    EncryptionKey(#[from] EncryptionKeyError),
    /// An invalid name.
    #[error(transparent)]
    Name(#[from] BadName),
    /// An invalid message, or one that is signed by an untrusted key.
    #[error(transparent)]
    Message(#[from] EnvelopeError),
    /// An invalid part of an answer, or one that is encrypted to another key.
    #[error(transparent)]
    Part(#[from] ChunkError),
    /// An unreadable row of an answer.
    #[error(transparent)]
    Row(#[from] RowError),
    /// A text of the request contains an invisible character.
    #[error(transparent)]
    Text(#[from] InvisibleCharacter),
    /// The idempotency key is empty or too long.
    #[error("the idempotency key has {0} bytes: give one of 1 to 200")]
    Idempotency(usize),
    /// Another request was filed under the same key.
    #[error("another request was filed as {0} under this idempotency key: give this one a key of its own")]
    KeyTaken(RequestId),
    /// There is no such request.
    #[error("there is no request {0} at the exchange: file it first")]
    Unknown(RequestId),
    /// The request has reached the maximum number of attempts per key.
    #[error("this was asked {0} times within two days: give the next one an idempotency key of its own")]
    TooOften(u32),
    /// Several requests begin with a shortened id.
    #[error("several requests begin with {prefix}: {}; give more characters", .ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Ambiguous {
        /// As it was given.
        prefix: String,
        /// Some of them.
        ids: Vec<RequestId>,
    },
    /// No request begins with a shortened id.
    #[error("no request at the exchange begins with {0}: look with `slacktide request list`")]
    NoSuch(String),
    /// A text that is neither an id nor the prefix of one.
    #[error("not a request id: an id is a day, '-', and letters and digits, such as 20260131-x7k2m9q4")]
    BadId,
    /// No outcome in the time that was given.
    #[error("request {0} has no outcome yet: wait longer, or look at its status")]
    NotYet(RequestId),
    /// The reply does not belong to the request, or parts are missing.
    #[error("the reply to {id} is invalid: {what}; compare the streams with `slacktide audit verify`")]
    Contradiction {
        /// The request.
        id: RequestId,
        /// In which way.
        what: String,
    },
}
