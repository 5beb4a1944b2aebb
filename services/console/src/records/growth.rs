//! How streams grow: the states that were read since the console started.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use exchange::StreamState;
use jiff::{SignedDuration, Timestamp};

/// The longest period that a growth is measured over.
const WINDOW: SignedDuration = SignedDuration::from_hours(24);

/// A stream is noted again when its last sample is older.
const INTERVAL: SignedDuration = SignedDuration::from_mins(1);

/// What a stream held at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) at: Timestamp,
    pub(crate) bytes: u64,
}

/// The samples of all streams, by name. A stream's state is the same for every party that may read it.
#[derive(Debug, Default)]
pub(crate) struct GrowthSamples(Mutex<BTreeMap<String, Vec<Sample>>>);

impl GrowthSamples {
    /// Notes a state and returns the oldest sample of the window.
    pub(crate) fn note(&self, state: &StreamState, now: Timestamp) -> Option<Sample> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let samples = all.entry(state.name.clone()).or_default();
        add(
            samples,
            Sample {
                at: now,
                bytes: state.bytes,
            },
        );
        samples.first().copied()
    }
}

/// PURE: adds a sample. One with fewer bytes replaces all: messages were removed.
fn add(samples: &mut Vec<Sample>, sample: Sample) {
    if samples.last().is_some_and(|last| sample.bytes < last.bytes) {
        samples.clear();
    }
    if samples
        .last()
        .is_none_or(|last| sample.at.duration_since(last.at) >= INTERVAL)
    {
        samples.push(sample);
    }
    samples.retain(|kept| sample.at.duration_since(kept.at) <= WINDOW);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(minutes: i64, bytes: u64) -> Sample {
        Sample {
            at: Timestamp::from_second(minutes * 60).unwrap(),
            bytes,
        }
    }

    #[test]
    fn growth_samples_are_of_one_day_and_of_one_filling() {
        let mut samples = Vec::new();
        for (minutes, bytes) in [(0, 10), (1, 20), (1, 25), (1_439, 30), (1_441, 40)] {
            add(&mut samples, sample(minutes, bytes));
        }
        assert_eq!(samples, [sample(1, 20), sample(1_439, 30), sample(1_441, 40)]);
        add(&mut samples, sample(1_442, 5));
        assert_eq!(samples, [sample(1_442, 5)], "it was emptied");
    }
}
