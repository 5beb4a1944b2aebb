//! PURE: which parts are the answer, and which attempt is next.
//!
//! A responder may be killed during an answer, and two may answer at once. Each uses an attempt of its own. The final reply names
//! one attempt and the digest of each of its parts. All other parts are orphans: not part of the answer, but disclosed, so they
//! are counted.

use schemas::digest::Digest;
use schemas::reply::Reply;

/// A part that the exchange holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredPart<'a> {
    /// Its attempt, from 1.
    pub attempt: u32,
    /// Its number in the attempt, from 1.
    pub number: u32,
    /// The digest of its published bytes.
    pub digest: Digest,
    /// Rows in it.
    pub rows: u64,
    /// The responder process that created it.
    pub instance: &'a str,
}

/// The parts of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartSelection {
    /// Indices of the answer's parts, in order.
    pub counts: Vec<usize>,
    /// Numbers of parts that the reply names and that are missing or have another digest.
    pub missing: Vec<u32>,
    /// Indices of parts that do not belong to the answer.
    pub orphans: Vec<usize>,
    /// Rows in the answer's parts.
    pub rows: u64,
    /// Whether all parts exist and have the number of rows that the reply states.
    pub whole: bool,
}

/// Selects the parts of a reply. The order of `seen` does not matter.
#[must_use]
pub fn select_parts(reply: &Reply, seen: &[StoredPart<'_>]) -> PartSelection {
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
            // A part that was read twice counts once.
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
    PartSelection {
        whole: missing.is_empty() && rows == reply.outcome.rows(),
        counts,
        missing,
        orphans,
        rows,
    }
}

/// Returns the next attempt: after every attempt that has a part or is named by the progress. (A responder whose first part
/// already exists continues with the one after.)
#[must_use]
pub fn next(seen: &[StoredPart<'_>], from_progress: Option<u32>) -> u32 {
    let last = seen.iter().map(|part| part.attempt).chain(from_progress).max();
    last.unwrap_or_default().saturating_add(1)
}

/// Returns the process that owns an attempt: the one that stored its first part, or `None` if none did.
#[must_use]
pub fn owner<'a>(seen: &[StoredPart<'a>], attempt: u32) -> Option<&'a str> {
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

    fn part(attempt: u32, number: u32) -> StoredPart<'static> {
        StoredPart {
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
    fn attempt_answer_has_only_parts_of_the_reply() {
        let seen = [part(1, 1), part(2, 2), part(1, 2), part(2, 1), part(2, 3)];
        let weighed = select_parts(&reply(Some(2), 2), &seen);
        assert_eq!(weighed.counts, [3, 1]);
        assert_eq!(weighed.orphans, [0, 2, 4]);
        assert!(weighed.whole && weighed.rows == 20);
    }

    #[test]
    fn attempt_missing_changed_and_misplaced_parts_are_found() {
        let mut forged = part(1, 2);
        forged.digest = digest(9, 9);
        let mut moved = part(1, 1);
        moved.number = 3;
        let weighed = select_parts(&reply(Some(1), 3), &[part(1, 1), forged, moved]);
        assert_eq!((weighed.counts, weighed.missing), (vec![0], vec![2, 3]));
        assert_eq!(weighed.orphans, [1, 2]);
        assert!(!weighed.whole);
        // Parts with another number of rows are not a complete answer either.
        let mut short = part(1, 1);
        short.rows = 9;
        assert!(!select_parts(&reply(Some(1), 1), &[short]).whole);
        // A reply without an attempt has no parts.
        assert_eq!(select_parts(&reply(None, 1), &[part(1, 1)]).orphans, [0]);
        assert!(select_parts(&sample::reply(Outcome::Empty), &[]).whole);
    }

    #[test]
    fn attempt_next_number_is_unused() {
        assert_eq!((next(&[], None), next(&[], Some(3))), (1, 4));
        let seen = [part(2, 1), part(1, 1)];
        assert_eq!((next(&seen, None), next(&seen, Some(1))), (3, 3));
        assert_eq!(
            (owner(&seen, 1), owner(&seen, 2), owner(&seen, 3)),
            (Some("one"), Some("two"), None)
        );
    }

    proptest! {
        /// Each part is in the answer, an orphan or a duplicate, and the order does not matter.
        #[test]
        fn attempt_every_part_is_accounted_for(
            parts in prop::collection::vec((1_u32..4, 0_u32..6), 0..20),
            named in 0_u32..6,
            turn in any::<prop::sample::Index>(),
        ) {
            let mut seen: Vec<StoredPart<'_>> = parts.iter().map(|(attempt, number)| part(*attempt, *number)).collect();
            let reply = reply(Some(2), named);
            let one = select_parts(&reply, &seen);
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
            let other = select_parts(&reply, &seen);
            prop_assert_eq!((other.missing, other.rows, other.whole), (one.missing, one.rows, one.whole));
        }
    }
}
