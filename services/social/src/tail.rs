//! Reads a lane's state back from the exchange: the receipt first, then the last chunk.

use std::collections::BTreeMap;

use exchange::{Exchange, Stored};
use jiff::Timestamp;
use schemas::column::RowSchema;
use schemas::digest::Digest;
use schemas::envelope::Envelope;
use schemas::heads::Mark;
use schemas::manifest::{HeldBack, Link, Manifest, Resync};
use schemas::name::Lane;
use schemas::origin::Origin;
use schemas::receipt::Receipt;
use schemas::seal::{SealRing, position};
use schemas::sign::PublicKey;
use schemas::source::SourceMark;

use crate::step::{Event, Signed, Tail};

/// Whose signatures count.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// Keys of publishers of this source: our own, and those of before and of other processes.
    pub chunks: Vec<PublicKey>,
    /// Keys that sign receipts on this lane.
    pub receipts: Vec<PublicKey>,
    /// Where their messages have to belong.
    pub here: Origin,
}

/// What else stands beside the lane's state; it decides nothing.
#[derive(Debug, Clone, Default)]
pub struct Beside {
    /// The columns of the last chunk.
    pub schema: Option<RowSchema>,
    /// The digest of the definition that it was read by.
    pub definition: Option<Digest>,
    /// The control record that was in force for the last chunk.
    pub control: Option<Mark>,
    /// Where holds began to keep rows back, by the hold's id.
    pub held_back: BTreeMap<String, HeldBack>,
    /// While the feed is sent again from its start: rows that no chunk of the epoch carries so far.
    pub resync: Option<u64>,
    /// The database that the last chunk was read from.
    pub source: Option<SourceMark>,
    /// An operator accepted the source as it is, and nothing was read since.
    pub is_source_accepted: bool,
    /// When its rows were read.
    pub read_at: Option<Timestamp>,
    /// Why the receiver has stopped the lane.
    pub receiver_stopped: Option<String>,
    /// Whether the receiver's store is behind its own receipts.
    pub is_receiver_behind: bool,
    /// Why the last receipt is not used.
    pub receipt_trouble: Option<String>,
}

/// Reads and judges; never fails, for a failure is an event too.
///
/// A sealed position is opened with one of `own`.
pub async fn read(exchange: &dyn Exchange, lane: &Lane, trust: &Trust, own: &SealRing) -> (Event, Beside) {
    let mut beside = Beside::default();
    let (receipt, chunk) = match both(exchange, lane).await {
        Ok(both) => both,
        Err(error) => return (Event::Failed(error.kind, error.to_string()), beside),
    };
    let receipt = receipt.and_then(|stored| signed(&stored, lane, trust, &mut beside));
    let tail = chunk
        .map(|stored| tail(&stored, lane, trust, own, &mut beside))
        .transpose();
    let event = match tail {
        Ok(tail) => Event::TailRead { tail, receipt },
        Err(what) => Event::TailUnreadable(what),
    };
    (event, beside)
}

async fn both(exchange: &dyn Exchange, lane: &Lane) -> exchange::Result<(Option<Stored>, Option<Stored>)> {
    // This order, see `crate::step`.
    let receipt = exchange.last_receipt(lane).await?;
    Ok((receipt, exchange.last_chunk(lane).await?))
}

fn tail(
    stored: &Stored,
    lane: &Lane,
    trust: &Trust,
    own: &SealRing,
    beside: &mut Beside,
) -> Result<Tail, String> {
    let (manifest, link) = trusted_manifest(stored, lane, trust)?;
    beside.control = manifest.heads.control;
    beside.held_back = manifest.totals.held_back;
    beside.resync = under_way(manifest.resync);
    beside.source = manifest.source.map(|mark| opened(mark, lane, own));
    beside.read_at = Some(manifest.read_to);
    beside.is_source_accepted = manifest
        .opening
        .is_some_and(|opening| opening.cause.accepts_source());
    beside.definition = Some(manifest.definition);
    beside.schema = Some(manifest.schema);
    let cursor = manifest.cursor_after.map(|cursor| {
        position::open(&cursor, lane, own)
            .map_err(|error| format!("the position of the lane's last chunk cannot be read: {error}"))
    });
    Ok(Tail {
        sequence: stored.sequence,
        link,
        instance: manifest.publisher.instance,
        definition: manifest.definition,
        cursor: cursor.transpose()?,
    })
}

/// PURE: what has to be carried on of a resynchronisation; `None` where there is none, or it is complete.
#[must_use]
pub fn under_way(resync: Option<Resync>) -> Option<u64> {
    resync
        .filter(|resync| !resync.is_complete)
        .map(|resync| resync.kept_back)
}

/// With its counters opened. Where they cannot be, they are not compared.
fn opened(mark: SourceMark, lane: &Lane, own: &SealRing) -> SourceMark {
    let written = mark.written.as_ref();
    SourceMark {
        written: written.and_then(|counters| position::open(counters, lane, own).ok()),
        ..mark
    }
}

/// The manifest of a stored chunk, if a trusted key signed it for this lane.
///
/// # Errors
/// What is wrong, in words.
pub fn trusted_manifest(stored: &Stored, lane: &Lane, trust: &Trust) -> Result<(Manifest, Link), String> {
    let envelope = Envelope::decode(&stored.bytes).map_err(|e| e.to_string())?;
    let manifest: Manifest = envelope.verify(&trust.chunks).map_err(|e| e.to_string())?;
    trust
        .here
        .admit(manifest.origin.as_ref())
        .map_err(|e| e.to_string())?;
    if manifest.lane() != *lane {
        return Err(format!(
            "a chunk of {} stands on the subject of {lane}",
            manifest.lane()
        ));
    }
    let link = Link {
        epoch: manifest.epoch,
        number: manifest.number,
        digest: envelope.digest(),
    };
    Ok((manifest, link))
}

/// A receipt that cannot be trusted is none: it must not be able to stop a feed, and the
/// receiver's own ledger finds a fork without it.
fn signed(stored: &Stored, lane: &Lane, trust: &Trust, beside: &mut Beside) -> Option<Signed> {
    match trusted_receipt(stored, lane, trust) {
        Ok(receipt) => {
            beside.is_receiver_behind = receipt.behind.is_some();
            beside.receiver_stopped = receipt.stopped;
            Some(Signed {
                epoch: receipt.epoch,
                to: receipt.to,
                head: receipt.head,
            })
        }
        Err(error) => {
            beside.receipt_trouble = Some(error);
            None
        }
    }
}

/// A stored receipt, if a trusted key signed it for this lane.
///
/// # Errors
/// What is wrong, in words.
pub fn trusted_receipt(stored: &Stored, lane: &Lane, trust: &Trust) -> Result<Receipt, String> {
    let receipt: Receipt = Envelope::decode(&stored.bytes)
        .and_then(|envelope| envelope.verify(&trust.receipts))
        .map_err(|e| format!("the receipt cannot be trusted: {e}"))?;
    trust
        .here
        .admit(receipt.origin.as_ref())
        .map_err(|e| format!("the receipt cannot be trusted: {e}"))?;
    if receipt.lane() != *lane {
        return Err(format!(
            "a receipt of {} stands on the subject of {lane}",
            receipt.lane()
        ));
    }
    Ok(receipt)
}
