//! PURE: checks the rules between consecutive receipts of a lane.

use schemas::name::Lane;
use schemas::receipt::Receipt;

use crate::chain::Chain;

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
    pub fn push(&mut self, lane: &Lane, receipt: Receipt) -> Result<(), String> {
        if receipt.lane() != *lane {
            return Err(format!(
                "a receipt of lane {} is on the subject of lane {lane}",
                receipt.lane()
            ));
        }
        if let Some(last) = &self.last
            && (receipt.epoch, receipt.to) < (last.epoch, last.to)
        {
            return Err(format!(
                "it covers up to {}/{}, an earlier one covers up to {}/{}",
                receipt.epoch, receipt.to, last.epoch, last.to
            ));
        }
        if (receipt.to == 0) != receipt.head.is_none() {
            return Err("it covers chunks without naming the last one's digest, or the reverse".to_owned());
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
    pub fn check_against(&self, chain: &Chain) -> Result<(), String> {
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
        Err(format!(
            "the receiver signed for chunk {epoch}/{to} with digest {head}, which is not in the stream: exchange restored or rewritten"
        ))
    }
}
