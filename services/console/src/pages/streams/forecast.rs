//! PURE: the growth of a stream, and when it is full.

use exchange::StreamState;
use jiff::{SignedDuration, Timestamp};

use crate::records::growth::Sample;

/// A shorter period does not show the growth of a day.
const MIN_LIFE: SignedDuration = SignedDuration::from_hours(1);

/// A shorter measurement does not show a growth.
const MIN_MEASURED: SignedDuration = SignedDuration::from_mins(10);

/// Seconds of a day.
const DAY: u128 = 86_400;

/// A later time is not forecast.
const MAX_DAYS: u64 = 3_650;

/// How a stream grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Growth {
    /// Bytes a day.
    pub(super) bytes_per_day: u64,
    /// The seconds over which it was measured.
    pub(super) period_s: i64,
    /// Whether it was measured by this console, else from the stream's first message on.
    pub(super) is_measured: bool,
}

/// When a stream is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Forecast {
    /// At this time.
    At(Timestamp),
    /// Not within ten years.
    Far,
    /// It is full now.
    Now,
    /// It has no limit.
    NoLimit,
    /// The period is too short.
    Unknown,
}

/// Returns the growth since the first message, and the one that this console measured. Each is missing if its period is too
/// short.
pub(super) fn growth(state: &StreamState, sample: Option<Sample>, now: Timestamp) -> Vec<Growth> {
    let life = state.first_stored_at.and_then(|first| {
        let period = now.duration_since(first);
        (period >= MIN_LIFE).then(|| rate(state.bytes, period, false))
    });
    let measured = sample.and_then(|sample| {
        let period = now.duration_since(sample.at);
        let grown = state.bytes.checked_sub(sample.bytes)?;
        (period >= MIN_MEASURED).then(|| rate(grown, period, true))
    });
    life.into_iter().chain(measured).collect()
}

fn rate(bytes: u64, period: SignedDuration, is_measured: bool) -> Growth {
    let seconds = u128::try_from(period.as_secs()).unwrap_or(1).max(1);
    let per_day = u128::from(bytes) * DAY / seconds;
    Growth {
        bytes_per_day: u64::try_from(per_day).unwrap_or(u64::MAX),
        period_s: period.as_secs(),
        is_measured,
    }
}

/// Returns when the stream is full, by the fastest growth.
pub(super) fn forecast(state: &StreamState, growth: &[Growth], now: Timestamp) -> Forecast {
    let Some(limit) = state.max_bytes else {
        return Forecast::NoLimit;
    };
    let left = limit.saturating_sub(state.bytes);
    if left == 0 {
        return Forecast::Now;
    }
    let Some(fastest) = growth.iter().map(|growth| growth.bytes_per_day).max() else {
        return Forecast::Unknown;
    };
    if fastest == 0 || left / fastest >= MAX_DAYS {
        return Forecast::Far;
    }
    let seconds = u128::from(left) * DAY / u128::from(fastest);
    let at = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| now.checked_add(SignedDuration::from_secs(seconds)).ok());
    at.map_or(Forecast::Far, Forecast::At)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(hours * 3_600).unwrap()
    }

    fn state(bytes: u64, max_bytes: Option<u64>) -> StreamState {
        StreamState {
            name: "DATA_insurer-a".to_owned(),
            messages: 1,
            bytes,
            max_bytes,
            first_sequence: 1,
            last_sequence: 1,
            first_stored_at: Some(at(0)),
            last_stored_at: Some(at(1)),
            leader: None,
            replicas: Vec::new(),
        }
    }

    #[test]
    fn stream_growth_states_its_period() {
        let sample = Sample {
            at: at(46),
            bytes: 900,
        };
        let grown = growth(&state(1_000, None), Some(sample), at(48));
        assert_eq!(
            grown,
            [
                Growth {
                    bytes_per_day: 500,
                    period_s: 48 * 3_600,
                    is_measured: false
                },
                Growth {
                    bytes_per_day: 1_200,
                    period_s: 2 * 3_600,
                    is_measured: true
                },
            ]
        );
        let short = Timestamp::from_second(3_599).unwrap();
        assert_eq!(growth(&state(1_000, None), None, short), []);
    }

    #[test]
    fn stream_forecast_uses_the_fastest_growth() {
        let now = at(48);
        let growth = |bytes_per_day| Growth {
            bytes_per_day,
            period_s: 1,
            is_measured: true,
        };
        let full = |state: &StreamState, growth: &[Growth]| forecast(state, growth, now);
        let half = state(1_000, Some(2_000));
        assert_eq!(full(&half, &[growth(500), growth(1_000)]), Forecast::At(at(72)));
        assert_eq!(full(&half, &[growth(0)]), Forecast::Far);
        assert_eq!(full(&half, &[]), Forecast::Unknown);
        assert_eq!(full(&state(2_000, Some(2_000)), &[]), Forecast::Now);
        assert_eq!(full(&state(2_000, None), &[growth(1)]), Forecast::NoLimit);
        assert_eq!(full(&state(0, Some(u64::MAX)), &[growth(1)]), Forecast::Far);
    }
}
