//! What is known of prepared transactions: when they can have begun at the earliest, and which sessions' transactions they
//! may have been.
//!
//! `pg_prepared_xacts` tells when a transaction was prepared, not when it began. Each one was seen before as a
//! session's transaction, or it began after the look before: both bound its begin. Its number tells which session's it
//! was, where the session had one when it was seen; without it, every session without a number may have been the one.
//! What was prepared before the first look is bounded by nothing.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::open::{OpenTransaction, TransactionId};

/// Prepared transactions that are still there, as they were first seen.
#[derive(Debug, Clone, Default)]
pub(super) struct PreparedBook {
    last: Option<LastLook>,
    known: BTreeMap<TransactionId, Origin>,
}

#[derive(Debug, Clone)]
struct LastLook {
    at: Timestamp,
    sessions: BTreeMap<TransactionId, Seen>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    xid: Option<u32>,
    since: Timestamp,
}

/// Where a prepared transaction can have come from.
#[derive(Debug, Clone)]
struct Origin {
    xid: Option<u32>,
    /// The look before it was first seen; none: there was none.
    floor: Option<Timestamp>,
    /// Transactions of sessions that it may have been, with their begin.
    candidates: BTreeMap<TransactionId, Timestamp>,
    /// It was the one candidate.
    is_matched: bool,
}

impl PreparedBook {
    /// Takes note of a look: sessions first, prepared transactions after them.
    pub(super) fn look(&mut self, at: Timestamp, open: &[OpenTransaction]) {
        let sessions: BTreeMap<TransactionId, Seen> = open
            .iter()
            .filter(|one| !one.is_prepared())
            .map(|one| (one.id.clone(), Seen::of(one)))
            .collect();
        let prepared: Vec<&OpenTransaction> = open.iter().filter(|one| one.is_prepared()).collect();
        self.known
            .retain(|id, _| prepared.iter().any(|one| one.id == *id));
        for origin in self.known.values_mut() {
            origin.exclude(&sessions);
        }
        for one in prepared {
            if !self.known.contains_key(&one.id) {
                let origin = Origin::of(one, self.last.as_ref(), &sessions);
                self.known.insert(one.id.clone(), origin);
            }
        }
        self.last = Some(LastLook { at, sessions });
    }

    /// When a prepared transaction can have begun at the earliest; none: that is not known.
    pub(super) fn earliest(&self, id: &TransactionId) -> Option<Timestamp> {
        let origin = self.known.get(id)?;
        let candidates = origin.candidates.values().copied().min();
        if origin.is_matched {
            return candidates;
        }
        let floor = origin.floor?;
        Some(candidates.map_or(floor, |since| since.min(floor)))
    }

    /// Whether a prepared transaction may have been one of these, under this name or another.
    pub(super) fn may_be_of(&self, id: &TransactionId, these: &BTreeSet<TransactionId>) -> bool {
        let Some(origin) = self.known.get(id) else {
            return true;
        };
        these.contains(id) || origin.candidates.keys().any(|one| these.contains(one))
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
    fn of(one: &OpenTransaction, last: Option<&LastLook>, now: &BTreeMap<TransactionId, Seen>) -> Self {
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
            floor: last.map(|last| last.at),
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
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
        }
    }

    fn prepared(name: &str, xid: u32) -> OpenTransaction {
        OpenTransaction {
            id: TransactionId::Prepared(name.into()),
            xid: Some(xid),
            ..session(0, 999, None)
        }
    }

    fn earliest(looks: &[(u64, Vec<OpenTransaction>)], name: &str) -> Option<Timestamp> {
        let mut book = PreparedBook::default();
        for (second, open) in looks {
            book.look(at(*second), open);
        }
        book.earliest(&TransactionId::Prepared(name.into()))
    }

    #[test]
    fn prepared_before_the_first_look_is_bounded_by_nothing() {
        let only = prepared("p", 7);
        assert_eq!(earliest(&[(10, vec![only.clone()])], "p"), None);
        // Nor by looks that come after it.
        let later = [(10, vec![only.clone()]), (20, vec![session(1, 15, None), only])];
        assert_eq!(earliest(&later, "p"), None);
    }

    #[test]
    fn prepared_session_of_the_same_number_bounds_it_exactly() {
        let looks = [
            (10, vec![session(1, 3, Some(7)), session(2, 1, None)]),
            (20, vec![session(2, 1, None), prepared("p", 7)]),
        ];
        assert_eq!(earliest(&looks, "p"), Some(at(3)));
        // Also in the first look, where it was prepared between the two statements.
        let first = [(10, vec![session(1, 3, Some(7)), prepared("p", 7)])];
        assert_eq!(earliest(&first, "p"), Some(at(3)));
    }

    #[test]
    fn prepared_of_unknown_session_is_bounded_by_all_that_it_may_be() {
        let looks = [
            (10, vec![session(1, 3, None), session(2, 1, Some(5))]),
            (20, vec![prepared("p", 7)]),
        ];
        assert_eq!(earliest(&looks, "p"), Some(at(3)), "session 2 had another number");
        let unseen = [(10, vec![]), (20, vec![prepared("p", 7)])];
        assert_eq!(
            earliest(&unseen, "p"),
            Some(at(10)),
            "it began after the look before"
        );
    }

    #[test]
    fn prepared_session_that_shows_another_number_later_is_excluded() {
        let mut looks = vec![
            (10, vec![session(1, 3, None), session(2, 1, None)]),
            (20, vec![session(2, 1, None), prepared("p", 7)]),
        ];
        assert_eq!(earliest(&looks, "p"), Some(at(1)));
        looks.push((30, vec![session(2, 1, Some(8)), prepared("p", 7)]));
        assert_eq!(earliest(&looks, "p"), Some(at(3)));
    }

    #[test]
    fn prepared_that_ended_is_forgotten() {
        let mut book = PreparedBook::default();
        for second in 0..1_000 {
            book.look(at(second), &[prepared(&format!("p{second}"), 7)]);
        }
        assert_eq!(book.known.len(), 1);
    }

    #[test]
    fn prepared_may_be_of_those_that_it_was_seen_as() {
        let mut book = PreparedBook::default();
        book.look(at(10), &[session(1, 3, None), session(2, 4, Some(9))]);
        book.look(at(20), &[prepared("p", 7)]);
        let id = TransactionId::Prepared("p".into());
        let these = |one: OpenTransaction| BTreeSet::from([one.id]);
        assert!(book.may_be_of(&id, &these(session(1, 3, None))));
        assert!(!book.may_be_of(&id, &these(session(2, 4, None))));
        assert!(book.may_be_of(&id, &these(prepared("p", 7))));
    }
}
