//! How far apart two values of a cursor are at least.

use std::collections::BTreeSet;
use std::time::Duration;

use schemas::cursor::Scalar;

use super::CursorForm;
use super::time::TimeForm;

const SECOND: i128 = 1_000_000_000;

/// A step, and how many different values that all are whole ones show that the column keeps no smaller one.
const STEPS: [(i128, usize); 7] = [
    (86_400 * SECOND, 5),
    (3_600 * SECOND, 5),
    (60 * SECOND, 5),
    (SECOND, 3),
    (1_000_000, 3),
    (1_000, 3),
    (1, 0),
];

/// What a sample of a cursor's values shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Observed {
    /// Different times, in nanoseconds.
    times: BTreeSet<i128>,
    /// Different texts of a time without a point.
    whole: usize,
    /// The most digits behind a point.
    digits: usize,
}

impl Observed {
    /// Of values of a form; others are left out.
    pub(crate) fn of(form: &CursorForm, sample: &[Scalar]) -> Self {
        let mut observed = Self::default();
        for value in sample {
            let nanos = match (form, value) {
                (CursorForm::Epoch(unit), Scalar::Int(number)) => Some(i128::from(*number) * unit.nanos()),
                (CursorForm::Digits(_, Some(unit)), Scalar::Text(text)) => text
                    .parse::<i64>()
                    .ok()
                    .map(|number| i128::from(number) * unit.nanos()),
                (CursorForm::Time(_), Scalar::Text(text)) => TimeForm::nanos(text),
                _ => None,
            };
            let Some(nanos) = nanos else { continue };
            if observed.times.insert(nanos)
                && let Scalar::Text(text) = value
            {
                let digits = TimeForm::fraction_of(text);
                observed.whole += usize::from(digits == 0);
                observed.digits = observed.digits.max(digits);
            }
        }
        observed
    }

    /// Of times in microseconds.
    pub(crate) fn of_micros(times: impl IntoIterator<Item = i64>) -> Self {
        Self {
            times: times
                .into_iter()
                .map(|micros| i128::from(micros) * 1_000)
                .collect(),
            ..Self::default()
        }
    }

    /// The step that all the times are multiples of, where there are enough of them to say so.
    fn step(&self) -> i128 {
        let is_step = |(step, enough): &&(i128, usize)| {
            self.times.len() >= (*enough).max(1) && self.times.iter().all(|time| time.rem_euclid(*step) == 0)
        };
        STEPS.iter().find(is_step).map_or(1, |(step, _)| *step)
    }

    /// The step as a span.
    pub(crate) fn span(&self) -> Duration {
        span(self.step())
    }
}

fn span(nanos: i128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// How far apart two values of a form are at least, by its spelling and by what was observed; none where that is not known.
pub(crate) fn step(form: &CursorForm, observed: &Observed) -> Option<Duration> {
    let by_digits = |digits: usize| {
        let digits = u32::try_from(digits.min(9)).unwrap_or(9);
        SECOND / 10_i128.pow(digits)
    };
    let spelled = match form {
        CursorForm::Epoch(unit) | CursorForm::Digits(_, Some(unit)) => unit.nanos(),
        CursorForm::Time(form) if form.separator.is_none() => 86_400 * SECOND,
        CursorForm::Time(form) if !form.seconds => 60 * SECOND,
        CursorForm::Time(form) => match form.fraction {
            Some(count) => by_digits(count),
            // Some writer leaves the fraction out: one such text may be chance.
            None if observed.digits == 0 || observed.whole > 1 => SECOND,
            None => by_digits(observed.digits),
        },
        CursorForm::Integer | CursorForm::Digits(_, None) | CursorForm::Text => return None,
    };
    Some(span(spelled.max(observed.step())))
}

/// The lag to write for a cursor of this step whose rows are committed within `late`.
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

    fn of(texts: &[&str]) -> Option<Duration> {
        let now: Timestamp = "2026-11-29T12:00:00Z".parse().unwrap();
        let sample: Vec<Scalar> = texts
            .iter()
            .map(|text| Scalar::Text((*text).to_owned()))
            .collect();
        let form = CursorForm::of_most(&sample, now, true)?;
        step(&form, &Observed::of(&form, &sample))
    }

    #[test]
    fn resolution_comes_from_spelling_and_from_data() {
        const S: fn(u64) -> Option<Duration> = |secs| Some(Duration::from_secs(secs));
        assert_eq!(of(&["2026-11-29"]), S(86_400));
        assert_eq!(of(&["2026-11-29 10:07"]), S(60));
        assert_eq!(of(&["2026-11-29 10:07:11"]), S(1));
        assert_eq!(of(&["2026-11-29 10:07:11.25"]), Some(Duration::from_millis(10)));
        assert_eq!(of(&["2026-11-29T10:07:11Z"]), S(1));
        assert_eq!(of(&["2026-11-29T10:07:11.123Z"]), Some(Duration::from_millis(1)));
        // One writer with a fraction, another without.
        assert_eq!(
            of(&[
                "2026-11-29 10:07:11.25",
                "2026-11-29 10:07:12",
                "2026-11-29 10:07:13"
            ]),
            S(1)
        );
        // The digits are there, and are always naught.
        let naught = [
            "2026-11-29T10:07:11.000Z",
            "2026-11-29T10:07:12.000Z",
            "2026-11-29T10:08:13.000Z",
        ];
        assert_eq!(of(&naught), S(1));
        assert_eq!(of(&naught[..1]), Some(Duration::from_millis(1)));
        assert_eq!(of(&["1764410400"]), S(1));
        assert_eq!(of(&["n/a"]), None);
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn resolution_of_times_is_the_largest_step_that_many_show() {
        let hour = 3_600_000_000;
        assert_eq!(
            Observed::of_micros((0..5).map(|at| at * hour)).span(),
            Duration::from_secs(3_600)
        );
        // Two whole hours among few values are chance.
        assert_eq!(Observed::of_micros([0, hour]).span(), Duration::from_nanos(1));
        assert_eq!(
            Observed::of_micros([0, 1_000_000, 5_000_000]).span(),
            Duration::from_secs(1)
        );
        assert_eq!(
            Observed::of_micros([0, 1_000_001, 5_000_000]).span(),
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
