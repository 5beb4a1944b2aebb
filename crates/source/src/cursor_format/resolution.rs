//! The smallest distance of two values of a cursor.

use std::collections::BTreeSet;
use std::time::Duration;

use schemas::cursor::Scalar;

use super::CursorFormat;
use super::time::TimeFormat;

const SECOND: i128 = 1_000_000_000;

/// Steps, each with the number of distinct multiples that prove that the column has no smaller one.
const STEPS: [(i128, usize); 7] = [
    (86_400 * SECOND, 5),
    (3_600 * SECOND, 5),
    (60 * SECOND, 5),
    (SECOND, 3),
    (1_000_000, 3),
    (1_000, 3),
    (1, 0),
];

/// What a sample of a cursor's values shows about its resolution.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Observed {
    /// Distinct times, in nanoseconds.
    times: BTreeSet<i128>,
    /// Distinct texts of a time without a fraction.
    whole: usize,
    /// The most digits of a fraction.
    digits: usize,
}

impl Observed {
    /// Collects the values of a format and skips others.
    pub(crate) fn from_sample(format: &CursorFormat, sample: &[Scalar]) -> Self {
        let mut observed = Self::default();
        for value in sample {
            let nanos = match (format, value) {
                (CursorFormat::Epoch(unit), Scalar::Int(number)) => Some(i128::from(*number) * unit.nanos()),
                (CursorFormat::Digits(_, Some(unit)), Scalar::Text(text)) => text
                    .parse::<i64>()
                    .ok()
                    .map(|number| i128::from(number) * unit.nanos()),
                (CursorFormat::Time(_), Scalar::Text(text)) => TimeFormat::nanos(text),
                _ => None,
            };
            let Some(nanos) = nanos else { continue };
            if observed.times.insert(nanos)
                && let Scalar::Text(text) = value
            {
                let digits = TimeFormat::fraction_of(text);
                observed.whole += usize::from(digits == 0);
                observed.digits = observed.digits.max(digits);
            }
        }
        observed
    }

    pub(crate) fn from_micros(times: impl IntoIterator<Item = i64>) -> Self {
        Self {
            times: times
                .into_iter()
                .map(|micros| i128::from(micros) * 1_000)
                .collect(),
            ..Self::default()
        }
    }

    /// Returns the greatest step that all times are multiples of, if there are enough of them.
    fn step(&self) -> i128 {
        let is_step = |(step, enough): &&(i128, usize)| {
            self.times.len() >= (*enough).max(1) && self.times.iter().all(|time| time.rem_euclid(*step) == 0)
        };
        STEPS.iter().find(is_step).map_or(1, |(step, _)| *step)
    }

    /// Returns the step as a duration.
    pub(crate) fn span(&self) -> Duration {
        span(self.step())
    }
}

fn span(nanos: i128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// Returns the smallest distance of two values of a format, from its spelling and the sample, or `None` if it is unknown.
pub(crate) fn step(format: &CursorFormat, observed: &Observed) -> Option<Duration> {
    let by_digits = |digits: usize| {
        let digits = u32::try_from(digits.min(9)).unwrap_or(9);
        SECOND / 10_i128.pow(digits)
    };
    let spelled = match format {
        CursorFormat::Epoch(unit) | CursorFormat::Digits(_, Some(unit)) => unit.nanos(),
        CursorFormat::Time(format) if format.separator.is_none() => 86_400 * SECOND,
        CursorFormat::Time(format) if !format.seconds => 60 * SECOND,
        CursorFormat::Time(format) => match format.fraction {
            Some(count) => by_digits(count),
            // Some writer omits the fraction. One such text may be chance.
            None if observed.digits == 0 || observed.whole > 1 => SECOND,
            None => by_digits(observed.digits),
        },
        CursorFormat::Integer | CursorFormat::Digits(_, None) | CursorFormat::Text => return None,
    };
    Some(span(spelled.max(observed.step())))
}

/// Returns the lag to configure for a cursor of this step whose rows are committed within `late`.
pub(crate) fn lag_to_write(step: Duration, late: Duration) -> String {
    let needed = step + late.max(Duration::from_millis(1));
    let millis = needed.as_millis();
    for (unit, span) in [("h", 3_600_000), ("m", 60_000), ("s", 1_000)] {
        if millis >= span * 2 {
            return format!("{}{unit}", millis.div_ceil(span));
        }
    }
    format!("{}ms", millis.max(2))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn step_of(texts: &[&str]) -> Option<Duration> {
        let now: Timestamp = "2026-11-29T12:00:00Z".parse().unwrap();
        let sample: Vec<Scalar> = texts
            .iter()
            .map(|text| Scalar::Text((*text).to_owned()))
            .collect();
        let format = CursorFormat::most_frequent(&sample, now, true)?;
        step(&format, &Observed::from_sample(&format, &sample))
    }

    #[test]
    fn resolution_comes_from_spelling_and_from_data() {
        const S: fn(u64) -> Option<Duration> = |secs| Some(Duration::from_secs(secs));
        assert_eq!(step_of(&["2026-11-29"]), S(86_400));
        assert_eq!(step_of(&["2026-11-29 10:07"]), S(60));
        assert_eq!(step_of(&["2026-11-29 10:07:11"]), S(1));
        assert_eq!(
            step_of(&["2026-11-29 10:07:11.25"]),
            Some(Duration::from_millis(10))
        );
        assert_eq!(step_of(&["2026-11-29T10:07:11Z"]), S(1));
        assert_eq!(
            step_of(&["2026-11-29T10:07:11.123Z"]),
            Some(Duration::from_millis(1))
        );
        // One writer with a fraction, another without.
        assert_eq!(
            step_of(&[
                "2026-11-29 10:07:11.25",
                "2026-11-29 10:07:12",
                "2026-11-29 10:07:13"
            ]),
            S(1)
        );
        // The digits exist and are always zero.
        let naught = [
            "2026-11-29T10:07:11.000Z",
            "2026-11-29T10:07:12.000Z",
            "2026-11-29T10:08:13.000Z",
        ];
        assert_eq!(step_of(&naught), S(1));
        assert_eq!(step_of(&naught[..1]), Some(Duration::from_millis(1)));
        assert_eq!(step_of(&["1764410400"]), S(1));
        assert_eq!(step_of(&["n/a"]), None);
        assert_eq!(step_of(&[]), None);
    }

    #[test]
    fn resolution_of_times_is_the_largest_step_that_many_show() {
        let hour = 3_600_000_000;
        assert_eq!(
            Observed::from_micros((0..5).map(|at| at * hour)).span(),
            Duration::from_secs(3_600)
        );
        // Two whole hours among few values may be chance.
        assert_eq!(Observed::from_micros([0, hour]).span(), Duration::from_nanos(1));
        assert_eq!(
            Observed::from_micros([0, 1_000_000, 5_000_000]).span(),
            Duration::from_secs(1)
        );
        assert_eq!(
            Observed::from_micros([0, 1_000_001, 5_000_000]).span(),
            Duration::from_micros(1)
        );
        assert_eq!(Observed::default().span(), Duration::from_nanos(1));
    }

    #[test]
    fn resolution_remedy_names_a_lag_that_exceeds_it() {
        let second = Duration::from_secs(1);
        assert_eq!(lag_to_write(second, Duration::from_millis(200)), "1200ms");
        assert_eq!(lag_to_write(second, second), "2s");
        assert_eq!(lag_to_write(second * 86_400, second), "25h");
        assert_eq!(lag_to_write(second * 60, second), "61s");
        assert_eq!(lag_to_write(Duration::from_millis(1), Duration::ZERO), "2ms");
    }
}
