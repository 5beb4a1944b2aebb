//! The rules that a message of the streams can break. Each is a finding: the auditor reports it with its position.

use schemas::chunk::ChunkError;
use schemas::digest::Digest;
use schemas::envelope::EnvelopeError;
use schemas::heads::RecordRef;
use schemas::name::Lane;
use schemas::origin::OriginMismatch;

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
}
