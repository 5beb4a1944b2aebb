//! The greatest value that a cursor of a format can have at a given time.

use std::time::Duration;

use jiff::Timestamp;
use schemas::cursor::Scalar;

use super::{CursorFormat, Unit};
use crate::keyset::literal;

/// Returns PostgreSQL's clock plus `ahead`, as an expression.
pub(crate) fn epoch_clock_sql(ahead: Duration) -> String {
    let now = "pg_catalog.statement_timestamp()";
    match ahead.as_millis() {
        0 => now.to_owned(),
        millis => format!("({now} + interval '{millis} milliseconds')"),
    }
}

impl CursorFormat {
    /// Returns the greatest value at an instant, or `None` if values do not follow a clock. `local` is the same instant in the zone
    /// of texts without a zone.
    pub(crate) fn greatest(&self, at: Timestamp, local: Timestamp) -> Option<Scalar> {
        match self {
            // No value can follow the greatest integer, so it is not a position.
            Self::Integer => Some(Scalar::Int(i64::MAX - 1)),
            Self::Epoch(unit) => Some(Scalar::Int(unit.count_at(at))),
            Self::Digits(length, Some(unit)) => Some(Scalar::Text(format!("{:0length$}", unit.count_at(at)))),
            Self::Time(format) => {
                let at = if format.offset_minutes().is_some() {
                    at
                } else {
                    local
                };
                Some(Scalar::Text(format.text(at)))
            }
            Self::Digits(_, None) | Self::Text => None,
        }
    }

    /// Returns the same value as a PostgreSQL expression by its own clock. `most` is the greatest number of the column's type.
    pub(crate) fn greatest_sql(&self, zone: &str, ahead: Duration, most: Option<i64>) -> Option<String> {
        let now = epoch_clock_sql(ahead);
        let count = |unit: &Unit| {
            let scale = 1_000_000_000 / unit.nanos();
            format!("floor(extract(epoch FROM {now}) * {scale})")
        };
        match self {
            Self::Integer => most.map(|most| (most - 1).to_string()),
            Self::Epoch(unit) => Some(match most {
                Some(_) => format!("{}::int8", count(unit)),
                None => format!("{}::numeric", count(unit)),
            }),
            Self::Digits(length, Some(unit)) => {
                Some(format!("lpad({}::int8::text, {length}, '0')", count(unit)))
            }
            Self::Time(format) => {
                let zone = match format.offset_minutes() {
                    Some(minutes) => format!("interval '{minutes} minutes'"),
                    None => literal(zone),
                };
                let mut picture = "YYYY-MM-DD".to_owned();
                if let Some(separator) = format.separator {
                    picture.push_str(&format!("\"{separator}\"HH24:MI"));
                }
                if format.seconds {
                    picture.push_str(":SS.US");
                }
                let text = format!("to_char({now} AT TIME ZONE {zone}, {})", literal(&picture));
                let text = match format.fraction {
                    Some(digits) if format.seconds => {
                        let length = if digits == 0 { 19 } else { 20 + digits };
                        format!("rpad({text}, {length}, '0')")
                    }
                    _ => text,
                };
                Some(if format.zone.is_empty() {
                    text
                } else {
                    format!("({text} || {})", literal(&format.zone))
                })
            }
            Self::Digits(_, None) | Self::Text => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursor_clock_is_written_in_the_format_of_the_column() {
        let at: Timestamp = "2026-11-29T12:00:00.5Z".parse().unwrap();
        let local: Timestamp = "2026-11-29T20:00:00.5Z".parse().unwrap();
        let greatest =
            |text: &str| CursorFormat::detect(&Scalar::Text(text.to_owned()), at, true).greatest(at, local);
        let text = |text: &str| Some(Scalar::Text(text.to_owned()));
        assert_eq!(
            greatest("2026-01-01 10:00:00"),
            text("2026-11-29 20:00:00.500000000")
        );
        assert_eq!(greatest("2026-01-01T10:00:00Z"), text("2026-11-29T12:00:00Z"));
        assert_eq!(greatest("1764410400"), text("1795953600"));
        assert_eq!(greatest("n/a"), None);
        assert_eq!(
            CursorFormat::Epoch(Unit::Milliseconds).greatest(at, at),
            Some(Scalar::Int(1_795_953_600_500))
        );
    }
}
