//! PURE: latencies and statuses of many requests.

use std::collections::BTreeMap;
use std::time::Duration;

/// What was measured of one kind of request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    /// In microseconds.
    latencies: Vec<u32>,
    /// By status.
    statuses: BTreeMap<u16, u64>,
    /// Connections that ended without a response.
    pub(crate) failures: u64,
    /// The first of them.
    pub(crate) failure: Option<String>,
}

impl Tally {
    /// Counts a response.
    pub(crate) fn answered(&mut self, status: u16, latency: Duration) {
        self.latencies
            .push(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
        *self.statuses.entry(status).or_default() += 1;
    }

    /// Counts a request without a response.
    pub(crate) fn failed(&mut self, why: String) {
        self.failures += 1;
        self.failure.get_or_insert(why);
    }

    /// Adds what another connection measured.
    pub(crate) fn add(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self.failures += other.failures;
        if self.failure.is_none() {
            self.failure = other.failure;
        }
    }

    /// Returns the number of responses.
    pub(crate) fn count(&self) -> u64 {
        self.statuses.values().sum()
    }

    /// Returns the number of responses of a class: 2 for 2xx.
    pub(crate) fn class(&self, class: u16) -> u64 {
        let of_class = self.statuses.iter().filter(|(status, _)| *status / 100 == class);
        of_class.map(|(_, count)| count).sum()
    }

    /// Returns the statuses with their counts, as text.
    pub(crate) fn statuses(&self) -> String {
        let parts = self
            .statuses
            .iter()
            .map(|(status, count)| format!("{status}: {count}"));
        parts.collect::<Vec<_>>().join(", ")
    }

    /// Returns the latencies at these shares of all requests, from 0 to 1.
    pub(crate) fn percentiles<const N: usize>(&self, shares: [f64; N]) -> [Duration; N] {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        shares.map(|share| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_precision_loss,
                clippy::cast_sign_loss,
                reason = "an index below the number of requests"
            )]
            let index = (sorted.len().saturating_sub(1) as f64 * share).round() as usize;
            Duration::from_micros(sorted.get(index).copied().unwrap_or_default().into())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tally_percentiles_are_of_all_connections() {
        let mut tally = Tally::default();
        for half in [1..=50_u64, 51..=101] {
            let mut part = Tally::default();
            for millis in half {
                part.answered(204, Duration::from_millis(millis));
            }
            tally.add(part);
        }
        tally.answered(503, Duration::ZERO);
        let [least, median, most] = tally.percentiles([0.0, 0.5, 1.0]);
        assert_eq!(
            (least, most),
            (Duration::ZERO, Duration::from_millis(101)),
            "{tally:?}"
        );
        assert!([50, 51].contains(&median.as_millis()), "{median:?}");
        assert_eq!((tally.count(), tally.class(2), tally.class(5)), (102, 101, 1));
        assert_eq!(tally.statuses(), "204: 101, 503: 1");
        assert_eq!(Tally::default().percentiles([0.5]), [Duration::ZERO]);
    }
}
