//! Receipts derive from the store's ledger alone, so a crash after settling loses none. They
//! are published by compare-and-set and only go forward, so any number of pollers may do it.

use std::collections::BTreeMap;

use bytes::Bytes;
use exchange::{Exchange, Published, Stored};
use jiff::Timestamp;
use schemas::envelope::Envelope;
use schemas::name::Lane;
use schemas::origin::Origin;
use schemas::receipt::Receipt;
use schemas::sign::SigningKey;
use store::LaneReport;

use crate::step::{LastReceipt, receipt_due};

/// What is known of the lanes' last receipts.
#[derive(Debug, Default)]
pub struct Receipts {
    known: BTreeMap<Lane, LastReceipt>,
    rounds: u64,
}

/// The exchange is asked for the last receipts every so many rounds, whatever is remembered:
/// it may have been restored from an older copy.
const TRUST_MEMORY: u64 = 10;

impl Receipts {
    /// Publishes what is due. One lane's failure is returned and does not keep the others.
    pub async fn publish(
        &mut self,
        exchange: &dyn Exchange,
        key: &SigningKey,
        here: &Origin,
        reports: &[LaneReport],
    ) -> Vec<(Lane, Result<u64, String>)> {
        if self.rounds.is_multiple_of(TRUST_MEMORY) {
            self.known.clear();
        }
        self.rounds += 1;
        let mut results = Vec::new();
        for report in reports {
            let result = self.one(exchange, key, here, report).await;
            if result.is_err() {
                self.known.remove(&report.lane);
            }
            results.push((report.lane.clone(), result));
        }
        results
    }

    async fn one(
        &mut self,
        exchange: &dyn Exchange,
        key: &SigningKey,
        here: &Origin,
        report: &LaneReport,
    ) -> Result<u64, String> {
        loop {
            let last = match self.known.get(&report.lane) {
                Some(last) => last.clone(),
                None => read(
                    exchange
                        .last_receipt(&report.lane)
                        .await
                        .map_err(|e| e.to_string())?
                        .as_ref(),
                ),
            };
            if !receipt_due(report, &last) {
                let to = last.to;
                self.known.insert(report.lane.clone(), last);
                return Ok(to);
            }
            let receipt = receipt(report, here, key);
            let bytes = Envelope::seal(&receipt, Vec::new(), key)
                .and_then(|envelope| envelope.encode())
                .map_err(|e| e.to_string())?;
            let published = exchange
                .publish_receipt(&report.lane, Bytes::from(bytes), last.sequence)
                .await;
            match published.map_err(|e| e.to_string())? {
                Published::Done { sequence } => {
                    self.known
                        .insert(report.lane.clone(), remember(&receipt, sequence));
                    return Ok(report.to);
                }
                // Another poller was faster, perhaps with more: its word is read and decides.
                Published::Conflict => {
                    self.known.remove(&report.lane);
                }
            }
        }
    }
}

/// What stands at the exchange. What cannot be read is replaced, as if it were nothing.
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
        |receipt| remember(&receipt, stored.sequence),
    )
}

fn remember(receipt: &Receipt, sequence: u64) -> LastReceipt {
    LastReceipt {
        sequence,
        epoch: receipt.epoch,
        from: receipt.from,
        to: receipt.to,
        head: receipt.head,
        quarantined: receipt.quarantined.clone(),
        stopped: receipt.stopped.clone(),
    }
}

fn receipt(report: &LaneReport, here: &Origin, key: &SigningKey) -> Receipt {
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
        stopped: report.held_up_shared().map(str::to_owned),
        at: Timestamp::now(),
        key: key.public().clone(),
    }
}
