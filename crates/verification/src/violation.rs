//! The rules that a message of the streams can break. Each is a finding: the auditor reports it with its position.

use jiff::Timestamp;
use schemas::chunk::ChunkError;
use schemas::digest::Digest;
use schemas::envelope::EnvelopeError;
use schemas::heads::RecordRef;
use schemas::name::{Lane, PartyName};
use schemas::origin::OriginMismatch;
use schemas::sign::PublicKey;

use crate::fault::FaultClass;
use crate::load::LoadViolation;

/// The rule that a message breaks.
#[derive(Debug, thiserror::Error)]
pub enum Violation {
    /// A chunk is not readable, or its signature, body or totals are not valid.
    #[error(transparent)]
    Chunk(#[from] ChunkError),
    /// A signed message is not readable, or its signature is not valid.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// A message belongs to another site.
    #[error(transparent)]
    Origin(#[from] OriginMismatch),
    /// The subject is not that of a lane.
    #[error("a message on a subject that is not a lane's")]
    NoLane,
    /// A message of one lane is on the subject of another.
    #[error("a {what} of lane {of} is on the subject of lane {subject}")]
    WrongLane {
        /// A chunk or a receipt.
        what: &'static str,
        /// The lane of the message.
        of: Lane,
        /// The lane of the subject.
        subject: Lane,
    },
    /// An epoch does not follow the last one.
    #[error("epoch {epoch} follows epoch {last}")]
    EpochGap {
        /// The epoch.
        epoch: u32,
        /// The last one.
        last: u32,
    },
    /// The first chunk of a lane continues another one.
    #[error("the first chunk names a chunk before it")]
    FirstHasPrevious,
    /// A later epoch has no opening.
    #[error("epoch {0} begins without an opening")]
    NoOpening(u32),
    /// A later epoch does not begin with its first chunk.
    #[error("epoch {epoch} begins at number {number}")]
    EpochBegin {
        /// The epoch.
        epoch: u32,
        /// The number of its first chunk.
        number: u64,
    },
    /// The opening and the chain name different chunks.
    #[error("the opening names another chunk before it than the chain does")]
    OpeningMismatch,
    /// An epoch is opened after its begin.
    #[error("an opening is in the middle of an epoch")]
    LateOpening,
    /// The reading times are reversed.
    #[error("its reading ended before it began")]
    ReadTimes,
    /// A chunk's number does not follow the last one.
    #[error("number {number} by {by} follows number {last} by {last_by}")]
    NumberGap {
        /// The number.
        number: u64,
        /// Its publisher.
        by: String,
        /// The last number.
        last: u64,
        /// The publisher of the last one.
        last_by: String,
    },
    /// A chunk does not name the one before it.
    #[error("it does not name the digest of number {0}")]
    WrongPrevious(u64),
    /// A chunk's rows do not begin where the last ones end.
    #[error("its rows do not begin where those of number {0} end")]
    CursorGap(u64),
    /// A receipt covers less than an earlier one.
    #[error(
        "it covers up to {}/{}, an earlier one covers up to {}/{}",
        .covers.0, .covers.1, .earlier.0, .earlier.1
    )]
    ReceiptBackwards {
        /// Epoch and number of the last covered chunk.
        covers: (u32, u64),
        /// The same of the earlier receipt.
        earlier: (u32, u64),
    },
    /// A receipt covers chunks and names no digest, or the reverse.
    #[error("it covers chunks without naming the last one's digest, or the reverse")]
    ReceiptHead,
    /// The stream does not hold the chunk that the receiver signed for.
    #[error(
        "the receiver signed for chunk {epoch}/{number} with digest {head}, which is not in the stream: exchange restored or \
         rewritten"
    )]
    ReceiptOfMissing {
        /// The epoch.
        epoch: u32,
        /// The number.
        number: u64,
        /// The digest.
        head: Digest,
    },
    /// A chunk names no control record although one was in force.
    #[error("it names no control record, and {place} named {newest}")]
    NoControlRecord {
        /// The lane or chunk that named one.
        place: String,
        /// The record that it named.
        newest: RecordRef,
    },
    /// A chunk names an older control record than an earlier chunk.
    #[error(
        "it was published under control record {mark}, and {place} named record {newest} before: holds and pauses were lost, or \
         the orders were rewritten"
    )]
    OlderControlRecord {
        /// The record that it names.
        mark: RecordRef,
        /// The lane or chunk that named a newer one.
        place: String,
        /// The newer record.
        newest: RecordRef,
    },
    /// An audit entry is on the subject of another writer.
    #[error("an entry of {0} is on this subject")]
    WrongWriter(String),
    /// An audit entry skips another message than the one before it.
    #[error(
        "entry {number} continues after message {sequence} with digest {digest}, which is not the message before it"
    )]
    WrongSkip {
        /// The entry.
        number: u64,
        /// The sequence of the message that it names.
        sequence: u64,
        /// Its digest.
        digest: Digest,
    },
    /// An audit entry does not follow the last one.
    #[error("entry {number} does not follow entry {last}")]
    EntryGap {
        /// The entry.
        number: u64,
        /// The last valid entry.
        last: u64,
    },
    /// A chunk names an entry that the audit chain does not hold.
    #[error(
        "{by} names entry {mark} of this chain, which does not hold it ({ends}): it was truncated, restored from an older copy or \
         rewritten"
    )]
    EntryOfMissing {
        /// The chunk.
        by: String,
        /// The entry.
        mark: RecordRef,
        /// Where the chain ends.
        ends: String,
    },
    /// A key signed for another party than its holder.
    #[error("signed by {key}, which is a key of {holder}")]
    KeyOfOther {
        /// The key.
        key: PublicKey,
        /// Its holder.
        holder: PartyName,
    },
    /// A key was not valid yet.
    #[error("signed by {key}, which is valid only from {from} on")]
    KeyTooEarly {
        /// The key.
        key: PublicKey,
        /// When its validity begins.
        from: Timestamp,
    },
    /// A key was not valid any more.
    #[error("signed by {key}, which was {how} at {at}")]
    KeyEnded {
        /// The key.
        key: PublicKey,
        /// `replaced` or `revoked`.
        how: &'static str,
        /// Since when.
        at: Timestamp,
    },
    /// A message without a signed body has one.
    #[error("it has a body that its signature does not cover")]
    UnsignedBody,
    /// A message names algorithms that this version does not support.
    #[error(
        "it names the algorithms {digest:?} and {signature:?}; this version supports sha-256 and ed25519"
    )]
    Algorithms {
        /// The digest.
        digest: String,
        /// The signature.
        signature: String,
    },
    /// A message is on a subject that does not belong to its stream, or is not its own.
    #[error("it belongs on the subject {0}")]
    WrongSubject(String),
    /// A message is on a subject that is none of its stream.
    #[error("the subject does not belong to this stream")]
    ForeignSubject,
    /// Messages are missing in a stream.
    #[error("sequences {from} to {to} are missing: they were removed")]
    MissingSequences {
        /// The first missing one.
        from: u64,
        /// The last missing one.
        to: u64,
    },
    /// A sequence does not follow the last one.
    #[error("it follows sequence {0}: messages were reordered or repeated")]
    SequenceBackwards(u64),
    /// A chunk is not the first of its lane, and the stream holds its first message.
    #[error("the lane begins with number {0}, and the stream holds its first message: chunks were removed")]
    FirstMissing(u64),
    /// A chunk that a receipt covers has another digest.
    #[error(
        "the receiver signed for chunk {epoch}/{number} with digest {head}, and the stream has {found}: the history was rewritten \
         {}", .agreed.map_or_else(|| "from the begin on".to_owned(), |(epoch, number)| format!("after chunk {epoch}/{number}, for which the receiver signed as it is"))
    )]
    Rewritten {
        /// The epoch.
        epoch: u32,
        /// The number.
        number: u64,
        /// The digest that the receiver signed.
        head: Digest,
        /// The digest in the stream.
        found: Digest,
        /// The last chunk for which stream and receiver agree.
        agreed: Option<(u32, u64)>,
    },
    /// A record of orders does not follow the last one.
    #[error("record {number} does not follow record {last}")]
    OrderGap {
        /// The record.
        number: u64,
        /// The last one.
        last: u64,
    },
    /// A record does not hold the orders that follow from the last one and its newest order.
    #[error("record {0} does not hold the orders that follow from the record before it")]
    OrdersInForce(u64),
    /// A chunk names a record of orders that the stream does not hold.
    #[error(
        "{by} names record {mark} of these orders, which are without it: they were truncated, restored from an older copy or \
         rewritten"
    )]
    RecordOfMissing {
        /// The chunk.
        by: String,
        /// The record.
        mark: RecordRef,
    },
    /// A subject that takes one message has another one.
    #[error("it is not the first {0} on this subject, which takes one")]
    Repeated(&'static str),
    /// The id of a request does not follow from its idempotency key.
    #[error("its id does not follow from its idempotency key")]
    IdempotencyKey,
    /// A message names another request than the stream has.
    #[error("it names another request than the one in the stream")]
    OtherRequest,
    /// A message names a request that the stream does not have.
    #[error("the request that it names is not in the stream")]
    NoRequest,
    /// A confirmation names a reply that the stream does not have.
    #[error("the reply that it confirms is not in the stream")]
    NoReply,
    /// A confirmation names another reply than the stream has.
    #[error("it confirms another reply than the one in the stream")]
    OtherReply,
    /// A reply names a part that the stream does not have.
    #[error("part {attempt}.{number} of the answer is not in the stream")]
    NoPart {
        /// The attempt.
        attempt: u32,
        /// The number.
        number: u32,
    },
    /// A reply names another part than the stream has.
    #[error("part {attempt}.{number} in the stream is not the part that the reply names")]
    OtherPart {
        /// The attempt.
        attempt: u32,
        /// The number.
        number: u32,
    },
    /// A reply counts other rows than its parts have.
    #[error("it counts {reply} rows, its parts have {parts}")]
    ReplyRows {
        /// Of the parts.
        parts: u64,
        /// Of the reply.
        reply: u64,
    },
    /// A confirmation counts other rows than the reply.
    #[error("it confirms {confirmed} rows, the reply has {replied}")]
    ConfirmedRows {
        /// Of the confirmation.
        confirmed: u64,
        /// Of the reply.
        replied: u64,
    },
    /// Load evidence contradicts the gate's policy.
    #[error("{0}")]
    Load(LoadViolation),
}

impl Violation {
    /// Returns the class of faults that it belongs to.
    #[must_use]
    pub fn class(&self) -> FaultClass {
        match self {
            Self::Chunk(_)
            | Self::Envelope(_)
            | Self::Origin(_)
            | Self::NoLane
            | Self::KeyOfOther { .. }
            | Self::KeyTooEarly { .. }
            | Self::KeyEnded { .. }
            | Self::UnsignedBody
            | Self::Algorithms { .. }
            | Self::WrongSubject(_)
            | Self::ForeignSubject
            | Self::WrongLane { .. }
            | Self::WrongWriter(_)
            | Self::ReadTimes => FaultClass::Message,
            Self::ReceiptBackwards { .. }
            | Self::ReceiptHead
            | Self::ReceiptOfMissing { .. }
            | Self::Rewritten { .. }
            | Self::NoReply
            | Self::OtherReply
            | Self::ConfirmedRows { .. } => FaultClass::Receipt,
            Self::Repeated(_)
            | Self::IdempotencyKey
            | Self::OtherRequest
            | Self::NoRequest
            | Self::NoPart { .. }
            | Self::OtherPart { .. }
            | Self::ReplyRows { .. } => FaultClass::Request,
            Self::Load(_) => FaultClass::Load,
            _ => FaultClass::Chain,
        }
    }
}
