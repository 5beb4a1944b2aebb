//! PURE: when a waiting request will be answered, from its place and the gate's history.
//!
//! A forecast is honest or it is none: where the gate's history says nothing, or not within its horizon,
//! nothing is told. Work is rounded up to two digits before the history is asked, so that thousands of
//! waiting requests ask it a few dozen times, and none is promised earlier than was reckoned.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;

use crate::queue::{Key, Place};

/// When one request may be expected to be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Which.
    pub key: Key,
    /// Its place; 1 is the next.
    pub place: u64,
    /// When it is as likely through as not; none where nobody can tell.
    pub at: Option<Timestamp>,
}

/// Tells for every place when it is through. `gate` says when the source will have been used for so long from
/// now on, by the recorded idle hours.
pub fn tell(places: &[Place], gate: impl Fn(Duration) -> Option<Timestamp>) -> Vec<Expected> {
    let mut asked = BTreeMap::new();
    let one = |place: &Place| {
        let work = round_up(place.work_ms);
        let at = *asked
            .entry(work)
            .or_insert_with(|| gate(Duration::from_millis(work)));
        Expected {
            key: place.key.clone(),
            place: place.place,
            at,
        }
    };
    places.iter().map(one).collect()
}

/// The next number with at most two digits that are not 0.
fn round_up(millis: u64) -> u64 {
    let mut unit = 1_u64;
    while millis / unit >= 100 {
        unit = unit.saturating_mul(10);
    }
    millis.div_ceil(unit).saturating_mul(unit)
}

/// How long answers of each kind used the source, as far as was seen by this process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Costs {
    kinds: BTreeMap<String, VecDeque<u64>>,
    all: VecDeque<u64>,
}

/// Answers that are remembered of each kind: the last ones, for data and load change.
const REMEMBERED: usize = 31;

/// The cost of an answer when none was seen yet, in milliseconds: one quantum.
const FIRST_MS: u64 = 20;

impl Costs {
    /// An answer of this kind used the source for so long.
    pub fn learn(&mut self, kind: &str, millis: u64) {
        if !self.kinds.contains_key(kind) {
            self.kinds.insert(kind.to_owned(), VecDeque::new());
        }
        for seen in self.kinds.get_mut(kind).into_iter().chain([&mut self.all]) {
            if seen.len() == REMEMBERED {
                seen.pop_front();
            }
            seen.push_back(millis);
        }
    }

    /// What an answer of this kind will probably cost, in milliseconds: the median of the last ones of the
    /// kind; of all kinds where there was none; one quantum where there was none at all.
    #[must_use]
    pub fn of(&self, kind: &str) -> u64 {
        let own = self.kinds.get(kind).and_then(median);
        own.or_else(|| median(&self.all)).unwrap_or(FIRST_MS)
    }
}

fn median(seen: &VecDeque<u64>) -> Option<u64> {
    let mut sorted: Vec<u64> = seen.iter().copied().collect();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use proptest::prelude::*;

    use super::*;
    use crate::sample::at;

    fn place(number: u64, work_ms: u64) -> Place {
        Place {
            key: Key {
                recipient: "a".parse().unwrap(),
                id: format!("20260131-{number:08}").parse().unwrap(),
            },
            place: number,
            work_ms,
        }
    }

    #[test]
    fn each_place_is_told_by_the_gates_history_which_is_asked_seldom() {
        let places: Vec<Place> = (1..=10_000).map(|n| place(n, n * 20)).collect();
        let asked = Cell::new(0);
        // Half of the time is idle, and nothing is known of more than a minute's work.
        let told = tell(&places, |work| {
            asked.set(asked.get() + 1);
            let seconds = i64::try_from(work.as_secs()).unwrap();
            (seconds < 60).then(|| at(seconds * 2))
        });
        assert_eq!((told[0].place, told[0].at), (1, Some(at(0))));
        assert_eq!(told[1_499].at, Some(at(60)));
        assert_eq!(told[9_999].at, None);
        assert!(asked.get() < 300, "{}", asked.get());
    }

    #[test]
    fn a_kind_costs_what_its_last_answers_did() {
        let mut costs = Costs::default();
        assert_eq!(costs.of("a"), FIRST_MS);
        [100, 900, 110]
            .iter()
            .for_each(|millis| costs.learn("a", *millis));
        assert_eq!((costs.of("a"), costs.of("b")), (110, 110));
        (0..REMEMBERED).for_each(|_| costs.learn("a", 5));
        costs.learn("b", 7);
        assert_eq!((costs.of("a"), costs.of("b"), costs.of("c")), (5, 7, 5));
    }

    proptest! {
        /// A later place is never promised earlier, and nothing earlier than its work allows.
        #[test]
        fn forecasts_follow_the_places(costs in prop::collection::vec(1_u64..100_000, 1..50)) {
            let mut sum = 0;
            let places: Vec<Place> = (1..).zip(&costs).map(|(number, cost)| { sum += cost; place(number, sum) }).collect();
            let told = tell(&places, |work| Some(at(0) + work));
            for (told, place) in told.iter().zip(&places) {
                prop_assert!(told.at >= Some(at(0) + Duration::from_millis(place.work_ms)));
            }
            prop_assert!(told.is_sorted_by_key(|told| told.at));
        }

        #[test]
        fn rounding_goes_up_and_not_far(millis in any::<u64>()) {
            let rounded = round_up(millis);
            prop_assert!(rounded >= millis && rounded - millis <= millis / 10);
        }
    }
}
