//! PURE: checks the rules between consecutive receipts of a lane.

use schemas::name::Lane;
use schemas::receipt::Receipt;

use crate::chain::Chain;
use crate::violation::Violation;

/// The valid receipts of one lane.
#[derive(Debug, Default)]
pub struct Receipts {
    last: Option<Receipt>,
    /// The number of valid receipts.
    pub count: u64,
}

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

    /// Returns the last receipt.
    #[must_use]
    pub fn last(&self) -> Option<&Receipt> {
        self.last.as_ref()
    }

    /// Checks that the last receipt's chunk is in the stream as it was received.
    ///
    /// # Errors
    /// What differs: the exchange was restored from an older copy or rewritten.
    pub fn check_against(&self, chain: &Chain) -> Result<(), Violation> {
        let Some(Receipt {
            epoch,
            to,
            head: Some(head),
            ..
        }) = &self.last
        else {
            return Ok(());
        };
        if chain.holds(*epoch, *to, *head)
            || chain
                .report()
                .begins_at
                .is_some_and(|begin| (begin.epoch, begin.number) > (*epoch, *to))
        {
            return Ok(());
        }
        Err(Violation::ReceiptOfMissing {
            epoch: *epoch,
            number: *to,
            head: *head,
        })
    }
}
