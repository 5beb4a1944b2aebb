//! PURE: which parts are the answer, and which attempt comes next.
//!
//! A responder may be killed in the middle of an answer, and two may answer at once. Each works on an attempt of
//! its own, and the one final reply names an attempt and the digest of each of its parts. All other parts are
//! orphans: no answer, but disclosed all the same, so they are counted.

use schemas::digest::Digest;
use schemas::reply::Reply;

/// A part as the exchange holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen<'a> {
    /// Its attempt, from 1.
    pub attempt: u32,
    /// Its number in the attempt, from 1.
    pub number: u32,
    /// The digest of its published bytes.
    pub digest: Digest,
    /// Rows in it.
    pub rows: u64,
    /// The responder's process that made it.
    pub instance: &'a str,
}

/// What a reply makes of the parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weighed {
    /// Places in the list that was given, in the order of the answer.
    pub counts: Vec<usize>,
    /// Numbers that the reply names and that are not there, or not with that digest.
    pub missing: Vec<u32>,
    /// Places of parts that are no answer.
    pub orphans: Vec<usize>,
    /// Rows in the parts that count.
    pub rows: u64,
    /// Whether all of it is there, with the rows that the reply says.
    pub whole: bool,
}

/// Weighs the parts of a request by its reply, in whatever order they were read.
#[must_use]
pub fn weigh(reply: &Reply, seen: &[Seen<'_>]) -> Weighed {
    let named = reply.outcome.parts();
    let mut found: Vec<Option<usize>> = vec![None; named.len()];
    let mut orphans = Vec::new();
    for (at, part) in seen.iter().enumerate() {
        let place = part
            .number
            .checked_sub(1)
            .and_then(|place| usize::try_from(place).ok());
        let own = place
            .filter(|place| reply.attempt == Some(part.attempt) && named.get(*place) == Some(&part.digest));
        match own.and_then(|place| found.get_mut(place)) {
            Some(slot @ None) => *slot = Some(at),
            // The same part read twice is one part.
            Some(Some(_)) => {}
            None => orphans.push(at),
        }
    }
    let missing: Vec<u32> = (1..)
        .zip(&found)
        .filter(|(_, slot)| slot.is_none())
        .map(|(n, _)| n)
        .collect();
    let counts: Vec<usize> = found.into_iter().flatten().collect();
    let rows = counts
        .iter()
        .filter_map(|at| seen.get(*at))
        .fold(0_u64, |sum, part| sum.saturating_add(part.rows));
    Weighed {
        whole: missing.is_empty() && rows == reply.outcome.rows(),
        counts,
        missing,
        orphans,
        rows,
    }
}

/// The attempt that a responder begins: the next after all of which anything is known, parts or what was
/// told in the progress. (Whoever finds its first part taken goes on with the one after.)
#[must_use]
pub fn next(seen: &[Seen<'_>], told: Option<u32>) -> u32 {
    let last = seen.iter().map(|part| part.attempt).chain(told).max();
    last.unwrap_or_default().saturating_add(1)
}

/// Whose attempt it is: that of the process that stored its first part. None while nobody did.
#[must_use]
pub fn owner<'a>(seen: &[Seen<'a>], attempt: u32) -> Option<&'a str> {
    let first = seen
        .iter()
        .find(|part| part.attempt == attempt && part.number == 1);
    first.map(|part| part.instance)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use schemas::reply::Outcome;

    use super::*;
    use crate::sample;

    fn digest(attempt: u32, number: u32) -> Digest {
        Digest::of(&[&attempt.to_be_bytes(), &number.to_be_bytes()])
    }

    fn part(attempt: u32, number: u32) -> Seen<'static> {
        Seen {
            attempt,
            number,
            digest: digest(attempt, number),
            rows: 10,
            instance: if attempt == 1 { "one" } else { "two" },
        }
    }

    fn reply(attempt: Option<u32>, parts: u32) -> Reply {
        let outcome = Outcome::Answered {
            rows: u64::from(parts) * 10,
            parts: (1..=parts)
                .map(|number| digest(attempt.unwrap_or(1), number))
                .collect(),
        };
        Reply {
            attempt,
            ..sample::reply(outcome)
        }
    }

    #[test]
    fn only_what_the_reply_names_is_the_answer() {
        let seen = [part(1, 1), part(2, 2), part(1, 2), part(2, 1), part(2, 3)];
        let weighed = weigh(&reply(Some(2), 2), &seen);
        assert_eq!(weighed.counts, [3, 1]);
        assert_eq!(weighed.orphans, [0, 2, 4]);
        assert!(weighed.whole && weighed.rows == 20);
    }

    #[test]
    fn a_missing_a_changed_and_a_misplaced_part_are_told() {
        let mut forged = part(1, 2);
        forged.digest = digest(9, 9);
        let mut moved = part(1, 1);
        moved.number = 3;
        let weighed = weigh(&reply(Some(1), 3), &[part(1, 1), forged, moved]);
        assert_eq!((weighed.counts, weighed.missing), (vec![0], vec![2, 3]));
        assert_eq!(weighed.orphans, [1, 2]);
        assert!(!weighed.whole);
        // Rows that do not add up are no whole answer either.
        let mut short = part(1, 1);
        short.rows = 9;
        assert!(!weigh(&reply(Some(1), 1), &[short]).whole);
        // A reply that names no attempt has no parts.
        assert_eq!(weigh(&reply(None, 1), &[part(1, 1)]).orphans, [0]);
        assert!(weigh(&sample::reply(Outcome::Empty), &[]).whole);
    }

    #[test]
    fn the_next_attempt_is_nobodys() {
        assert_eq!((next(&[], None), next(&[], Some(3))), (1, 4));
        let seen = [part(2, 1), part(1, 1)];
        assert_eq!((next(&seen, None), next(&seen, Some(1))), (3, 3));
        assert_eq!(
            (owner(&seen, 1), owner(&seen, 2), owner(&seen, 3)),
            (Some("one"), Some("two"), None)
        );
    }

    proptest! {
        /// Each part either counts or is an orphan, or is there twice; and order does not matter.
        #[test]
        fn every_part_is_accounted_for(
            parts in prop::collection::vec((1_u32..4, 0_u32..6), 0..20),
            named in 0_u32..6,
            turn in any::<prop::sample::Index>(),
        ) {
            let mut seen: Vec<Seen<'_>> = parts.iter().map(|(attempt, number)| part(*attempt, *number)).collect();
            let reply = reply(Some(2), named);
            let one = weigh(&reply, &seen);
            let own: std::collections::BTreeSet<u32> =
                parts.iter().filter(|(attempt, number)| *attempt == 2 && (1..=named).contains(number)).map(|(_, n)| *n).collect();
            prop_assert_eq!(one.counts.len(), own.len());
            prop_assert_eq!(one.whole, own.len() == named as usize);
            let orphans = parts.iter().filter(|(attempt, number)| *attempt != 2 || !own.contains(number)).count();
            prop_assert_eq!(one.orphans.len(), orphans);
            if !seen.is_empty() {
                let turn = turn.index(seen.len());
                seen.rotate_left(turn);
            }
            let other = weigh(&reply, &seen);
            prop_assert_eq!((other.missing, other.rows, other.whole), (one.missing, one.rows, one.whole));
        }
    }
}
