//! PURE: a tail that is older than what is known: a replica that lags, or an exchange that was restored.

use std::time::Duration;

use schemas::manifest::Link;

use super::{Action, Lane, Pending, Phase, ReceiptFrontier, Tail};
use crate::stop::StopReason;

/// A doubted tail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Doubt {
    /// The chunk whose fate is unknown.
    pending: Option<Pending>,
    /// The sequence to continue with, if the tail turns out to be unchanged and no chunk is pending.
    idle: Option<u64>,
    /// The tail and the receipt that were read last.
    tail: Option<Tail>,
    receipt: Option<ReceiptFrontier>,
    /// When the leader first proved that its own tail went backwards.
    proven_at: Option<Duration>,
}

impl Lane {
    /// Doubts a tail that is older than what is known, or that the leader has refused.
    pub(super) fn doubt(
        &mut self,
        tail: Option<Tail>,
        receipt: Option<ReceiptFrontier>,
        pending: Option<Pending>,
        idle: Option<u64>,
    ) -> Vec<Action> {
        self.phase = Phase::Lagging(Box::new(Doubt {
            pending,
            idle,
            tail,
            receipt,
            proven_at: None,
        }));
        vec![Action::AskLeader]
    }

    /// Takes the tail of another read. One that is not older than what is known, and that the chunk in flight did not expect,
    /// settles the doubt without the leader.
    pub(super) fn read_again(
        &mut self,
        doubt: Doubt,
        tail: Option<Tail>,
        receipt: Option<ReceiptFrontier>,
    ) -> Vec<Action> {
        let sequence = tail.as_ref().map_or(0, |tail| tail.sequence);
        let doubt = Doubt {
            tail,
            receipt,
            ..doubt
        };
        let is_expected = doubt
            .pending
            .as_ref()
            .is_some_and(|(_, expect)| *expect == sequence);
        if !is_expected && !self.went_backwards(doubt.tail.as_ref(), doubt.receipt.as_ref()) {
            return self.settle(doubt);
        }
        self.phase = Phase::Lagging(Box::new(doubt));
        vec![Action::AskLeader]
    }

    /// Judges a doubted tail by the leader's sequence. A tail with another one proves nothing: the replica that was read lags, or
    /// the leader is one that was replaced.
    pub(super) fn judge(&mut self, doubt: Doubt, sequence: u64, at: Duration) -> Vec<Action> {
        let is_leaders = doubt.tail.as_ref().map_or(0, |tail| tail.sequence) == sequence;
        let is_backwards = self.went_backwards(doubt.tail.as_ref(), doubt.receipt.as_ref());
        if is_leaders && !is_backwards {
            return self.settle(doubt);
        }
        let proven_at = is_leaders.then(|| doubt.proven_at.unwrap_or(at));
        if proven_at.is_some_and(|first| at >= first + self.proof_interval) {
            return self.stop(StopReason::Restored);
        }
        self.phase = Phase::Lagging(Box::new(Doubt { proven_at, ..doubt }));
        vec![Action::ReadTail { backed_off: true }]
    }

    fn settle(&mut self, doubt: Doubt) -> Vec<Action> {
        let Doubt {
            pending,
            idle,
            tail,
            receipt,
            ..
        } = doubt;
        match idle {
            Some(expect) => self.finish_check(tail, receipt, expect),
            None => self.handle_tail(tail, receipt, pending),
        }
    }

    /// Returns whether the tail is again the very chunk that was seen, or, after a restart, the one that the receiver has signed
    /// for, and the receipt fits.
    pub(super) fn is_back(&self, tail: Option<&Tail>, receipt: Option<&ReceiptFrontier>) -> bool {
        let receipted = receipt.and_then(|signed| {
            signed.head.map(|digest| Link {
                epoch: signed.epoch,
                number: signed.to,
                digest,
            })
        });
        let known = self.seen.or(receipted);
        let is_known = tail.is_some_and(|tail| Some(tail.link) == known);
        is_known && !self.went_backwards(tail, receipt)
    }

    /// Returns whether the tail is behind, or differs from, what was acknowledged or receipted.
    pub(super) fn went_backwards(&self, tail: Option<&Tail>, receipt: Option<&ReceiptFrontier>) -> bool {
        let place = |link: Link| (link.epoch, link.number);
        let at = tail.map_or((0, 0), |tail| place(tail.link));
        let digest = tail.map(|tail| tail.link.digest);
        let below_seen = self
            .seen
            .is_some_and(|seen| at < place(seen) || (at == place(seen) && digest != Some(seen.digest)));
        let below_receipt = receipt.filter(|signed| signed.to > 0).is_some_and(|signed| {
            let signed_for = (signed.epoch, signed.to);
            at < signed_for || (at == signed_for && signed.head.is_some() && digest != signed.head)
        });
        below_seen || below_receipt
    }
}
