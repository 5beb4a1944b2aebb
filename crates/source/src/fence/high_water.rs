//! The fence of a number or of any other cursor: a maximum noted earlier, once it is decided.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use schemas::cursor::Scalar;

use super::open::{OpenTransaction, TransactionId};
use crate::port::Holder;

/// Most maxima that wait at a time. Beyond it looks are left out, which only makes the fence
/// coarser.
const MOST_PENDING: usize = 64;

/// A noted maximum that is not decided yet.
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

/// Rows up to a noted maximum, once every transaction that was open then has ended, or once the
/// declared lag has passed. Several maxima wait in a line, so one long transaction does not make
/// the later ones begin anew.
#[derive(Debug, Clone)]
pub struct HighWater {
    rule: Rule,
    readable: Option<Scalar>,
    pending: VecDeque<Pending>,
    looked: Duration,
}

impl HighWater {
    /// A maximum is readable this long after it was noted.
    #[must_use]
    pub fn by_lag(lag: Duration) -> Self {
        Self {
            rule: Rule::Lag(lag),
            readable: None,
            pending: VecDeque::new(),
            looked: Duration::ZERO,
        }
    }

    /// A maximum is readable when the transactions open at that moment have ended.
    #[must_use]
    pub fn by_transactions() -> Self {
        Self {
            rule: Rule::Transactions,
            readable: None,
            pending: VecDeque::new(),
            looked: Duration::ZERO,
        }
    }

    /// Notes the maximum of the moment and gives how far may be read. The maximum is read first,
    /// the open transactions after it: one that took a smaller number and is not seen open has
    /// ended, and its row shows in a later read.
    ///
    /// `now` is any monotonic clock. By lag, `open` is not looked at and may be empty. It may be empty, too, where the maximum
    /// is not new ([`Self::is_new`]) and none waits ([`Self::is_waiting`]); where one waits, a look of any time after it was
    /// noted will do.
    pub fn take(&mut self, high: Option<Scalar>, now: Duration, open: &[OpenTransaction]) -> Option<Scalar> {
        self.looked = now;
        self.settle(now, open);
        if let Some(high) = high {
            self.note(high, now, open);
        }
        self.settle(now, open);
        self.readable.clone()
    }

    /// Whether a maximum is another one than the last that was noted.
    #[must_use]
    pub fn is_new(&self, high: Option<&Scalar>) -> bool {
        high.is_some_and(|high| self.known() != Some(high))
    }

    /// Whether a maximum waits.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        !self.pending.is_empty()
    }

    /// How long the oldest waiting maximum has waited, as of the last look.
    #[must_use]
    pub fn waited(&self) -> Duration {
        let first = self.pending.front();
        first.map_or(Duration::ZERO, |first| self.looked.saturating_sub(first.noted))
    }

    /// Who keeps the oldest waiting maximum: one that is open for longer than the margin, or whoever it is where
    /// the maximum waits for longer than that.
    #[must_use]
    pub fn held(&self, open: &[OpenTransaction], at: Timestamp, margin: Duration) -> Option<Holder> {
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
                now.saturating_sub(last.noted) < lag / u32::try_from(MOST_PENDING).unwrap_or(1)
            }
            _ => false,
        };
        if !self.is_new(Some(&high)) || near || self.pending.len() >= MOST_PENDING {
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

    /// By transactions, with the looks before.
    struct Traced {
        water: HighWater,
        prepared: PreparedTransactions,
    }

    impl Traced {
        fn by_transactions() -> Self {
            Self {
                water: HighWater::by_transactions(),
                prepared: PreparedTransactions::default(),
            }
        }

        fn take(&mut self, high: Option<Scalar>, now: Duration, open: &[OpenTransaction]) -> Option<Scalar> {
            let mut open = open.to_vec();
            self.prepared
                .trace(Timestamp::UNIX_EPOCH + now, (now, now), &mut open);
            self.water.take(high, now, &open)
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
    fn by_lag_a_maximum_is_readable_after_the_lag_and_not_before() {
        let mut water = HighWater::by_lag(S(2));
        assert_eq!(water.take(int(5), S(0), &[]), None);
        assert_eq!(water.take(int(9), S(1), &[]), None);
        assert_eq!(water.take(int(9), S(2), &[]), int(5));
        assert_eq!(water.take(int(9), S(3), &[]), int(9));
        assert_eq!(water.take(None, S(9), &[]), int(9));
    }

    #[test]
    fn without_lag_the_maximum_is_readable_at_once() {
        assert_eq!(HighWater::by_lag(S(0)).take(int(5), S(0), &[]), int(5));
    }

    /// Trap: cursors on an id skip rows that commit late.
    #[test]
    fn by_transactions_it_waits_for_those_open_when_noted_and_for_no_other() {
        let mut water = Traced::by_transactions();
        assert_eq!(water.take(int(5), S(0), &[session(1)]), None);
        assert_eq!(water.take(int(9), S(1), &[session(1), session(2)]), None);
        assert!(
            water
                .water
                .held(&[session(1)], Timestamp::UNIX_EPOCH + S(3), S(2))
                .is_some()
        );
        assert_eq!(water.take(int(12), S(2), &[session(2), session(3)]), int(5));
        assert_eq!(water.take(int(12), S(3), &[session(3)]), int(9));
        assert_eq!(water.take(int(12), S(4), &[session(4)]), int(12));
    }

    #[test]
    fn maximum_that_is_not_new_needs_no_look_once_none_waits() {
        let mut water = HighWater::by_transactions();
        let five = Scalar::Int(5);
        assert!(water.is_new(Some(&five)) && !water.is_new(None));
        water.take(int(5), S(0), &[session(1)]);
        assert!(!water.is_new(Some(&five)) && water.is_waiting());
        water.take(int(5), S(40), &[session(1)]);
        assert_eq!(water.waited(), S(40));
        assert_eq!(water.take(int(5), S(41), &[]), int(5));
        assert!(!water.is_new(Some(&five)) && !water.is_waiting());
        assert_eq!(water.waited(), S(0));
        assert!(water.is_new(Some(&Scalar::Int(6))));
    }

    /// A session was prepared while its connection to the source was made again: its looks were forgotten.
    #[test]
    fn maximum_waits_for_a_prepared_transaction_of_unknown_origin() {
        let mut water = HighWater::by_transactions();
        assert_eq!(water.take(int(5), S(0), &[session(1)]), None);
        let mut open = [prepared()];
        PreparedTransactions::default().trace(Timestamp::UNIX_EPOCH, (S(0), S(0)), &mut open);
        assert_eq!(water.take(int(5), S(1), &open), None, "it may be that session's");
        assert_eq!(water.take(int(5), S(2), &[]), int(5));
    }

    /// Trap: a transaction that is prepared leaves the list of sessions under a new name.
    #[test]
    fn a_transaction_that_is_prepared_holds_the_maximum_that_waits_for_it() {
        let mut water = Traced::by_transactions();
        assert_eq!(water.take(int(5), S(0), &[session(1)]), None);
        assert_eq!(water.take(int(6), S(1), &[prepared()]), None);
        assert_eq!(
            water
                .water
                .held(&[prepared()], Timestamp::UNIX_EPOCH + S(3), S(2))
                .unwrap()
                .what,
            "prepared transaction"
        );
        assert_eq!(water.take(int(6), S(2), &[]), int(6));
    }

    /// Trap: with XA clients some transaction is always prepared.
    #[test]
    fn prepared_transaction_that_began_later_holds_no_earlier_maximum() {
        let named = |name: &str, xid| OpenTransaction {
            id: TransactionId::Prepared(name.into()),
            xid: Some(xid),
            ..session(0)
        };
        let mut water = Traced::by_transactions();
        let old = named("old", 1);
        assert_eq!(water.take(int(5), S(0), std::slice::from_ref(&old)), None);
        assert_eq!(water.take(int(6), S(1), &[old, named("a", 2)]), None);
        // The one from before the first look has ended; "a" was not seen when 5 was noted.
        assert_eq!(water.take(int(7), S(2), &[named("a", 2), named("b", 3)]), int(5));
        assert_eq!(water.take(int(8), S(3), &[named("b", 3), named("c", 4)]), int(6));
        assert_eq!(water.take(int(9), S(4), &[named("c", 4), named("d", 5)]), int(7));
    }

    #[test]
    fn prepared_transaction_is_told_from_others_by_its_number() {
        let numbered = |xid| OpenTransaction {
            xid: Some(xid),
            ..session(1)
        };
        let named = |name: &str, xid| OpenTransaction {
            id: TransactionId::Prepared(name.into()),
            xid: Some(xid),
            ..session(0)
        };
        let mut water = Traced::by_transactions();
        assert_eq!(water.take(int(5), S(0), &[numbered(7)]), None);
        assert_eq!(
            water.take(int(5), S(1), &[named("other", 8), named("same", 7)]),
            None
        );
        assert_eq!(water.take(int(5), S(2), &[named("other", 8)]), int(5));
    }

    #[test]
    fn looks_without_end_take_no_memory_without_end() {
        let mut water = Traced::by_transactions();
        for number in 0..10_000 {
            water.take(int(number), S(0), &[session(1)]);
        }
        assert_eq!(water.water.pending.len(), MOST_PENDING);
        assert!(water.take(int(10_000), S(1), &[]) == int(10_000));
    }
}
