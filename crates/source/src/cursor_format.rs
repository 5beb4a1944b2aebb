//! PURE: the format of the values of a feed's first cursor column.
//!
//! Positions are only meaningful if all rows have one order. So the first cursor column has one format: integers, or texts of one
//! spelling. A row of another format is not part of the order. A separate search finds it and sends it as a reject.
//!
//! - [`CursorFormat`] the format of one value, and the most frequent format of a sample
//! - `time` texts that hold a time; `sql` a format as an SQL condition; `clock` the greatest value at a given time
//! - `resolution` the smallest distance of two values; `lag` whether the declared lag exceeds it

mod clock;
pub(crate) mod lag;
mod resolution;
mod sql;
mod time;

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use schemas::cursor::Scalar;

use crate::feed::{CursorCounts, CursorSetBy, FeedDefinition};

pub(crate) use clock::epoch_clock_sql;
pub(crate) use resolution::{Observed, lag_to_write, step};
pub(crate) use time::TimeFormat;

/// The format of the values of a cursor column.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CursorFormat {
    /// Integers that are not a time.
    Integer,
    /// Integers that are a time since 1970.
    Epoch(Unit),
    /// Texts that hold a time.
    Time(TimeFormat),
    /// Texts of a fixed number of digits, with their unit if they are a time since 1970.
    Digits(usize, Option<Unit>),
    /// Texts of an unknown format.
    Text,
}

/// The unit of an integer time since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Unit {
    Seconds,
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

/// An integer within this distance of the clock is taken as a time.
const NEAR_YEARS: i128 = 12;

impl Unit {
    const ALL: [Self; 4] = [
        Self::Seconds,
        Self::Milliseconds,
        Self::Microseconds,
        Self::Nanoseconds,
    ];

    /// Returns the nanoseconds of one unit.
    pub(crate) fn nanos(self) -> i128 {
        match self {
            Self::Seconds => 1_000_000_000,
            Self::Milliseconds => 1_000_000,
            Self::Microseconds => 1_000,
            Self::Nanoseconds => 1,
        }
    }

    /// Returns the clock in this unit.
    pub(crate) fn count_at(self, now: Timestamp) -> i64 {
        let count = now.as_nanosecond().div_euclid(self.nanos());
        i64::try_from(count).unwrap_or(i64::MAX)
    }

    /// Returns the unit in which a number is a time near the clock.
    fn near(number: i64, now: Timestamp) -> Option<Self> {
        let year = 31_556_952 * Self::Seconds.nanos();
        Self::ALL.into_iter().find(|unit| {
            let at = i128::from(number).saturating_mul(unit.nanos());
            (at - now.as_nanosecond()).abs() < NEAR_YEARS * year
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Milliseconds => "milliseconds",
            Self::Microseconds => "microseconds",
            Self::Nanoseconds => "nanoseconds",
        }
    }
}

impl CursorFormat {
    /// Returns the format of one value. `bytewise`: texts are ordered by their bytes.
    pub(crate) fn detect(value: &Scalar, now: Timestamp, bytewise: bool) -> Self {
        match value {
            Scalar::Int(number) => Unit::near(*number, now).map_or(Self::Integer, Self::Epoch),
            Scalar::Text(text) => Self::detect_text(text, now, bytewise),
        }
    }

    fn detect_text(text: &str, now: Timestamp, bytewise: bool) -> Self {
        if let Some(time) = TimeFormat::detect(text, bytewise) {
            return Self::Time(time);
        }
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let number = text.parse().ok();
            let unit = number
                .filter(|_| !text.starts_with('0'))
                .and_then(|number| Unit::near(number, now));
            return Self::Digits(text.len(), unit);
        }
        Self::Text
    }

    /// Returns the most frequent format of a sample, or `None` if the sample is empty.
    pub(crate) fn most_frequent(sample: &[Scalar], now: Timestamp, bytewise: bool) -> Option<Self> {
        let mut counted: BTreeMap<Self, usize> = BTreeMap::new();
        for value in sample {
            *counted.entry(Self::detect(value, now, bytewise)).or_default() += 1;
        }
        // All integers have one format: they are a time if most of them are.
        let most = counted.into_iter().max_by_key(|(_, count)| *count)?.0;
        Some(most)
    }

    /// Returns the format that the feed's definition implies: a sequence has plain numbers, and an operator may declare the unit of
    /// an integer.
    pub(crate) fn declared(self, feed: &FeedDefinition) -> Self {
        if feed.cursor_set_by == CursorSetBy::Sequence {
            return match self {
                Self::Epoch(_) => Self::Integer,
                other => other,
            };
        }
        let unit = match feed.clock.counts {
            None => return self,
            Some(CursorCounts::Numbers) => None,
            Some(CursorCounts::Seconds) => Some(Unit::Seconds),
            Some(CursorCounts::Milliseconds) => Some(Unit::Milliseconds),
            Some(CursorCounts::Microseconds) => Some(Unit::Microseconds),
            Some(CursorCounts::Nanoseconds) => Some(Unit::Nanoseconds),
        };
        match self {
            Self::Integer | Self::Epoch(_) => unit.map_or(Self::Integer, Self::Epoch),
            Self::Digits(length, _) => Self::Digits(length, unit),
            other => other,
        }
    }
}

/// For messages: contains no value.
impl fmt::Display for CursorFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer => f.write_str("an integer"),
            Self::Epoch(unit) => write!(f, "an integer of {} since 1970", unit.name()),
            Self::Time(format) => write!(f, "a time written as {format}"),
            Self::Digits(length, None) => write!(f, "a text of {length} digits"),
            Self::Digits(length, Some(unit)) => {
                write!(f, "a text of {length} digits, {} since 1970", unit.name())
            }
            Self::Text => f.write_str("a text"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-29T12:00:00Z".parse().unwrap()
    }

    fn format(text: &str) -> CursorFormat {
        CursorFormat::detect(&Scalar::Text(text.to_owned()), now(), true)
    }

    #[test]
    fn cursor_format_describes_a_value() {
        for (text, wanted) in [
            ("2026-11-29", "a time written as yyyy-mm-dd"),
            ("2026-11-29 10:00", "a time written as yyyy-mm-dd hh:mm"),
            ("2026-11-29 10:00:00", "a time written as yyyy-mm-dd hh:mm:ss[.f]"),
            (
                "2026-11-29 10:00:00.25",
                "a time written as yyyy-mm-dd hh:mm:ss[.f]",
            ),
            ("2026-11-29T10:00:00Z", "a time written as yyyy-mm-ddThh:mm:ssZ"),
            (
                "2026-11-29T10:00:00.123Z",
                "a time written as yyyy-mm-ddThh:mm:ss.fffZ",
            ),
            (
                "2026-11-29T10:00:00+08:00",
                "a time written as yyyy-mm-ddThh:mm:ss[.f]+08:00",
            ),
            ("1764410400", "a text of 10 digits, seconds since 1970"),
            ("0000000042", "a text of 10 digits"),
            ("17", "a text of 2 digits"),
            ("n/a", "a text"),
            ("", "a text"),
            ("2026-13-29x", "a text"),
        ] {
            assert_eq!(format(text).to_string(), wanted, "{text}");
        }
        let number = |number| CursorFormat::detect(&Scalar::Int(number), now(), true);
        assert_eq!(number(42), CursorFormat::Integer);
        assert_eq!(number(1_764_410_400), CursorFormat::Epoch(Unit::Seconds));
        assert_eq!(number(1_764_410_400_123), CursorFormat::Epoch(Unit::Milliseconds));
        assert_eq!(
            number(1_764_410_400_123_456),
            CursorFormat::Epoch(Unit::Microseconds)
        );
        assert_eq!(
            number(1_764_410_400_123_456_789),
            CursorFormat::Epoch(Unit::Nanoseconds)
        );
        assert_eq!(number(i64::MAX), CursorFormat::Integer);
    }

    #[test]
    fn cursor_format_of_a_sample_is_the_most_frequent() {
        let texts: Vec<Scalar> = [
            "2026-11-29 10:00:00",
            "2026-11-29T10:00:00Z",
            "2026-11-29 10:00:00.5",
        ]
        .map(|text| Scalar::Text(text.to_owned()))
        .into();
        let most = CursorFormat::most_frequent(&texts, now(), true);
        assert_eq!(most, Some(format("2026-11-29 10:00:00")));
        assert_eq!(CursorFormat::most_frequent(&[], now(), true), None);
    }
}
