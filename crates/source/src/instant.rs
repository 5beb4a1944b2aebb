//! PURE: positions as times, and times as positions.

use std::time::Duration;

use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use schemas::cursor::Scalar;

/// How the first cursor column holds a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeForm {
    /// With its zone.
    Instant,
    /// A local time of a zone that never changes its offset.
    Local(Offset),
    /// A day there.
    Day(Offset),
}

impl TimeForm {
    /// The time up to which rows at a position may have been set; none: it is no time.
    pub(crate) fn reached(self, position: &Scalar) -> Option<Timestamp> {
        let Scalar::Text(text) = position else { return None };
        match self {
            Self::Instant => text.parse().ok(),
            Self::Local(offset) => offset.to_timestamp(text.parse::<DateTime>().ok()?).ok(),
            Self::Day(offset) => {
                let next = text.parse::<Date>().ok()?.checked_add(1.day()).ok()?;
                offset
                    .to_timestamp(next.to_datetime(jiff::civil::Time::midnight()))
                    .ok()
            }
        }
    }

    /// A value below that of every row that was set at this time or later, in a column that rounds to `resolution`.
    pub(crate) fn before(self, at: Timestamp, resolution: Duration) -> Option<Scalar> {
        let step = SignedDuration::try_from(resolution.max(Duration::from_micros(1))).ok()?;
        let at = at.checked_sub(step).ok()?;
        Some(Scalar::Text(match self {
            Self::Instant => at.to_string(),
            Self::Local(offset) => offset.to_datetime(at).to_string(),
            Self::Day(offset) => {
                let day = offset.to_datetime(at).date().checked_sub(1.day()).ok()?;
                day.to_string()
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Scalar {
        Scalar::Text(text.to_owned())
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn positions_are_read_as_postgres_writes_them() {
        let east = Offset::from_seconds(8 * 3_600).unwrap();
        for (form, position, wanted) in [
            (
                TimeForm::Instant,
                "2026-01-31 22:00:00+00",
                "2026-01-31T22:00:00Z",
            ),
            (
                TimeForm::Instant,
                "2026-01-31 22:00:00.123456+00",
                "2026-01-31T22:00:00.123456Z",
            ),
            (
                TimeForm::Instant,
                "2026-01-31T22:00:00.5Z",
                "2026-01-31T22:00:00.5Z",
            ),
            (
                TimeForm::Local(east),
                "2026-01-31 22:00:00.5",
                "2026-01-31T14:00:00.5Z",
            ),
            (TimeForm::Day(east), "2026-01-31", "2026-01-31T16:00:00Z"),
        ] {
            assert_eq!(form.reached(&text(position)), Some(at(wanted)), "{position}");
        }
        assert_eq!(TimeForm::Instant.reached(&text("infinity")), None);
        assert_eq!(TimeForm::Instant.reached(&Scalar::Int(7)), None);
    }

    #[test]
    fn time_becomes_a_value_below_all_rows_from_then_on() {
        let east = Offset::from_seconds(8 * 3_600).unwrap();
        let before = |form: TimeForm, resolution| form.before(at("2026-01-31T22:00:00Z"), resolution);
        let micro = Duration::from_micros(1);
        assert_eq!(
            before(TimeForm::Instant, micro),
            Some(text("2026-01-31T21:59:59.999999Z"))
        );
        assert_eq!(
            before(TimeForm::Local(east), Duration::from_secs(1)),
            Some(text("2026-02-01T05:59:59"))
        );
        assert_eq!(before(TimeForm::Day(east), micro), Some(text("2026-01-31")));
    }
}
