//! Bounds when prepared transactions began, and which sessions' transactions they may have been.
//!
//! `pg_prepared_xacts` shows when a transaction was prepared, not when it began. Either an earlier snapshot shows it as a session's
//! transaction, or it began after that snapshot: both bound its start. Its number identifies the session if the session already
//! had a number. Otherwise every session without a number is a candidate. A transaction prepared before the first snapshot is
//! not bounded.
//!
//! All feeds of a connection share these snapshots, so the bounds are as close as if every feed took all of them.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::clock::{JITTER, minus, plus};
use super::open::{OpenTransaction, PreparedOrigin, TransactionId};

/// Prepared transactions that still exist, as first observed.
#[derive(Debug, Clone, Default)]
pub struct PreparedTransactions {
    last: Option<LastLook>,
    known: BTreeMap<TransactionId, Origin>,
}

#[derive(Debug, Clone)]
struct LastLook {
    at: Timestamp,
    /// The monotonic clock before and after it.
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
    /// The lowest time that the source's clock can have shown since the snapshot before the first that contains it, or `None` if
    /// there was no snapshot before.
    floor: Option<Timestamp>,
    /// Sessions' transactions that it may have been, with their start.
    candidates: BTreeMap<TransactionId, Timestamp>,
    /// Whether its number identified the session.
    is_matched: bool,
}

impl PreparedTransactions {
    /// Records a snapshot, which reads sessions before prepared transactions, and sets the origins of the latter.
    ///
    /// `at` is the source's clock at the start of the snapshot. `steady` is a monotonic clock before and after it, which reveals that
    /// the source's clock was set back.
    pub fn trace(&mut self, at: Timestamp, steady: (Duration, Duration), open: &mut [OpenTransaction]) {
        let sessions: BTreeMap<TransactionId, Seen> = open
            .iter()
            .filter(|one| !one.is_prepared())
            .map(|one| (one.id.clone(), Seen::new(one)))
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
            let origin = known.or_insert_with(|| Origin::new(one, last, floor, &sessions));
            one.origin = Some(origin.describe());
        }
        self.last = Some(LastLook { at, steady, sessions });
    }
}

impl LastLook {
    /// Returns the lowest time that the source's clock can have shown between this snapshot and a later one.
    fn lowest_since(&self, at: Timestamp, (began, ended): (Duration, Duration)) -> Timestamp {
        // A slow snapshot proves no step: only the least possible difference counts.
        let is_stepped = plus(at, JITTER) < plus(self.at, began.saturating_sub(self.steady.1));
        if is_stepped {
            self.at.min(minus(at, ended.saturating_sub(self.steady.0)))
        } else {
            self.at
        }
    }
}

impl Seen {
    fn new(one: &OpenTransaction) -> Self {
        Self {
            xid: one.xid,
            since: one.since,
        }
    }
}

impl Origin {
    fn new(
        one: &OpenTransaction,
        last: Option<&LastLook>,
        floor: Option<Timestamp>,
        now: &BTreeMap<TransactionId, Seen>,
    ) -> Self {
        let mut seen = last.map(|last| last.sessions.clone()).unwrap_or_default();
        // The newer snapshot knows more of a session that is in both.
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

    /// Removes sessions that have another number now: they are other transactions.
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
        // In the first snapshot of a connection: a maximum of the previous connection may wait for it.
        let is_traced = self.is_matched || self.floor.is_some();
        PreparedOrigin {
            earliest,
            candidates: is_traced.then(|| self.candidates.keys().cloned().collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

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

    /// Returns the origin of the prepared transaction of the last snapshot, with a clock that only goes forward.
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
    fn prepared_before_the_first_snapshot_is_unbounded() {
        let only = prepared("p", 7);
        assert_eq!(earliest(&[(10, vec![only.clone()])]), None);
        // Later snapshots do not bound it either.
        let later = [(10, vec![only.clone()]), (20, vec![session(1, 15, None), only])];
        assert_eq!(earliest(&later), None);
    }

    #[test]
    fn prepared_with_a_sessions_number_is_bounded_exactly() {
        let looks = [
            (10, vec![session(1, 3, Some(7)), session(2, 1, None)]),
            (20, vec![session(2, 1, None), prepared("p", 7)]),
        ];
        assert_eq!(earliest(&looks), Some(at(3)));
        // Also in the first snapshot, if it was prepared between the two statements.
        let first = [(10, vec![session(1, 3, Some(7)), prepared("p", 7)])];
        assert_eq!(earliest(&first), Some(at(3)));
    }

    #[test]
    fn prepared_of_unknown_session_is_bounded_by_candidates() {
        let looks = [
            (10, vec![session(1, 3, None), session(2, 1, Some(5))]),
            (20, vec![prepared("p", 7)]),
        ];
        assert_eq!(earliest(&looks), Some(at(3)), "session 2 had another number");
        let unseen = [(10, vec![]), (20, vec![prepared("p", 7)])];
        assert_eq!(earliest(&unseen), Some(at(10)), "it began after the look before");
    }

    #[test]
    fn prepared_candidate_with_another_number_is_excluded() {
        let mut looks = vec![
            (10, vec![session(1, 3, None), session(2, 1, None)]),
            (20, vec![session(2, 1, None), prepared("p", 7)]),
        ];
        assert_eq!(earliest(&looks), Some(at(1)));
        looks.push((30, vec![session(2, 1, Some(8)), prepared("p", 7)]));
        assert_eq!(earliest(&looks), Some(at(3)));
    }

    #[test]
    fn prepared_that_ended_is_removed() {
        let mut transactions = PreparedTransactions::default();
        for second in 0..1_000 {
            let mut open = [prepared(&format!("p{second}"), 7)];
            transactions.trace(at(second), steady(second), &mut open);
        }
        assert_eq!(transactions.known.len(), 1);
    }

    #[test]
    fn prepared_candidates_are_earlier_sessions() {
        let candidates = origin(&[
            (10, vec![session(1, 3, None), session(2, 4, Some(9))]),
            (20, vec![prepared("p", 7)]),
        ])
        .candidates;
        assert_eq!(candidates, Some(BTreeSet::from([session(1, 3, None).id])));
        // Nothing is known of snapshots on an earlier connection.
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
