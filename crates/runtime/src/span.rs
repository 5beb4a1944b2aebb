//! Durations as people write them: `250ms`, `2s`, `1m`, in the friendly format of [`jiff`].
//!
//! A number without a unit is refused, because `hold = 3` is ambiguous. A day has 24 hours. The written form has no
//! fractions, as `1s500ms`, and is made here: `jiff` writes the longest span of milliseconds only after a conversion that
//! can fail.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::SpanRelativeTo;
use jiff::fmt::friendly::SpanParser;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

static PARSER: SpanParser = SpanParser::new();

/// A duration that is written `250ms`, `2s`, `1.5s`, `1m30s`, `6h`, `7d` in configuration: the longer unit first, a fraction
/// at the last one only, and of a day none.
///
/// Resolution: one millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(Duration);

impl Span {
    /// A span of milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// A span of seconds.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    /// As the standard library has it.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl From<Span> for Duration {
    fn from(span: Span) -> Self {
        span.0
    }
}

/// An invalid duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not a duration; write a number and a unit, for example \"250ms\", \"2s\", \"1m30s\", \"6h\" or \"7d\""
)]
pub struct SpanError {
    text: String,
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let wrong = || SpanError {
            text: text.to_owned(),
        };
        let span = PARSER.parse_span(text.trim()).map_err(|_| wrong())?;
        // A month has no fixed length, and a negative span is no duration.
        let signed = span
            .to_duration(SpanRelativeTo::days_are_24_hours())
            .map_err(|_| wrong())?;
        let duration = Duration::try_from(signed).map_err(|_| wrong())?;
        if !duration.subsec_nanos().is_multiple_of(1_000_000) {
            return Err(wrong());
        }
        Ok(Self(duration))
    }
}

/// Units of the written form and their milliseconds, longest first, so that what is left over goes to the next.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if left == 0 {
            return f.write_str("0s");
        }
        for (unit, scale) in UNITS {
            let count = left / scale;
            left %= scale;
            if count > 0 {
                write!(f, "{count}{unit}")?;
            }
        }
        Ok(())
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Span;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration with its unit, for example \"250ms\" or \"2s\"")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Span, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, millis) in [
            ("250ms", 250),
            ("2s", 2_000),
            ("1.5s", 1_500),
            ("0.25s", 250),
            ("1m", 60_000),
            ("1m30s", 90_000),
            ("1m 30s", 90_000),
            ("6h", 21_600_000),
            ("7d", 604_800_000),
            ("0s", 0),
            ("2 weeks", 1_209_600_000),
            ("1 hour 30 minutes", 5_400_000),
        ] {
            assert_eq!(
                text.parse::<Span>().map(Span::get),
                Ok(Duration::from_millis(millis)),
                "{text}"
            );
        }
    }

    #[test]
    fn refuses_what_leaves_the_unit_open() {
        for text in [
            "",
            "3",
            "s",
            "1.s",
            "1.0001s",
            "0.5ms",
            "-1s",
            "1s ago",
            "1mo",
            "1s1h",
            "0.5d",
            "1500us",
            "1 fortnight",
            "1e3s",
            "99999999999999999999d",
        ] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }

    #[test]
    fn writes_what_it_reads() {
        for text in ["0s", "250ms", "2s", "1s500ms", "1m30s", "1d1h1m1s1ms"] {
            assert_eq!(
                text.parse::<Span>().map(|span| span.to_string()).as_deref(),
                Ok(text)
            );
        }
    }
}
