//! What is known of prepared transactions: when they can have begun at the earliest, and which sessions' transactions they
//! may have been.
//!
//! `pg_prepared_xacts` tells when a transaction was prepared, not when it began. Each one was seen before as a
//! session's transaction, or it began after the look before: both bound its begin. Its number tells which session's it
//! was, where the session had one when it was seen; without it, every session without a number may have been the one.
//! What was prepared before the first look is bounded by nothing.
//!
//! The looks of all feeds of a connection are recorded in one place, so the bounds are as close as the looks of all feeds
//! together, however seldom a single feed looks.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::clock::{JITTER, minus, plus};
use super::open::{OpenTransaction, TransactionId};

/// Where a prepared transaction can have come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedOrigin {
    /// The earliest time at which it can have begun; `None` if no look bounds it.
    pub earliest: Option<Timestamp>,
    /// Transactions of sessions that it may have been; `None` if it may have been any.
    pub candidates: Option<BTreeSet<TransactionId>>,
}

/// Prepared transactions that still exist, as they were first seen.
#[derive(Debug, Clone, Default)]
pub struct PreparedTransactions {
    last: Option<LastLook>,
    known: BTreeMap<TransactionId, Origin>,
}

#[derive(Debug, Clone)]
struct LastLook {
    at: Timestamp,
    /// The steady clock before and after it.
    steady: (Duration, Duration),
    sessions: BTreeMap<TransactionId, Seen>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    xid: Option<u32>,
    since: Timestamp,
}

#[derive(Debug, Clone)]
struct Origin {
    xid: Option<u32>,
    /// The lowest time that the source's clock can have shown since the look before it was first seen; `None` if there
    /// was no look before.
    floor: Option<Timestamp>,
    /// Transactions of sessions that it may have been, with their begin.
    candidates: BTreeMap<TransactionId, Timestamp>,
    /// It was the one candidate.
    is_matched: bool,
}

impl PreparedTransactions {
    /// Records a look, sessions first and prepared transactions after them, and fills in the origins of the latter.
    ///
    /// `at` is the source's clock at the beginning of the look. `steady` is a steady clock before and after it: a source's clock
    /// that was set back since the look before shows by it.
    pub fn trace(&mut self, at: Timestamp, steady: (Duration, Duration), open: &mut [OpenTransaction]) {
        let sessions: BTreeMap<TransactionId, Seen> = open
            .iter()
            .filter(|one| !one.is_prepared())
            .map(|one| (one.id.clone(), Seen::of(one)))
            .collect();
        self.known
            .retain(|id, _| open.iter().any(|one| one.is_prepared() && one.id == *id));
        for origin in self.known.values_mut() {
            origin.exclude(&sessions);
        }
        let last = self.last.as_ref();
        let floor = last.map(|last| last.lowest_since(at, steady));
        for one in open.iter_mut().filter(|one| one.is_prepared()) {
            let known = self.known.entry(one.id.clone());
            let origin = known.or_insert_with(|| Origin::of(one, last, floor, &sessions));
            one.origin = Some(origin.describe());
        }
        self.last = Some(LastLook { at, steady, sessions });
    }
}

impl LastLook {
    /// The lowest time that the source's clock can have shown between this look and one after it.
    fn lowest_since(&self, at: Timestamp, (began, ended): (Duration, Duration)) -> Timestamp {
        // A look that takes long proves no step: only what the clock lacks at least counts.
        let is_stepped = plus(at, JITTER) < plus(self.at, began.saturating_sub(self.steady.1));
        if is_stepped {
            self.at.min(minus(at, ended.saturating_sub(self.steady.0)))
        } else {
            self.at
        }
    }
}

impl Seen {
    fn of(one: &OpenTransaction) -> Self {
        Self {
            xid: one.xid,
            since: one.since,
        }
    }
}

impl Origin {
    fn of(
        one: &OpenTransaction,
        last: Option<&LastLook>,
        floor: Option<Timestamp>,
        now: &BTreeMap<TransactionId, Seen>,
    ) -> Self {
        let mut seen = last.map(|last| last.sessions.clone()).unwrap_or_default();
        // The younger look knows more of a session that is in both.
        seen.extend(now.iter().map(|(id, seen)| (id.clone(), *seen)));
        let is_same = |seen: &Seen| one.xid.is_some() && seen.xid == one.xid;
        let matched = seen.iter().find(|(_, seen)| is_same(seen));
        let may_be = |seen: &Seen| one.xid.is_none() || seen.xid.is_none();
        let candidates = match matched {
            Some((id, seen)) => BTreeMap::from([(id.clone(), seen.since)]),
            None => seen
                .iter()
                .filter(|(_, seen)| may_be(seen))
                .map(|(id, seen)| (id.clone(), seen.since))
                .collect(),
        };
        Self {
            xid: one.xid,
            floor,
            is_matched: matched.is_some(),
            candidates,
        }
    }

    /// A session that has another number since is another transaction.
    fn exclude(&mut self, sessions: &BTreeMap<TransactionId, Seen>) {
        let Some(xid) = self.xid.filter(|_| !self.is_matched) else {
            return;
        };
        let is_other = |id: &TransactionId| {
            let seen = sessions.get(id).and_then(|seen| seen.xid);
            seen.is_some_and(|other| other != xid)
        };
        self.candidates.retain(|id, _| !is_other(id));
    }

    fn describe(&self) -> PreparedOrigin {
        let since = self.candidates.values().copied().min();
        let earliest = if self.is_matched {
            since
        } else {
            self.floor
                .map(|floor| since.map_or(floor, |since| since.min(floor)))
        };
        // Seen in the first look of a connection: a maximum that was noted on the connection before may wait for it.
        let is_traced = self.is_matched || self.floor.is_some();
        PreparedOrigin {
            earliest,
            candidates: is_traced.then(|| self.candidates.keys().cloned().collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Timestamp {
        Timestamp::UNIX_EPOCH + Duration::from_secs(second)
    }

    fn session(pid: i32, since: u64, xid: Option<u32>) -> OpenTransaction {
        OpenTransaction {
            id: TransactionId::Session {
                pid,
                started_us: at(since).as_microsecond(),
            },
            xid,
            role: "clerk".into(),
            application: "claims".into(),
            since: at(since),
            origin: None,
        }
    }

    fn prepared(name: &str, xid: u32) -> OpenTransaction {
        OpenTransaction {
            id: TransactionId::Prepared(name.into()),
            xid: Some(xid),
            ..session(0, 999, None)
        }
    }

    fn steady(second: u64) -> (Duration, Duration) {
        (Duration::from_secs(second), Duration::from_secs(second))
    }

    /// The origin of the prepared transaction of the last look, with looks by a clock that only goes forward.
    fn origin(looks: &[(u64, Vec<OpenTransaction>)]) -> PreparedOrigin {
        let mut transactions = PreparedTransactions::default();
        let mut last = None;
        for (second, open) in looks {
            let mut open = open.clone();
            transactions.trace(at(*second), steady(*second), &mut open);
            last = open.into_iter().find_map(|one| one.origin);
        }
        last.unwrap()
    }

    fn earliest(looks: &[(u64, Vec<OpenTransaction>)]) -> Option<Timestamp> {
        origin(looks).earliest
    }

    #[test]
    fn prepared_before_the_first_look_is_bounded_by_nothing() {
        let only = prepared("p", 7);
        assert_eq!(earliest(&[(10, vec![only.clone()])]), None);
        // Nor by looks that come after it.
        let later = [(10, vec![only.clone()]), (20, vec![session(1, 15, None), only])];
        assert_eq!(earliest(&later), None);
    }

    #[test]
    fn prepared_session_of_the_same_number_bounds_it_exactly() {
        let looks = [
            (10, vec![session(1, 3, Some(7)), session(2, 1, None)]),
            (20, vec![session(2, 1, None), prepared("p", 7)]),
        ];
        assert_eq!(earliest(&looks), Some(at(3)));
        // Also in the first look, where it was prepared between the two statements.
        let first = [(10, vec![session(1, 3, Some(7)), prepared("p", 7)])];
        assert_eq!(earliest(&first), Some(at(3)));
    }

    #[test]
    fn prepared_of_unknown_session_is_bounded_by_all_that_it_may_be() {
        let looks = [
            (10, vec![session(1, 3, None), session(2, 1, Some(5))]),
            (20, vec![prepared("p", 7)]),
        ];
        assert_eq!(earliest(&looks), Some(at(3)), "session 2 had another number");
        let unseen = [(10, vec![]), (20, vec![prepared("p", 7)])];
        assert_eq!(earliest(&unseen), Some(at(10)), "it began after the look before");
    }

    #[test]
    fn prepared_session_that_shows_another_number_later_is_excluded() {
        let mut looks = vec![
            (10, vec![session(1, 3, None), session(2, 1, None)]),
            (20, vec![session(2, 1, None), prepared("p", 7)]),
        ];
        assert_eq!(earliest(&looks), Some(at(1)));
        looks.push((30, vec![session(2, 1, Some(8)), prepared("p", 7)]));
        assert_eq!(earliest(&looks), Some(at(3)));
    }

    #[test]
    fn prepared_that_ended_is_forgotten() {
        let mut transactions = PreparedTransactions::default();
        for second in 0..1_000 {
            let mut open = [prepared(&format!("p{second}"), 7)];
            transactions.trace(at(second), steady(second), &mut open);
        }
        assert_eq!(transactions.known.len(), 1);
    }

    #[test]
    fn prepared_may_be_of_those_that_it_was_seen_as() {
        let candidates = origin(&[
            (10, vec![session(1, 3, None), session(2, 4, Some(9))]),
            (20, vec![prepared("p", 7)]),
        ])
        .candidates;
        assert_eq!(candidates, Some(BTreeSet::from([session(1, 3, None).id])));
        // Of looks on a connection before nothing is known.
        let first = origin(&[(20, vec![session(1, 3, None), prepared("p", 7)])]);
        assert_eq!(first.candidates, None, "it may be of any");
    }

    #[test]
    fn prepared_after_a_clock_step_is_bounded_by_the_lowest_time() {
        let earliest = |second: u64, looked: (Duration, Duration)| {
            let mut transactions = PreparedTransactions::default();
            transactions.trace(at(100), steady(100), &mut []);
            let mut open = [prepared("p", 7)];
            transactions.trace(at(second), looked, &mut open);
            open.into_iter().find_map(|one| one.origin?.earliest)
        };
        // The clock went back to 80 or less, then a transaction began and was prepared.
        assert_eq!(earliest(85, steady(109)), Some(at(76)));
        assert_eq!(
            earliest(105, steady(109)),
            Some(at(96)),
            "above the look before again"
        );
        assert_eq!(earliest(109, steady(109)), Some(at(100)));
        let slow = (Duration::from_secs(109), Duration::from_secs(150));
        assert_eq!(earliest(109, slow), Some(at(100)), "it only took long");
    }
}
