//! PURE: how the values of a feed's first cursor column are written, and what follows from it.
//!
//! A position is believed only where every row has a place in one order. So the first cursor column has one form: integers, or
//! texts of one spelling. A row of another form is no part of the order, whatever the database sorts it by; it is found by a
//! search of its own and goes out as a reject.
//!
//! - [`CursorForm`] the form of one value, and the form that most of a sample have
//! - `time` texts that hold a time; `sql` a form as a condition; `clock` a form's greatest value by a clock
//! - `resolution` how far apart two values are at least; `lag` whether the declared lag exceeds that

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
pub(crate) use time::TimeForm;

/// How the values of a cursor column are written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CursorForm {
    /// Integers that count nothing known.
    Integer,
    /// Integers that count time since 1970.
    Epoch(Unit),
    /// Texts that hold a time.
    Time(TimeForm),
    /// Texts of so many digits; what they count, where it is time since 1970.
    Digits(usize, Option<Unit>),
    /// Texts of no form that is known.
    Text,
}

/// What an integer counts since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Unit {
    Seconds,
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

/// Integers count time where they are as near to the clock as this.
const NEAR_YEARS: i128 = 12;

impl Unit {
    const ALL: [Self; 4] = [
        Self::Seconds,
        Self::Milliseconds,
        Self::Microseconds,
        Self::Nanoseconds,
    ];

    /// Nanoseconds in one.
    pub(crate) fn nanos(self) -> i128 {
        match self {
            Self::Seconds => 1_000_000_000,
            Self::Milliseconds => 1_000_000,
            Self::Microseconds => 1_000,
            Self::Nanoseconds => 1,
        }
    }

    /// The clock in this unit.
    pub(crate) fn of(self, now: Timestamp) -> i64 {
        let count = now.as_nanosecond().div_euclid(self.nanos());
        i64::try_from(count).unwrap_or(i64::MAX)
    }

    /// The unit in which a number is a time near the clock.
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

impl CursorForm {
    /// The form of one value. `bytewise`: texts are ordered by their bytes.
    pub(crate) fn of(value: &Scalar, now: Timestamp, bytewise: bool) -> Self {
        match value {
            Scalar::Int(number) => Unit::near(*number, now).map_or(Self::Integer, Self::Epoch),
            Scalar::Text(text) => Self::of_text(text, now, bytewise),
        }
    }

    fn of_text(text: &str, now: Timestamp, bytewise: bool) -> Self {
        if let Some(time) = TimeForm::of(text, bytewise) {
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

    /// The form that most of a sample have; none where it is empty.
    pub(crate) fn of_most(sample: &[Scalar], now: Timestamp, bytewise: bool) -> Option<Self> {
        let mut counted: BTreeMap<Self, usize> = BTreeMap::new();
        for value in sample {
            *counted.entry(Self::of(value, now, bytewise)).or_default() += 1;
        }
        // Integers are all of one form: they count time where most do.
        let most = counted.into_iter().max_by_key(|(_, count)| *count)?.0;
        Some(most)
    }

    /// The form of a column by its definition, where that decides: a sequence counts nothing else, and an operator may say what
    /// an integer counts.
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

/// For people: no value is named.
impl fmt::Display for CursorForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer => f.write_str("an integer"),
            Self::Epoch(unit) => write!(f, "an integer of {} since 1970", unit.name()),
            Self::Time(form) => write!(f, "a time written as {form}"),
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

    fn form(text: &str) -> CursorForm {
        CursorForm::of(&Scalar::Text(text.to_owned()), now(), true)
    }

    #[test]
    fn cursor_form_names_what_a_value_is() {
        for (text, told) in [
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
            assert_eq!(form(text).to_string(), told, "{text}");
        }
        let number = |number| CursorForm::of(&Scalar::Int(number), now(), true);
        assert_eq!(number(42), CursorForm::Integer);
        assert_eq!(number(1_764_410_400), CursorForm::Epoch(Unit::Seconds));
        assert_eq!(number(1_764_410_400_123), CursorForm::Epoch(Unit::Milliseconds));
        assert_eq!(
            number(1_764_410_400_123_456),
            CursorForm::Epoch(Unit::Microseconds)
        );
        assert_eq!(
            number(1_764_410_400_123_456_789),
            CursorForm::Epoch(Unit::Nanoseconds)
        );
        assert_eq!(number(i64::MAX), CursorForm::Integer);
    }

    #[test]
    fn cursor_form_of_a_sample_is_that_of_most() {
        let texts: Vec<Scalar> = [
            "2026-11-29 10:00:00",
            "2026-11-29T10:00:00Z",
            "2026-11-29 10:00:00.5",
        ]
        .map(|text| Scalar::Text(text.to_owned()))
        .into();
        let most = CursorForm::of_most(&texts, now(), true);
        assert_eq!(most, Some(form("2026-11-29 10:00:00")));
        assert_eq!(CursorForm::of_most(&[], now(), true), None);
    }
}
