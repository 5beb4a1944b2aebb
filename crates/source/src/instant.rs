//! PURE: converts positions to times, and times to positions.

use std::time::Duration;

use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use schemas::cursor::Scalar;

/// How the first cursor column holds a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeEncoding {
    /// With a zone.
    Instant,
    /// As a local time of a zone with a constant offset.
    Local(Offset),
    /// As a day in such a zone.
    Day(Offset),
}

impl TimeEncoding {
    /// Returns the time up to which rows at a position may have been written, or `None` if it is not a time.
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

    /// Returns a value below every row written at or after `at`, in a column that rounds to `resolution`.
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
    fn instant_parses_positions_of_postgres() {
        let east = Offset::from_seconds(8 * 3_600).unwrap();
        for (format, position, wanted) in [
            (
                TimeEncoding::Instant,
                "2026-01-31 22:00:00+00",
                "2026-01-31T22:00:00Z",
            ),
            (
                TimeEncoding::Instant,
                "2026-01-31 22:00:00.123456+00",
                "2026-01-31T22:00:00.123456Z",
            ),
            (
                TimeEncoding::Instant,
                "2026-01-31T22:00:00.5Z",
                "2026-01-31T22:00:00.5Z",
            ),
            (
                TimeEncoding::Local(east),
                "2026-01-31 22:00:00.5",
                "2026-01-31T14:00:00.5Z",
            ),
            (TimeEncoding::Day(east), "2026-01-31", "2026-01-31T16:00:00Z"),
        ] {
            assert_eq!(format.reached(&text(position)), Some(at(wanted)), "{position}");
        }
        assert_eq!(TimeEncoding::Instant.reached(&text("infinity")), None);
        assert_eq!(TimeEncoding::Instant.reached(&Scalar::Int(7)), None);
    }

    #[test]
    fn instant_before_a_time_is_below_its_rows() {
        let east = Offset::from_seconds(8 * 3_600).unwrap();
        let before = |format: TimeEncoding, resolution| format.before(at("2026-01-31T22:00:00Z"), resolution);
        let micro = Duration::from_micros(1);
        assert_eq!(
            before(TimeEncoding::Instant, micro),
            Some(text("2026-01-31T21:59:59.999999Z"))
        );
        assert_eq!(
            before(TimeEncoding::Local(east), Duration::from_secs(1)),
            Some(text("2026-02-01T05:59:59"))
        );
        assert_eq!(before(TimeEncoding::Day(east), micro), Some(text("2026-01-31")));
    }
}
