//! PURE: the rules that hold from one receipt of a lane to the next.

use schemas::name::Lane;
use schemas::receipt::Receipt;

use crate::chain::Chain;

/// The receipts of one lane, as far as they hold.
#[derive(Debug, Default)]
pub struct Receipts {
    last: Option<Receipt>,
    /// How many hold.
    pub count: u64,
}

impl Receipts {
    /// Takes the lane's next receipt, its signature checked before.
    ///
    /// # Errors
    /// The rule it breaks, in words.
    pub fn push(&mut self, lane: &Lane, receipt: Receipt) -> Result<(), String> {
        if receipt.lane() != *lane {
            return Err(format!(
                "a receipt of lane {} stands on the subject of lane {lane}",
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

    /// The last one.
    #[must_use]
    pub fn last(&self) -> Option<&Receipt> {
        self.last.as_ref()
    }

    /// Whether the last receipt's chunk stands in the stream as it was received.
    ///
    /// # Errors
    /// What differs, in words: the exchange was restored from an older copy or rewritten.
    pub fn agree_with(&self, chain: &Chain) -> Result<(), String> {
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
            "the receiver signed for chunk {epoch}/{to} with digest {head}, which does not stand in the stream: exchange restored or rewritten"
        ))
    }
}
