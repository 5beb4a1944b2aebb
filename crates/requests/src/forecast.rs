//! PURE: when a waiting request will be answered, from its position and the gate's history.
//!
//! If the gate's history has no data for it, or the time is beyond its horizon, there is no forecast. Work is rounded up to two
//! digits, so that thousands of requests need few lookups, and no forecast is earlier than calculated.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;

use crate::queue::{QueuePosition, RequestKey};

/// When a request is expected to be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forecast {
    /// The request.
    pub key: RequestKey,
    /// Its position. 1 is the next.
    pub place: u64,
    /// The median of the time at which it is answered, or `None` if unknown.
    pub at: Option<Timestamp>,
}

/// Estimates the answer time of every position. `gate` returns when the source will have been used for the given time, by the
/// recorded idle hours.
pub fn estimate_all(places: &[QueuePosition], gate: impl Fn(Duration) -> Option<Timestamp>) -> Vec<Forecast> {
    let mut asked = BTreeMap::new();
    let one = |place: &QueuePosition| {
        let work = round_up(place.work_ms);
        let at = *asked
            .entry(work)
            .or_insert_with(|| gate(Duration::from_millis(work)));
        Forecast {
            key: place.key.clone(),
            place: place.place,
            at,
        }
    };
    places.iter().map(one).collect()
}

/// Rounds up to a number with at most two significant digits.
fn round_up(millis: u64) -> u64 {
    let mut unit = 1_u64;
    while millis / unit >= 100 {
        unit = unit.saturating_mul(10);
    }
    millis.div_ceil(unit).saturating_mul(unit)
}

/// How long answers of each kind used the source, as observed by this process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CostEstimator {
    kinds: BTreeMap<String, VecDeque<u64>>,
    all: VecDeque<u64>,
}

/// Recent answers per kind. Older ones are dropped, because data and load change.
const MAX_SAMPLES: usize = 31;

/// The cost in milliseconds before any answer: one quantum.
const DEFAULT_MS: u64 = 20;

impl CostEstimator {
    /// Records how long an answer of this kind used the source.
    pub fn record(&mut self, kind: &str, millis: u64) {
        if !self.kinds.contains_key(kind) {
            self.kinds.insert(kind.to_owned(), VecDeque::new());
        }
        for seen in self.kinds.get_mut(kind).into_iter().chain([&mut self.all]) {
            if seen.len() == MAX_SAMPLES {
                seen.pop_front();
            }
            seen.push_back(millis);
        }
    }

    /// Returns the expected cost of an answer of this kind in milliseconds: the median of the kind's recent answers, or else of all
    /// kinds, or else one quantum.
    #[must_use]
    pub fn estimate(&self, kind: &str) -> u64 {
        let own = self.kinds.get(kind).and_then(median);
        own.or_else(|| median(&self.all)).unwrap_or(DEFAULT_MS)
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

    fn place(number: u64, work_ms: u64) -> QueuePosition {
        QueuePosition {
            key: RequestKey {
                recipient: "a".parse().unwrap(),
                id: format!("20260131-{number:08}").parse().unwrap(),
            },
            place: number,
            work_ms,
        }
    }

    #[test]
    fn forecast_uses_few_lookups_of_the_gates_history() {
        let places: Vec<QueuePosition> = (1..=10_000).map(|n| place(n, n * 20)).collect();
        let asked = Cell::new(0);
        // Half of the time is idle, and nothing is known beyond one minute of work.
        let forecasts = estimate_all(&places, |work| {
            asked.set(asked.get() + 1);
            let seconds = i64::try_from(work.as_secs()).unwrap();
            (seconds < 60).then(|| at(seconds * 2))
        });
        assert_eq!((forecasts[0].place, forecasts[0].at), (1, Some(at(0))));
        assert_eq!(forecasts[1_499].at, Some(at(60)));
        assert_eq!(forecasts[9_999].at, None);
        assert!(asked.get() < 300, "{}", asked.get());
    }

    #[test]
    fn cost_of_a_kind_is_the_median_of_recent_answers() {
        let mut costs = CostEstimator::default();
        assert_eq!(costs.estimate("a"), DEFAULT_MS);
        [100, 900, 110]
            .iter()
            .for_each(|millis| costs.record("a", *millis));
        assert_eq!((costs.estimate("a"), costs.estimate("b")), (110, 110));
        (0..MAX_SAMPLES).for_each(|_| costs.record("a", 5));
        costs.record("b", 7);
        assert_eq!(
            (costs.estimate("a"), costs.estimate("b"), costs.estimate("c")),
            (5, 7, 5)
        );
    }

    proptest! {
        /// No later position has an earlier forecast, and no forecast is earlier than its work.
        #[test]
        fn forecast_order_is_that_of_positions(costs in prop::collection::vec(1_u64..100_000, 1..50)) {
            let mut sum = 0;
            let places: Vec<QueuePosition> = (1..).zip(&costs).map(|(number, cost)| { sum += cost; place(number, sum) }).collect();
            let forecasts = estimate_all(&places, |work| Some(at(0) + work));
            for (forecast, place) in forecasts.iter().zip(&places) {
                prop_assert!(forecast.at >= Some(at(0) + Duration::from_millis(place.work_ms)));
            }
            prop_assert!(forecasts.is_sorted_by_key(|forecast| forecast.at));
        }

        #[test]
        fn forecast_work_is_rounded_up(millis in any::<u64>()) {
            let rounded = round_up(millis);
            prop_assert!(rounded >= millis && rounded - millis <= millis / 10);
        }
    }
}
