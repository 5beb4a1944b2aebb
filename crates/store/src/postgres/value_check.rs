//! PURE: values that PostgreSQL would silently store as something else.
//!
//! A source that does not check its times may hold any text in them. PostgreSQL refuses most invalid times, and the row is
//! quarantined. It converts some: `now` to the current time, a zone in a column without a zone is dropped, the seventh digit
//! of a second is rounded, a day with an hour becomes a day. Those are refused here, by the grammar of
//! [`schemas::column::ColumnType`] and the variants that ISO 8601 allows.

use schemas::column::{Column, ColumnType};
use schemas::value::Value;

/// Returns why a row must not be sent to the server; names the column and never the value.
pub(super) fn unfit(columns: &[Column], values: &[Value<'_>]) -> Option<String> {
    columns.iter().zip(values).find_map(|(column, value)| {
        let why = why(&column.kind, value)?;
        Some(format!("{why}, column {:?}", column.name))
    })
}

fn why(kind: &ColumnType, value: &Value<'_>) -> Option<&'static str> {
    use ColumnType as T;
    let Value::Text(text) = value else { return None };
    let text = text.as_bytes();
    if text.contains(&0) {
        // Bytes can hold it, and the text is stored as bytes in their column.
        return (*kind != T::Bytes).then_some("a text with the character NUL, which PostgreSQL cannot hold");
    }
    let (fits, why) = match kind {
        T::Date => (is_date(text), "no date of the form yyyy-mm-dd"),
        T::Time => (
            is_time(text, Zone::None),
            "no time of the form hh:mm:ss without a zone",
        ),
        T::TimeTz => (
            is_time(text, Zone::Needed),
            "no time of the form hh:mm:ss with a zone",
        ),
        T::Timestamp => (
            is_timestamp(text, Zone::None),
            "no time of the form yyyy-mm-dd hh:mm:ss without a zone",
        ),
        T::TimestampTz => (
            is_timestamp(text, Zone::Allowed),
            "no time of the form yyyy-mm-dd hh:mm:ss with a zone",
        ),
        _ => return None,
    };
    (!fits).then_some(why)
}

#[derive(Clone, Copy, PartialEq)]
enum Zone {
    None,
    Allowed,
    Needed,
}

fn is_infinite(text: &[u8]) -> bool {
    matches!(text, b"infinity" | b"-infinity")
}

fn is_date(text: &[u8]) -> bool {
    is_infinite(text) || day(era(text)).is_some_and(<[u8]>::is_empty)
}

fn is_time(text: &[u8], zone: Zone) -> bool {
    clock(text).is_some_and(|rest| is_zone(rest, zone))
}

/// Reads a timestamp; a day alone means its midnight.
fn is_timestamp(text: &[u8], zone: Zone) -> bool {
    is_infinite(text)
        || day(era(text)).is_some_and(|rest| match rest.split_first() {
            None => true,
            Some((b' ' | b'T', rest)) => is_time(rest, zone),
            Some(_) => false,
        })
}

fn era(text: &[u8]) -> &[u8] {
    text.strip_suffix(b" BC").unwrap_or(text)
}

/// Reads between `min` and `max` digits.
fn digits(text: &[u8], min: usize, max: usize) -> Option<&[u8]> {
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (min..=max).contains(&count).then(|| &text[count..])
}

/// Reads `yyyy-mm-dd`; far years have more digits.
fn day(text: &[u8]) -> Option<&[u8]> {
    let rest = digits(text, 4, 7)?.strip_prefix(b"-")?;
    let rest = digits(rest, 2, 2)?.strip_prefix(b"-")?;
    digits(rest, 2, 2)
}

/// Reads `hh:mm[:ss[.ffffff]]`.
fn clock(text: &[u8]) -> Option<&[u8]> {
    let rest = digits(text, 2, 2)?.strip_prefix(b":")?;
    let rest = digits(rest, 2, 2)?;
    let Some(rest) = rest.strip_prefix(b":") else {
        return Some(rest);
    };
    let rest = digits(rest, 2, 2)?;
    match rest.strip_prefix(b".") {
        Some(rest) => digits(rest, 1, 6),
        None => Some(rest),
    }
}

/// Reads `Z` or `±hh[[:]mm[[:]ss]]`, optionally after a blank.
fn is_zone(text: &[u8], zone: Zone) -> bool {
    if text.is_empty() {
        return zone != Zone::Needed;
    }
    let text = text.strip_prefix(b" ").unwrap_or(text);
    zone != Zone::None
        && match text.split_first() {
            Some((b'Z', [])) => true,
            Some((b'+' | b'-', rest)) => offset(rest).is_some_and(<[u8]>::is_empty),
            _ => false,
        }
}

fn offset(text: &[u8]) -> Option<&[u8]> {
    let mut rest = digits(text.get(..2)?, 2, 2).and(text.get(2..))?;
    for _ in 0..2 {
        let part = rest.strip_prefix(b":").unwrap_or(rest);
        let Some(two) = part.get(..2) else { break };
        digits(two, 2, 2)?;
        rest = part.get(2..)?;
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused<'a>(kind: &ColumnType, texts: &[&'a str]) -> Vec<&'a str> {
        let is_refused = |text: &&&str| why(kind, &Value::Text(text)).is_some();
        texts.iter().filter(is_refused).copied().collect()
    }

    #[test]
    fn value_check_printed_and_iso_times_pass() {
        use ColumnType as T;
        for (kind, texts) in [
            (
                T::Date,
                &[
                    "2026-01-31",
                    "0044-03-15 BC",
                    "5874897-12-31",
                    "infinity",
                    "-infinity",
                ][..],
            ),
            (T::Time, &["24:00:00", "10:00", "23:59:59.999999"]),
            (
                T::TimeTz,
                &["10:00:00+05:45", "10:00:00-12:34:56", "10:00Z", "00:00:00+00"],
            ),
            (
                T::Timestamp,
                &[
                    "2026-01-31 10:00:00.5",
                    "2026-01-31T10:00",
                    "2026-01-31",
                    "0044-03-15 12:00:00 BC",
                ],
            ),
            (
                T::TimestampTz,
                &[
                    "294276-12-31 23:59:59.999999+00",
                    "2026-01-31T10:00:00Z",
                    "2026-01-31 10:00:00 +0800",
                    "infinity",
                ],
            ),
        ] {
            assert!(
                refused(&kind, texts).is_empty(),
                "{kind:?}: {:?}",
                refused(&kind, texts)
            );
        }
    }

    /// PostgreSQL would accept each of these.
    #[test]
    fn value_check_converted_values_are_refused() {
        use ColumnType as T;
        for (kind, texts) in [
            (
                T::Date,
                &[
                    "now",
                    "today",
                    "2026-01-31 10:00:00",
                    "18-01-31",
                    "20260131",
                    "epoch",
                ][..],
            ),
            (
                T::Time,
                &[
                    "10:00:00+08",
                    "now",
                    "allballs",
                    "10:00:00.1234567",
                    "10 PM",
                    "2026-01-31 10:00",
                ],
            ),
            (T::TimeTz, &["10:00:00", "10:00:00 PST", "10:00:00+1"]),
            (
                T::Timestamp,
                &[
                    "2026-01-31 10:00:00+08",
                    "2026-01-31T10:00:00Z",
                    "tomorrow",
                    "2026-01-31 10:00:00.1234567",
                ],
            ),
            (
                T::TimestampTz,
                &["2026-01-31 10:00:00 Asia/Shanghai", "yesterday", "2026-01-31 +08"],
            ),
        ] {
            assert_eq!(refused(&kind, texts), texts, "{kind:?}");
        }
    }

    #[test]
    fn value_check_nul_is_refused_with_column_name() {
        let column = |kind| Column {
            name: "note".to_owned(),
            kind,
            nullable: true,
        };
        let columns = [column(ColumnType::Text { max: None })];
        let reason = unfit(&columns, &[Value::Text("a\0b")]);
        assert!(reason.is_some_and(|reason| reason.contains("\"note\"") && !reason.contains('\0')));
        assert_eq!(unfit(&[column(ColumnType::Bytes)], &[Value::Text("a\0b")]), None);
        assert_eq!(unfit(&columns, &[Value::Text("")]), None);
    }
}
