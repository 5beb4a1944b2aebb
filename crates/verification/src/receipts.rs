//! PURE: checks the rules between consecutive receipts of a lane, and against the chunks that they sign for.
//!
//! Each receipt names the digest of the last chunk that it covers, and that digest covers all chunks before it. A bureau that
//! rewrites its history, with its own valid key, cannot rewrite the receiver's signatures.

use schemas::digest::Digest;
use schemas::name::Lane;
use schemas::receipt::Receipt;

use crate::chain::Chain;
use crate::message::Place;
use crate::violation::Violation;

/// Receipts of a lane that its stream keeps, `max_msgs_per_subject` of the shipped stream: an older one is dropped for a new one.
pub const KEPT_FOR_EACH_LANE: u64 = 10_000;

/// The valid receipts of one lane.
#[derive(Debug, Default)]
pub struct Receipts {
    last: Option<Receipt>,
    /// The last receipt whose chunk is in the stream: epoch and number.
    agreed: Option<(u32, u64)>,
    /// Receipts whose chunk was not in the stream when they were read.
    pending: Vec<PendingReceipt>,
    /// The number of valid receipts.
    pub count: u64,
}

/// A receipt that does not agree with the chunks read so far.
#[derive(Debug, Clone)]
pub struct PendingReceipt {
    /// Its sequence.
    pub sequence: u64,
    /// Where it was read.
    pub place: Place,
    /// The last chunk that it covers.
    pub signed: (u32, u64, Digest),
    /// The last chunk that an earlier receipt covers and that agrees.
    agreed: Option<(u32, u64)>,
}

/// At most so many receipts without their chunk are kept for each lane. The first ones locate the fault.
const MAX_PENDING: usize = 1_000;

impl Receipts {
    /// Takes the lane's next receipt, whose signature was verified.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn push(&mut self, lane: &Lane, receipt: Receipt) -> Result<(), Violation> {
        if receipt.lane() != *lane {
            return Err(Violation::WrongLane {
                what: "receipt",
                of: receipt.lane(),
                subject: lane.clone(),
            });
        }
        if let Some(last) = &self.last
            && (receipt.epoch, receipt.to) < (last.epoch, last.to)
        {
            return Err(Violation::ReceiptBackwards {
                covers: (receipt.epoch, receipt.to),
                earlier: (last.epoch, last.to),
            });
        }
        if (receipt.to == 0) != receipt.head.is_none() {
            return Err(Violation::ReceiptHead);
        }
        self.last = Some(receipt);
        self.count += 1;
        Ok(())
    }

    /// Compares the last receipt with the chunks read so far. A receipt that does not agree is kept for [`Receipts::disagreeing`].
    pub fn compare(&mut self, chain: &Chain, sequence: u64, place: &Place) {
        let Some(Receipt {
            epoch,
            to,
            head: Some(head),
            ..
        }) = &self.last
        else {
            return;
        };
        if chain.holds(*epoch, *to, *head) {
            self.agreed = Some((*epoch, *to));
        } else if self.pending.len() < MAX_PENDING {
            self.pending.push(PendingReceipt {
                sequence,
                place: place.clone(),
                signed: (*epoch, *to, *head),
                agreed: self.agreed,
            });
        }
    }

    /// Returns the last receipt.
    #[must_use]
    pub fn last(&self) -> Option<&Receipt> {
        self.last.as_ref()
    }

    /// Returns the receipts for chunks that the whole stream does not hold, each with the violation. Chunks before the stream's begin
    /// are not covered, and chunks that an operator declared lost are explained.
    pub fn disagreeing<'a>(
        &'a self,
        chain: &'a Chain,
    ) -> impl Iterator<Item = (&'a PendingReceipt, Violation)> {
        self.pending.iter().filter_map(move |pending| {
            let (epoch, number, head) = pending.signed;
            if chain.holds(epoch, number, head)
                || chain.begins_after(epoch, number)
                || chain.is_declared_lost(epoch, number)
            {
                return None;
            }
            let violation = match chain.digest(epoch, number) {
                Some(found) => Violation::Rewritten {
                    epoch,
                    number,
                    head,
                    found,
                    agreed: pending.agreed,
                },
                None => Violation::ReceiptOfMissing { epoch, number, head },
            };
            Some((pending, violation))
        })
    }

    /// Returns the number of receipts for chunks that an operator declared lost.
    #[must_use]
    pub fn declared_lost(&self, chain: &Chain) -> u64 {
        let is_lost = |pending: &&PendingReceipt| {
            let (epoch, number, head) = pending.signed;
            !chain.holds(epoch, number, head) && chain.is_declared_lost(epoch, number)
        };
        self.pending.iter().filter(is_lost).count() as u64
    }
}
