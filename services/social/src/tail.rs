//! Reads a lane's state back from the exchange: the receipt first, then the last chunk.

use exchange::{Exchange, Stored};
use schemas::envelope::Envelope;
use schemas::manifest::{Link, Manifest};
use schemas::name::Lane;
use schemas::receipt::Receipt;
use schemas::sign::PublicKey;

use crate::step::{Event, Signed, Tail};

/// Whose signatures count.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// Keys of publishers of this source: our own, and those of before and of other processes.
    pub chunks: Vec<PublicKey>,
    /// Keys that sign receipts on this lane.
    pub receipts: Vec<PublicKey>,
}

/// Reads and judges; never fails, for a failure is an event too.
pub async fn read(exchange: &dyn Exchange, lane: &Lane, trust: &Trust) -> Event {
    // This order, see `crate::step`.
    let receipt = match exchange.last_receipt(lane).await {
        Ok(receipt) => receipt,
        Err(error) => return Event::Failed(error.kind, error.to_string()),
    };
    let chunk = match exchange.last_chunk(lane).await {
        Ok(chunk) => chunk,
        Err(error) => return Event::Failed(error.kind, error.to_string()),
    };
    let receipt = receipt.and_then(|stored| signed(&stored, lane, trust));
    match chunk.map(|stored| tail(&stored, lane, trust)).transpose() {
        Ok(tail) => Event::TailRead { tail, receipt },
        Err(what) => Event::TailUnreadable(what),
    }
}

fn tail(stored: &Stored, lane: &Lane, trust: &Trust) -> Result<Tail, String> {
    let (manifest, link) = trusted_manifest(stored, lane, &trust.chunks)?;
    Ok(Tail {
        sequence: stored.sequence,
        link,
        instance: manifest.publisher.instance,
        definition: manifest.definition,
        cursor: manifest.cursor_after,
    })
}

/// The manifest of a stored chunk, if a trusted key signed it for this lane.
///
/// # Errors
/// What is wrong, in words.
pub fn trusted_manifest(
    stored: &Stored,
    lane: &Lane,
    keys: &[PublicKey],
) -> Result<(Manifest, Link), String> {
    let envelope = Envelope::decode(&stored.bytes).map_err(|e| e.to_string())?;
    let manifest: Manifest = envelope.verify(keys).map_err(|e| e.to_string())?;
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
fn signed(stored: &Stored, lane: &Lane, trust: &Trust) -> Option<Signed> {
    match trusted_receipt(stored, lane, &trust.receipts) {
        Ok(receipt) => Some(Signed {
            epoch: receipt.epoch,
            to: receipt.to,
            head: receipt.head,
        }),
        Err(error) => {
            tracing::warn!(%lane, error, "the lane's last receipt is not used");
            None
        }
    }
}

/// A stored receipt, if a trusted key signed it for this lane.
///
/// # Errors
/// What is wrong, in words.
pub fn trusted_receipt(stored: &Stored, lane: &Lane, keys: &[PublicKey]) -> Result<Receipt, String> {
    let receipt: Receipt = Envelope::decode(&stored.bytes)
        .and_then(|envelope| envelope.verify(keys))
        .map_err(|e| format!("the receipt cannot be trusted: {e}"))?;
    if receipt.lane() != *lane {
        return Err(format!(
            "a receipt of {} stands on the subject of {lane}",
            receipt.lane()
        ));
    }
    Ok(receipt)
}
