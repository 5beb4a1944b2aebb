//! The fence of a sequence number, or of a cursor with a declared lag: an earlier maximum, once it is settled.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use schemas::cursor::Scalar;

use super::open::{FenceHolder, OpenTransaction, TransactionId};

/// Maxima that wait at a time. Further ones are skipped, which only makes the fence coarser.
const MAX_PENDING: usize = 64;

/// A maximum that is not settled yet.
#[derive(Debug, Clone)]
struct Pending {
    high: Scalar,
    noted: Duration,
    waits: BTreeSet<TransactionId>,
}

impl Pending {
    /// Whether it waits for a transaction, which has a new name if it was prepared since.
    fn waits_for(&self, one: &OpenTransaction) -> bool {
        if self.waits.contains(&one.id) {
            return true;
        }
        let candidates = one.origin.as_ref().and_then(|origin| origin.candidates.as_ref());
        match candidates {
            Some(candidates) => candidates.iter().any(|candidate| self.waits.contains(candidate)),
            None => one.is_prepared(),
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Rule {
    Lag(Duration),
    Transactions,
}

/// Permits rows up to an earlier maximum, once every transaction that was open then has ended, or once the declared lag has
/// passed. Several maxima wait in a queue, so one long transaction does not restart the later ones.
#[derive(Debug, Clone)]
pub struct HighWaterMark {
    rule: Rule,
    readable: Option<Scalar>,
    pending: VecDeque<Pending>,
    last_seen: Duration,
}

impl HighWaterMark {
    /// A maximum is readable `lag` after it was recorded.
    #[must_use]
    pub fn by_lag(lag: Duration) -> Self {
        Self {
            rule: Rule::Lag(lag),
            readable: None,
            pending: VecDeque::new(),
            last_seen: Duration::ZERO,
        }
    }

    /// A maximum is readable when the transactions open at that moment have ended.
    #[must_use]
    pub fn by_transactions() -> Self {
        Self {
            rule: Rule::Transactions,
            readable: None,
            pending: VecDeque::new(),
            last_seen: Duration::ZERO,
        }
    }

    /// Records the current maximum and returns how far may be read. Read the maximum first and the open transactions after it: a
    /// transaction that took a smaller number and is not open any more has ended, and a later read returns its row.
    ///
    /// `now` is any monotonic clock. With a lag, `open` is not used and may be empty. It may also be empty if the maximum is not new
    /// ([`Self::is_new`]) and none waits ([`Self::is_waiting`]). If one waits, any snapshot taken after it was recorded is valid.
    pub fn take(&mut self, high: Option<Scalar>, now: Duration, open: &[OpenTransaction]) -> Option<Scalar> {
        self.last_seen = now;
        self.settle(now, open);
        if let Some(high) = high {
            self.note(high, now, open);
        }
        self.settle(now, open);
        self.readable.clone()
    }

    /// Whether a maximum differs from the last recorded one.
    #[must_use]
    pub fn is_new(&self, high: Option<&Scalar>) -> bool {
        high.is_some_and(|high| self.known() != Some(high))
    }

    /// Whether a maximum waits.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Returns how long the oldest waiting maximum has waited, as of the last call of [`Self::take`].
    #[must_use]
    pub fn waited(&self) -> Duration {
        let first = self.pending.front();
        first.map_or(Duration::ZERO, |first| self.last_seen.saturating_sub(first.noted))
    }

    /// Returns the transaction that blocks the oldest waiting maximum: one that is open for longer than the margin, or any if the
    /// maximum has waited for longer than that.
    #[must_use]
    pub fn holder(&self, open: &[OpenTransaction], at: Timestamp, margin: Duration) -> Option<FenceHolder> {
        let first = self.pending.front()?;
        let is_old = self.waited() > margin;
        let margin = SignedDuration::try_from(margin).unwrap_or_default();
        open.iter()
            .filter(|one| first.waits_for(one))
            .filter(|one| is_old || at.duration_since(one.since) > margin)
            .min_by_key(|one| (!one.is_prepared(), one.since))
            .map(OpenTransaction::as_holder)
    }

    fn known(&self) -> Option<&Scalar> {
        let last = self.pending.back().map(|last| &last.high);
        last.or(self.readable.as_ref())
    }

    fn note(&mut self, high: Scalar, now: Duration, open: &[OpenTransaction]) {
        let near = match (self.rule, self.pending.back()) {
            (Rule::Lag(lag), Some(last)) => {
                now.saturating_sub(last.noted) < lag / u32::try_from(MAX_PENDING).unwrap_or(1)
            }
            _ => false,
        };
        if !self.is_new(Some(&high)) || near || self.pending.len() >= MAX_PENDING {
            return;
        }
        let waits = match self.rule {
            Rule::Lag(_) => BTreeSet::new(),
            Rule::Transactions => open.iter().map(|one| one.id.clone()).collect(),
        };
        self.pending.push_back(Pending {
            high,
            noted: now,
            waits,
        });
    }

    fn settle(&mut self, now: Duration, open: &[OpenTransaction]) {
        while let Some(first) = self.pending.front() {
            let decided = match self.rule {
                Rule::Lag(lag) => now.saturating_sub(first.noted) >= lag,
                Rule::Transactions => !open.iter().any(|one| first.waits_for(one)),
            };
            if !decided {
                return;
            }
            self.readable = self.pending.pop_front().map(|first| first.high);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fence::PreparedTransactions;

    /// A mark by transactions, with a history of snapshots.
    struct Traced {
        mark: HighWaterMark,
        prepared: PreparedTransactions,
    }

    impl Traced {
        fn by_transactions() -> Self {
            Self {
                mark: HighWaterMark::by_transactions(),
                prepared: PreparedTransactions::default(),
            }
        }

        fn take(&mut self, high: Option<Scalar>, now: Duration, open: &[OpenTransaction]) -> Option<Scalar> {
            let mut open = open.to_vec();
            self.prepared
                .trace(Timestamp::UNIX_EPOCH + now, (now, now), &mut open);
            self.mark.take(high, now, &open)
        }
    }

    fn session(pid: i32) -> OpenTransaction {
        OpenTransaction {
            id: TransactionId::Session { pid, started_us: 7 },
            xid: None,
            role: "clerk".into(),
            application: "claims".into(),
            since: Timestamp::UNIX_EPOCH,
            origin: None,
        }
    }

    fn prepared() -> OpenTransaction {
        OpenTransaction {
            id: TransactionId::Prepared("p".into()),
            ..session(0)
        }
    }

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn int(number: i64) -> Option<Scalar> {
        Some(Scalar::Int(number))
    }

    #[test]
    fn high_water_by_lag_is_readable_after_the_lag() {
        let mut mark = HighWaterMark::by_lag(S(2));
        assert_eq!(mark.take(int(5), S(0), &[]), None);
        assert_eq!(mark.take(int(9), S(1), &[]), None);
        assert_eq!(mark.take(int(9), S(2), &[]), int(5));
        assert_eq!(mark.take(int(9), S(3), &[]), int(9));
        assert_eq!(mark.take(None, S(9), &[]), int(9));
    }

    #[test]
    fn high_water_without_lag_is_readable_at_once() {
        assert_eq!(HighWaterMark::by_lag(S(0)).take(int(5), S(0), &[]), int(5));
    }

    /// Regression: cursors on an id skip rows that commit late.
    #[test]
    fn high_water_waits_for_open_transactions_only() {
        let mut mark = Traced::by_transactions();
        assert_eq!(mark.take(int(5), S(0), &[session(1)]), None);
        assert_eq!(mark.take(int(9), S(1), &[session(1), session(2)]), None);
        assert!(
            mark.mark
                .holder(&[session(1)], Timestamp::UNIX_EPOCH + S(3), S(2))
                .is_some()
        );
        assert_eq!(mark.take(int(12), S(2), &[session(2), session(3)]), int(5));
        assert_eq!(mark.take(int(12), S(3), &[session(3)]), int(9));
        assert_eq!(mark.take(int(12), S(4), &[session(4)]), int(12));
    }

    #[test]
    fn high_water_known_maximum_needs_no_snapshot() {
        let mut mark = HighWaterMark::by_transactions();
        let five = Scalar::Int(5);
        assert!(mark.is_new(Some(&five)) && !mark.is_new(None));
        mark.take(int(5), S(0), &[session(1)]);
        assert!(!mark.is_new(Some(&five)) && mark.is_waiting());
        mark.take(int(5), S(40), &[session(1)]);
        assert_eq!(mark.waited(), S(40));
        assert_eq!(mark.take(int(5), S(41), &[]), int(5));
        assert!(!mark.is_new(Some(&five)) && !mark.is_waiting());
        assert_eq!(mark.waited(), S(0));
        assert!(mark.is_new(Some(&Scalar::Int(6))));
    }

    /// A session was prepared while the connection to the source was replaced, which discards earlier snapshots.
    #[test]
    fn high_water_waits_for_prepared_of_unknown_origin() {
        let mut mark = HighWaterMark::by_transactions();
        assert_eq!(mark.take(int(5), S(0), &[session(1)]), None);
        let mut open = [prepared()];
        PreparedTransactions::default().trace(Timestamp::UNIX_EPOCH, (S(0), S(0)), &mut open);
        assert_eq!(mark.take(int(5), S(1), &open), None, "it may be that session's");
        assert_eq!(mark.take(int(5), S(2), &[]), int(5));
    }

    /// Regression: a transaction that is prepared leaves the list of sessions and gets a new name.
    #[test]
    fn high_water_prepared_transaction_blocks_its_maximum() {
        let mut mark = Traced::by_transactions();
        assert_eq!(mark.take(int(5), S(0), &[session(1)]), None);
        assert_eq!(mark.take(int(6), S(1), &[prepared()]), None);
        assert_eq!(
            mark.mark
                .holder(&[prepared()], Timestamp::UNIX_EPOCH + S(3), S(2))
                .unwrap()
                .what,
            "prepared transaction"
        );
        assert_eq!(mark.take(int(6), S(2), &[]), int(6));
    }

    /// Regression: with XA clients some transaction is always prepared.
    #[test]
    fn high_water_later_prepared_blocks_no_earlier_maximum() {
        let named = |name: &str, xid| OpenTransaction {
            id: TransactionId::Prepared(name.into()),
            xid: Some(xid),
            ..session(0)
        };
        let mut mark = Traced::by_transactions();
        let old = named("old", 1);
        assert_eq!(mark.take(int(5), S(0), std::slice::from_ref(&old)), None);
        assert_eq!(mark.take(int(6), S(1), &[old, named("a", 2)]), None);
        // The transaction from before the first snapshot has ended; "a" did not exist when 5 was recorded.
        assert_eq!(mark.take(int(7), S(2), &[named("a", 2), named("b", 3)]), int(5));
        assert_eq!(mark.take(int(8), S(3), &[named("b", 3), named("c", 4)]), int(6));
        assert_eq!(mark.take(int(9), S(4), &[named("c", 4), named("d", 5)]), int(7));
    }

    #[test]
    fn high_water_prepared_is_identified_by_its_number() {
        let numbered = |xid| OpenTransaction {
            xid: Some(xid),
            ..session(1)
        };
        let named = |name: &str, xid| OpenTransaction {
            id: TransactionId::Prepared(name.into()),
            xid: Some(xid),
            ..session(0)
        };
        let mut mark = Traced::by_transactions();
        assert_eq!(mark.take(int(5), S(0), &[numbered(7)]), None);
        assert_eq!(
            mark.take(int(5), S(1), &[named("other", 8), named("same", 7)]),
            None
        );
        assert_eq!(mark.take(int(5), S(2), &[named("other", 8)]), int(5));
    }

    #[test]
    fn high_water_pending_maxima_are_bounded() {
        let mut mark = Traced::by_transactions();
        for number in 0..10_000 {
            mark.take(int(number), S(0), &[session(1)]);
        }
        assert_eq!(mark.mark.pending.len(), MAX_PENDING);
        assert!(mark.take(int(10_000), S(1), &[]) == int(10_000));
    }
}
