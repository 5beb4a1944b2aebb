//! What can go wrong for a program that asks.

use schemas::chunk::ChunkError;
use schemas::envelope::EnvelopeError;
use schemas::name::BadName;
use schemas::request::RequestId;
use schemas::rows::RowError;
use schemas::seal::SealKeyError;
use schemas::sign::KeyError;
use schemas::visible::Invisible;

/// An error, with what to do in its text. None holds an argument or a row's value.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The exchange.
    #[error(transparent)]
    Exchange(#[from] exchange::Error),
    /// A key that is no key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A sealing seed that is none.
    #[error(transparent)]
    SealKey(#[from] SealKeyError),
    /// A name that is no name.
    #[error(transparent)]
    Name(#[from] BadName),
    /// A message that does not hold, or is signed by a key that is not trusted here.
    #[error(transparent)]
    Message(#[from] EnvelopeError),
    /// A part of an answer that does not hold, or is sealed to a key that is not here.
    #[error(transparent)]
    Part(#[from] ChunkError),
    /// A row of an answer that does not read.
    #[error(transparent)]
    Row(#[from] RowError),
    /// A text of the request holds a character that cannot be seen.
    #[error(transparent)]
    Text(#[from] Invisible),
    /// The idempotency key is empty or too long.
    #[error("the idempotency key has {0} bytes: give one of 1 to 200")]
    Idempotency(usize),
    /// Something else was asked under the same key.
    #[error("another request was filed as {0} under this idempotency key: give this one a key of its own")]
    KeyTaken(RequestId),
    /// There is no such request.
    #[error("there is no request {0} at the exchange: file it first")]
    Unknown(RequestId),
    /// The question was asked as often as one key allows.
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
    /// A text that is no id and no beginning of one.
    #[error(
        "this is no id of a request: it is a day, '-', and letters and digits, such as 20260131-x7k2m9q4"
    )]
    BadId,
    /// No outcome in the time that was given.
    #[error("request {0} has no outcome yet: wait longer, or look at its status")]
    NotYet(RequestId),
    /// The reply does not belong to the request, or its parts are not all there.
    #[error("the reply to {id} does not hold: {what}; compare the streams with `slacktide audit verify`")]
    Contradiction {
        /// The request.
        id: RequestId,
        /// In which way.
        what: String,
    },
}
