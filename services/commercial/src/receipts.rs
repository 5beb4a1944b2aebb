//! Publishes receipts. They derive from the store's ledger alone, so a crash after settling loses none. They are
//! published by compare-and-set and only move forward, so any number of pollers may publish them.

use std::collections::BTreeMap;

use bytes::Bytes;
use exchange::{FeedExchange, Published, Stored, TraceParent};
use jiff::Timestamp;
use schemas::envelope::Envelope;
use schemas::name::Lane;
use schemas::origin::Origin;
use schemas::receipt::{Behind, Receipt, StoreId};
use schemas::sign::SigningKey;
use store::{Identity, LaneReport};

use crate::error::StepError;
use crate::evidence::receipt_behind;
use crate::step::{LastReceipt, ReceiptStep, receipt_step};
use crate::trace;

/// The last known receipt of each lane.
#[derive(Debug, Default)]
pub struct Receipts {
    known: BTreeMap<Lane, LastReceipt>,
    rounds: u64,
    /// The trace that stored the newest chunk since the last receipt.
    traces: BTreeMap<Lane, TraceParent>,
}

/// The number of rounds after which the last receipts are read from the exchange again. The exchange may have been
/// restored from an older copy.
const TRUST_MEMORY: u64 = 10;

impl Receipts {
    /// Makes the lane's next receipt a part of this trace.
    pub(crate) fn follow(&mut self, lane: &Lane, trace: Option<TraceParent>) {
        if let Some(trace) = trace {
            self.traces.insert(lane.clone(), trace);
        }
    }

    /// Publishes the due receipts. An error of one lane is returned and does not stop the others.
    pub async fn publish(
        &mut self,
        exchange: &dyn FeedExchange,
        key: &SigningKey,
        (here, identity): (&Origin, &Identity),
        reports: &[LaneReport],
    ) -> Vec<(Lane, Result<u64, StepError>)> {
        if self.rounds.is_multiple_of(TRUST_MEMORY) {
            self.known.clear();
        }
        self.rounds += 1;
        let mut results = Vec::new();
        for report in reports {
            let result = self.one(exchange, key, (here, identity), report).await;
            if result.is_err() {
                self.known.remove(&report.lane);
            }
            results.push((report.lane.clone(), result));
        }
        results
    }

    async fn one(
        &mut self,
        exchange: &dyn FeedExchange,
        key: &SigningKey,
        (here, identity): (&Origin, &Identity),
        report: &LaneReport,
    ) -> Result<u64, StepError> {
        loop {
            let last = match self.known.get(&report.lane) {
                Some(last) => last.clone(),
                None => read(exchange.last_receipt(&report.lane).await?.as_ref()),
            };
            match receipt_step(report, &last, identity) {
                ReceiptStep::Write => {}
                ReceiptStep::None => {
                    let to = last.to;
                    self.known.insert(report.lane.clone(), last);
                    return Ok(to);
                }
                ReceiptStep::Foreign(other) => {
                    return Err(StepError::OtherStore {
                        lane: report.lane.clone(),
                        own: identity.id.clone(),
                        other,
                    });
                }
            }
            let receipt = receipt(report, (here, &identity.id), key);
            let bytes = Envelope::sign(&receipt, Vec::new(), key).and_then(|envelope| envelope.encode())?;
            let publishing = exchange.publish_receipt(&report.lane, Bytes::from(bytes), last.sequence);
            let published = trace::receipt(report, self.traces.remove(&report.lane), publishing).await;
            match published? {
                Published::Done { sequence } => {
                    self.known
                        .insert(report.lane.clone(), LastReceipt::of(&receipt, sequence));
                    return Ok(report.to);
                }
                // Another poller was faster, perhaps with a newer receipt. Its receipt is read and decides.
                Published::Conflict => {
                    self.known.remove(&report.lane);
                }
            }
        }
    }
}

/// Returns a lane's last receipt if its signature is valid. Only this party can publish there, so a key from before a
/// rotation is accepted too.
///
/// # Errors
/// The exchange's error.
pub async fn last(
    exchange: &dyn FeedExchange,
    lane: &Lane,
) -> Result<Option<(Receipt, u64)>, exchange::Error> {
    let Some(stored) = exchange.last_receipt(lane).await? else {
        return Ok(None);
    };
    let read = Envelope::decode(&stored.bytes).and_then(|envelope| {
        let named: Receipt = envelope.read()?;
        envelope.verify::<Receipt>(&[named.key])
    });
    Ok(read
        .ok()
        .filter(|receipt| receipt.lane() == *lane)
        .map(|receipt| (receipt, stored.sequence)))
}

/// Publishes that the store is behind its receipt, unless the receipt already shows it or another poller was faster.
///
/// # Errors
/// The exchange's error, or the receipt cannot be signed.
pub async fn publish_behind(
    exchange: &dyn FeedExchange,
    key: &SigningKey,
    (receipt, sequence): (&Receipt, u64),
    (held, store): (Behind, &StoreId),
) -> Result<(), StepError> {
    let Some(behind) = receipt_behind(receipt, held, store) else {
        return Ok(());
    };
    let behind = Receipt {
        at: Timestamp::now(),
        key: key.public().clone(),
        ..behind
    };
    let bytes = Envelope::sign(&behind, Vec::new(), key).and_then(|envelope| envelope.encode())?;
    exchange
        .publish_receipt(&behind.lane(), Bytes::from(bytes), sequence)
        .await?;
    Ok(())
}

/// Reads the receipt at the exchange. An unreadable one is treated as missing and is replaced.
fn read(stored: Option<&Stored>) -> LastReceipt {
    let Some(stored) = stored else {
        return LastReceipt::none();
    };
    let receipt: Option<Receipt> = Envelope::decode(&stored.bytes)
        .and_then(|envelope| envelope.read())
        .ok();
    receipt.map_or(
        LastReceipt {
            sequence: stored.sequence,
            ..LastReceipt::none()
        },
        |receipt| LastReceipt::of(&receipt, stored.sequence),
    )
}

fn receipt(report: &LaneReport, (here, store): (&Origin, &StoreId), key: &SigningKey) -> Receipt {
    Receipt {
        recipient: report.lane.recipient.clone(),
        feed: report.lane.feed.clone(),
        origin: Some(here.clone()),
        epoch: report.epoch,
        from: report.from,
        to: report.to,
        head: report.head,
        cursor: report.cursor.clone(),
        rows: report.rows,
        quarantined: report.quarantined.clone(),
        stopped: report.shared_blocked_reason().map(str::to_owned),
        store: Some(store.clone()),
        behind: None,
        is_incomplete: report.is_incomplete(),
        at: Timestamp::now(),
        key: key.public().clone(),
    }
}
