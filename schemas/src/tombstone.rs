//! PURE: interprets a tombstone column's value by the column's type.
//!
//! A misread value would delete a row or keep a deleted one. Each type therefore has a few values for "deleted" and for
//! "not deleted", and every other value makes the row a reject. The bureau checks each row once. For each accepted value,
//! [`Value::is_tombstone`], which receivers use, returns the same result.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use crate::column::ColumnType;
use crate::value::Value;

/// Tolerance for local times without a zone, which may be ahead of UTC, and for clock differences.
const FUTURE_TOLERANCE: SignedDuration = SignedDuration::from_hours(15);

/// Returns whether a column of this type can mark deleted rows.
#[must_use]
pub fn can_mark(kind: &ColumnType) -> bool {
    use ColumnType as T;
    match kind {
        T::Bool | T::Int2 | T::Int4 | T::Int8 | T::Text { .. } | T::Any => true,
        T::Date | T::Timestamp | T::TimestampTz => true,
        T::Decimal { scale, .. } => scale.is_none_or(|scale| scale <= 0),
        _ => false,
    }
}

/// Returns whether a row with this value is deleted. `now` is the clock of the side that reads it.
///
/// # Errors
/// Why the value is invalid, without the value.
pub fn is_deleted(kind: &ColumnType, value: Value<'_>, now: Timestamp) -> Result<bool, &'static str> {
    use ColumnType as T;
    match (kind, value) {
        (_, Value::Null) => Ok(false),
        (_, Value::Bool(mark)) => Ok(mark),
        (T::Date | T::Timestamp | T::TimestampTz, Value::Text(text)) => is_deleted_by_time(text, now),
        (T::Date | T::Timestamp | T::TimestampTz, _) => {
            Err("the tombstone column holds neither a time nor NULL")
        }
        (_, Value::Int(0)) => Ok(false),
        (_, Value::Int(1)) => Ok(true),
        (T::Text { .. } | T::Any | T::Decimal { .. }, Value::Text(text)) => is_deleted_by_text(text),
        _ => Err(UNKNOWN),
    }
}

const UNKNOWN: &str = "the tombstone column holds a value that means neither deleted nor not deleted";

fn is_deleted_by_text(text: &str) -> Result<bool, &'static str> {
    match text {
        "" | "0" | "f" | "F" | "false" | "FALSE" | "n" | "N" => Ok(false),
        "1" | "t" | "T" | "true" | "TRUE" | "y" | "Y" => Ok(true),
        _ => Err(UNKNOWN),
    }
}

/// Checks the time of the deletion, which must not be in the future.
fn is_deleted_by_time(text: &str, now: Timestamp) -> Result<bool, &'static str> {
    let invalid = Err("the tombstone column holds a text that is not a time");
    let Some(day) = text.get(..10).and_then(|day| day.parse::<Date>().ok()) else {
        return invalid;
    };
    let rest = text.get(10..).unwrap_or_default();
    if !rest.is_empty() && !is_time_of_day(rest) {
        return invalid;
    }
    let latest = now.checked_add(FUTURE_TOLERANCE).unwrap_or(Timestamp::MAX);
    let latest = latest.to_zoned(jiff::tz::TimeZone::UTC).date();
    if day > latest {
        return Err("the tombstone column holds a time in the future");
    }
    Ok(true)
}

/// Returns whether the text is ` hh:mm:ss…` or `Thh:mm:ss…`; the fraction and the zone may have any form.
fn is_time_of_day(rest: &str) -> bool {
    let mut characters = rest.chars();
    let has_separator = matches!(characters.next(), Some(' ' | 'T'));
    let digits = |text: Option<&str>| text.is_some_and(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    has_separator
        && digits(rest.get(1..3))
        && rest.get(3..4) == Some(":")
        && digits(rest.get(4..6))
        && rest
            .get(6..)
            .is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || ":.+-Z".contains(c)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: ColumnType = ColumnType::Text { max: None };
    const DECIMAL: ColumnType = ColumnType::Decimal {
        precision: Some(1),
        scale: Some(0),
    };

    fn now() -> Timestamp {
        "2026-11-29T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn tombstone_known_marks_are_read_by_type() {
        let known = [
            (ColumnType::Bool, Value::Bool(false), false),
            (ColumnType::Bool, Value::Bool(true), true),
            (ColumnType::Int2, Value::Int(0), false),
            (ColumnType::Int8, Value::Int(1), true),
            (DECIMAL, Value::Text("0"), false),
            (DECIMAL, Value::Text("1"), true),
            (TEXT, Value::Text(""), false),
            (TEXT, Value::Text("N"), false),
            (TEXT, Value::Text("FALSE"), false),
            (TEXT, Value::Text("Y"), true),
            (TEXT, Value::Text("true"), true),
            (ColumnType::Any, Value::Int(1), true),
            (ColumnType::Date, Value::Text("2026-11-29"), true),
            (ColumnType::Timestamp, Value::Text("2026-11-29 20:00:00.5"), true),
            (
                ColumnType::TimestampTz,
                Value::Text("2026-11-29 12:00:00+00"),
                true,
            ),
            (ColumnType::Timestamp, Value::Text("2026-01-01T00:00:00Z"), true),
        ];
        for (kind, value, deleted) in known {
            assert_eq!(is_deleted(&kind, value, now()), Ok(deleted), "{kind:?} {value:?}");
            // What receivers of any version count is the same.
            assert_eq!(value.is_tombstone(), deleted, "{value:?}");
            assert_eq!(is_deleted(&kind, Value::Null, now()), Ok(false));
        }
    }

    #[test]
    fn tombstone_unknown_marks_are_rejected() {
        let words = [
            "no",
            "yes",
            " ",
            "N ",
            "N    ",
            "False",
            "off",
            "0.0",
            "2",
            "null",
            "deleted",
            "2026-01-01",
        ];
        for word in words {
            assert!(is_deleted(&TEXT, Value::Text(word), now()).is_err(), "{word:?}");
        }
        let times = [
            "infinity",
            "-infinity",
            "9999-12-31",
            "9999-12-31 23:59:59",
            "0044-03-15 BC",
            "",
            "soon",
            "2026-13-01",
        ];
        for time in times {
            assert!(
                is_deleted(&ColumnType::Timestamp, Value::Text(time), now()).is_err(),
                "{time:?}"
            );
        }
        for (kind, value) in [
            (ColumnType::Int8, Value::Int(2)),
            (ColumnType::Int8, Value::Int(-1)),
            (DECIMAL, Value::Text("0.0")),
            (DECIMAL, Value::Text("NaN")),
            (ColumnType::Any, Value::Float(0.0)),
            (ColumnType::Any, Value::Bytes(&[0])),
            (ColumnType::Date, Value::Int(0)),
        ] {
            assert!(is_deleted(&kind, value, now()).is_err(), "{kind:?} {value:?}");
        }
    }

    #[test]
    fn tombstone_types_without_defined_values_are_refused() {
        let scaled = ColumnType::Decimal {
            precision: Some(3),
            scale: Some(1),
        };
        let native = "mood".to_owned();
        for kind in [
            ColumnType::Float8,
            ColumnType::Float4,
            ColumnType::Bytes,
            ColumnType::Json,
            ColumnType::Uuid,
            ColumnType::Interval,
            ColumnType::Time,
            ColumnType::Other { native },
            scaled,
        ] {
            assert!(!can_mark(&kind), "{kind:?}");
        }
        assert!(can_mark(&DECIMAL) && can_mark(&TEXT) && can_mark(&ColumnType::Date));
    }
}
