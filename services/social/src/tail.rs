//! Reads a lane's state from the exchange: the receipt first, then the last chunk.

use std::collections::BTreeMap;

use exchange::{FeedExchange, Stored};
use jiff::Timestamp;
use schemas::column::RowSchema;
use schemas::digest::Digest;
use schemas::encryption::{DecryptionKeys, position};
use schemas::envelope::{Envelope, EnvelopeError};
use schemas::heads::RecordRef;
use schemas::manifest::{Cause, Link, Manifest, OutstandingRows, Resync};
use schemas::name::Lane;
use schemas::origin::{Origin, OriginMismatch};
use schemas::receipt::Receipt;
use schemas::sign::PublicKey;
use schemas::source::SourceIdentity;

use crate::step::{Event, ReceiptFrontier, Tail};

/// The trusted keys and the required origin.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// Keys of publishers of this source: this agent's, earlier ones, and those of other processes.
    pub chunks: Vec<PublicKey>,
    /// Keys that sign receipts on this lane.
    pub receipts: Vec<PublicKey>,
    /// The origin that messages must have.
    pub here: Origin,
}

/// What the tail and the receipt hold besides the lane's state. It does not affect decisions.
#[derive(Debug, Clone, Default)]
pub struct TailContext {
    /// The columns of the last chunk.
    pub schema: Option<RowSchema>,
    /// The digest of the definition that it was read by.
    pub definition: Option<Digest>,
    /// The control record that was in force for the last chunk.
    pub control: Option<RecordRef>,
    /// The withheld rows that are outstanding, by the hold's id.
    pub outstanding: BTreeMap<String, OutstandingRows>,
    /// During a resynchronisation: the rows that no chunk of the epoch carries so far.
    pub resync: Option<u64>,
    /// The database that the last chunk was read from.
    pub source: Option<SourceIdentity>,
    /// Whether an operator accepted the source as it is, and nothing was read since.
    pub is_source_accepted: bool,
    /// Whether the receiver compares every row before the source's present fence, and no chunk states that position yet.
    pub begins_at_fence: bool,
    /// When the last chunk's rows were read.
    pub read_at: Option<Timestamp>,
    /// Why the receiver has stopped the lane.
    pub receiver_stopped: Option<String>,
    /// Whether the receiver's store is behind its own receipts.
    pub is_receiver_behind: bool,
    /// Whether a resynchronisation is not complete at the receiver.
    pub is_receiver_incomplete: bool,
    /// Why the last receipt is not used.
    pub receipt_error: Option<String>,
}

/// Reads the tail and the receipt. A failure is returned as an event.
///
/// An encrypted position is decrypted with one of `own`.
pub async fn read(
    exchange: &dyn FeedExchange,
    lane: &Lane,
    trust: &Trust,
    own: &DecryptionKeys,
) -> (Event, TailContext) {
    let mut context = TailContext::default();
    let (receipt, chunk) = match read_messages(exchange, lane).await {
        Ok(messages) => messages,
        Err(error) => return (Event::Failed(error.kind, error.to_string()), context),
    };
    let receipt = receipt.and_then(|stored| receipt_frontier(&stored, lane, trust, &mut context));
    let tail = chunk
        .map(|stored| parse_tail(&stored, lane, trust, own, &mut context))
        .transpose();
    let event = match tail {
        Ok(tail) => Event::TailRead { tail, receipt },
        Err(error) => Event::TailUnreadable(error.to_string()),
    };
    (event, context)
}

async fn read_messages(
    exchange: &dyn FeedExchange,
    lane: &Lane,
) -> exchange::Result<(Option<Stored>, Option<Stored>)> {
    // This order, see `crate::step`.
    let receipt = exchange.last_receipt(lane).await?;
    Ok((receipt, exchange.last_chunk(lane).await?))
}

fn parse_tail(
    stored: &Stored,
    lane: &Lane,
    trust: &Trust,
    own: &DecryptionKeys,
    context: &mut TailContext,
) -> Result<Tail, UntrustedMessage> {
    let (manifest, link) = trusted_manifest(stored, lane, trust)?;
    context.control = manifest.heads.control;
    context.outstanding = manifest.content.totals.outstanding;
    context.resync = pending_resync(manifest.resync);
    context.source = manifest.source.map(|mark| open_counters(mark, lane, own));
    context.read_at = Some(manifest.content.read_to);
    let cause = manifest.opening.map(|opening| opening.cause);
    context.is_source_accepted = cause.is_some_and(Cause::accepts_source);
    context.begins_at_fence = cause == Some(Cause::Comparison);
    context.definition = Some(manifest.content.definition);
    context.schema = Some(manifest.content.schema);
    let cursor = manifest.cursor_after.map(|cursor| {
        position::decrypt(&cursor, lane, own).map_err(|error| UntrustedMessage::Position(error.to_string()))
    });
    Ok(Tail {
        sequence: stored.sequence,
        link,
        instance: manifest.content.instance,
        definition: manifest.content.definition,
        cursor: cursor.transpose()?,
    })
}

/// PURE: returns the rows not carried so far by a resynchronisation that is under way; `None` if none is.
#[must_use]
pub fn pending_resync(resync: Option<Resync>) -> Option<u64> {
    resync
        .filter(|resync| !resync.is_complete)
        .map(|resync| resync.excluded_rows)
}

/// Decrypts the counters of a source mark. Counters that cannot be decrypted are not compared.
fn open_counters(mark: SourceIdentity, lane: &Lane, own: &DecryptionKeys) -> SourceIdentity {
    let written = mark.written.as_ref();
    SourceIdentity {
        written: written.and_then(|counters| position::decrypt(counters, lane, own).ok()),
        ..mark
    }
}

/// Why a message of a lane is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UntrustedMessage {
    /// A chunk cannot be read, or no trusted key signed it.
    #[error(transparent)]
    Chunk(#[from] EnvelopeError),
    /// A chunk is of another site, bureau or source.
    #[error(transparent)]
    ChunkOrigin(#[from] OriginMismatch),
    /// A chunk is of another lane.
    #[error("a chunk of {found} is on the subject of {expected}")]
    ChunkOfAnotherLane {
        /// Its lane.
        found: Lane,
        /// The lane of the subject.
        expected: Lane,
    },
    /// The position of a chunk cannot be decrypted, for this reason.
    #[error("the position of the lane's last chunk cannot be read: {0}")]
    Position(String),
    /// A receipt cannot be read, or no trusted key signed it.
    #[error("the receipt is not trusted: {0}")]
    Receipt(EnvelopeError),
    /// A receipt is of another site, bureau or source.
    #[error("the receipt is not trusted: {0}")]
    ReceiptOrigin(OriginMismatch),
    /// A receipt is of another lane.
    #[error("a receipt of {found} is on the subject of {expected}")]
    ReceiptOfAnotherLane {
        /// Its lane.
        found: Lane,
        /// The lane of the subject.
        expected: Lane,
    },
}

/// Returns the manifest of a stored chunk, if a trusted key signed it for this lane.
///
/// # Errors
/// [`UntrustedMessage`].
pub fn trusted_manifest(
    stored: &Stored,
    lane: &Lane,
    trust: &Trust,
) -> Result<(Manifest, Link), UntrustedMessage> {
    let envelope = Envelope::decode(&stored.bytes)?;
    let manifest: Manifest = envelope.verify(&trust.chunks)?;
    trust.here.admit(manifest.origin.as_ref())?;
    if manifest.lane() != *lane {
        return Err(UntrustedMessage::ChunkOfAnotherLane {
            found: manifest.lane(),
            expected: lane.clone(),
        });
    }
    let link = Link {
        epoch: manifest.epoch,
        number: manifest.number,
        digest: envelope.digest(),
    };
    Ok((manifest, link))
}

/// Returns the frontier of a receipt. An untrusted receipt is ignored: it must not stop a feed, and the receiver's ledger
/// detects a fork without it.
fn receipt_frontier(
    stored: &Stored,
    lane: &Lane,
    trust: &Trust,
    context: &mut TailContext,
) -> Option<ReceiptFrontier> {
    match trusted_receipt(stored, lane, trust) {
        Ok(receipt) => {
            context.is_receiver_behind = receipt.behind.is_some();
            context.is_receiver_incomplete = receipt.is_incomplete;
            context.receiver_stopped = receipt.stopped;
            Some(ReceiptFrontier {
                epoch: receipt.epoch,
                to: receipt.to,
                head: receipt.head,
            })
        }
        Err(error) => {
            context.receipt_error = Some(error.to_string());
            None
        }
    }
}

/// Returns a stored receipt, if a trusted key signed it for this lane.
///
/// # Errors
/// [`UntrustedMessage`].
pub fn trusted_receipt(stored: &Stored, lane: &Lane, trust: &Trust) -> Result<Receipt, UntrustedMessage> {
    let receipt: Receipt = Envelope::decode(&stored.bytes)
        .and_then(|envelope| envelope.verify(&trust.receipts))
        .map_err(UntrustedMessage::Receipt)?;
    trust
        .here
        .admit(receipt.origin.as_ref())
        .map_err(UntrustedMessage::ReceiptOrigin)?;
    if receipt.lane() != *lane {
        return Err(UntrustedMessage::ReceiptOfAnotherLane {
            found: receipt.lane(),
            expected: lane.clone(),
        });
    }
    Ok(receipt)
}
