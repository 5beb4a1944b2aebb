//! PURE: the form of a value that is the same at the core and at any store.
//!
//! Databases print one value in several spellings: `1.0` and `1.00`, `true` and `1`, `…T08:00:00Z` and `… 08:00:00+00`. A table may
//! also hold a wider type than the feed sends. So the digest covers a form that depends on the value alone.

use std::borrow::Cow;

use jiff::Timestamp;
use schemas::column::ColumnType;
use schemas::key::pack_key;
use schemas::value::Value;

/// Any decimal, in whose form integers and decimals are compared.
const DECIMAL: ColumnType = ColumnType::Decimal {
    precision: None,
    scale: None,
};

/// Appends the form of a value. A null appends nothing.
pub fn write_value(kind: &ColumnType, value: Value<'_>, out: &mut Vec<u8>) {
    match kind {
        // Two spellings of such a text are one key, and two values.
        ColumnType::Other { native } if !native.ends_with("[]") => write_text(value, out),
        _ => write_key(kind, value, out),
    }
}

/// Appends the form of a value of a key, by which rows are merged ([`schemas::key`]).
pub fn write_key(kind: &ColumnType, value: Value<'_>, out: &mut Vec<u8>) {
    use ColumnType as T;
    match (kind, value) {
        (_, Value::Null) => {}
        (T::Bool, value) => pack(kind, Value::Bool(is_true(value)), out),
        (T::Int2 | T::Int4 | T::Int8 | T::Decimal { .. }, Value::Float(number)) => {
            pack(&DECIMAL, Value::Text(&number.to_string()), out);
        }
        (T::Int2 | T::Int4 | T::Int8 | T::Decimal { .. }, value) => pack(&DECIMAL, value, out),
        (T::Float4, value) => match number(value) {
            // The nearest single is what both sides hold.
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a single is sent as a double without loss"
            )]
            Some(number) => write_float(f64::from(number as f32), &(number as f32).to_string(), out),
            None => write_text(value, out),
        },
        (T::Float8, value) => match number(value) {
            Some(number) => write_float(number, &number.to_string(), out),
            None => write_text(value, out),
        },
        (T::Date | T::Timestamp | T::TimestampTz | T::Time | T::TimeTz, Value::Text(text)) => {
            pack_text(&time(text), out);
        }
        (T::Uuid, Value::Text(text)) => pack_text(&text.to_ascii_lowercase(), out),
        (T::Bytes, Value::Text(text)) => pack(kind, Value::Bytes(text.as_bytes()), out),
        (T::Any, Value::Float(number)) => pack_text(&number.to_string(), out),
        (T::Any | T::Text { .. } | T::Json, value) => write_text(value, out),
        (kind, value) => pack(kind, value, out),
    }
}

/// Writes a value of any type as its text.
fn write_text(value: Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Null => {}
        Value::Text(text) => pack_text(text, out),
        Value::Bool(value) => pack_text(if value { "true" } else { "false" }, out),
        Value::Int(number) => pack_text(&number.to_string(), out),
        Value::Float(number) => pack_text(&number.to_string(), out),
        Value::Bytes(bytes) => pack_text(&format!("\\x{}", hex::encode(bytes)), out),
    }
}

fn write_float(number: f64, text: &str, out: &mut Vec<u8>) {
    match number {
        0.0 => pack_text("0", out),
        _ => pack_text(text, out),
    }
}

fn pack_text(text: &str, out: &mut Vec<u8>) {
    pack(&ColumnType::Text { max: None }, Value::Text(text), out);
}

fn pack(kind: &ColumnType, value: Value<'_>, out: &mut Vec<u8>) {
    // It fails for values of 4 GB only, which no message carries.
    let _ = pack_key([(kind, value)], out);
}

fn is_true(value: Value<'_>) -> bool {
    match value {
        Value::Bool(value) => value,
        Value::Int(number) => number != 0,
        Value::Text(text) => matches!(text, "t" | "true" | "1"),
        _ => false,
    }
}

fn number(value: Value<'_>) -> Option<f64> {
    match value {
        Value::Float(number) => Some(number),
        Value::Text(text) => match text {
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            text => text.parse().ok(),
        },
        // Exact up to 2^53, as the database converts it.
        #[expect(
            clippy::cast_precision_loss,
            reason = "the database converts it in the same way"
        )]
        Value::Int(number) => Some(number as f64),
        _ => None,
    }
}

/// Returns a time with a blank between day and time, in UTC if it has a zone, without zeros at the end of the fraction; midnight
/// without a zone is the day. Other texts are unchanged.
fn time(text: &str) -> Cow<'_, str> {
    let has_day = text.as_bytes().get(4) == Some(&b'-') && text.as_bytes().get(7) == Some(&b'-');
    let Some((day, clock)) = text.split_at_checked(10).filter(|_| has_day) else {
        return Cow::Borrowed(strip_zeros(text));
    };
    let Some(clock) = clock.strip_prefix([' ', 'T']) else {
        return Cow::Borrowed(text);
    };
    if let Some(clock) = clock.strip_suffix("+00").or_else(|| clock.strip_suffix('Z')) {
        return Cow::Owned(format!("{day} {}+00", strip_zeros(clock)));
    }
    let digits = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.'))
    };
    if digits(clock) {
        return match strip_zeros(clock) {
            "00:00:00" | "00:00" => Cow::Borrowed(day),
            // Without seconds.
            clock if clock.len() == 5 => Cow::Owned(format!("{day} {clock}:00")),
            clock => Cow::Owned(format!("{day} {clock}")),
        };
    }
    // An offset of minutes is written with and without them.
    let zoned = match clock.get(clock.len().saturating_sub(3)..) {
        Some(offset) if offset.starts_with(['+', '-']) => format!("{day}T{clock}:00"),
        _ => format!("{day}T{clock}"),
    };
    match zoned.parse::<Timestamp>() {
        Ok(instant) => {
            let text = instant.to_string().replace('T', " ");
            Cow::Owned(format!("{}+00", strip_zeros(text.trim_end_matches('Z'))))
        }
        Err(_) => Cow::Borrowed(text),
    }
}

/// Removes zeros at the end of a fraction.
fn strip_zeros(clock: &str) -> &str {
    if clock.contains('.') {
        clock.trim_end_matches('0').trim_end_matches('.')
    } else {
        clock
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(kind: &ColumnType, value: Value<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        write_value(kind, value, &mut out);
        out
    }

    #[test]
    fn form_of_equal_values_is_equal() {
        use ColumnType as T;
        for (kind, a, b) in [
            (T::Bool, Value::Bool(true), Value::Int(1)),
            (T::Bool, Value::Bool(false), Value::Text("false")),
            (T::Int4, Value::Int(5), Value::Text("5")),
            (DECIMAL, Value::Text("1.50"), Value::Text("1.5")),
            (DECIMAL, Value::Text("0.1"), Value::Float(0.1)),
            (T::Float8, Value::Float(0.1), Value::Text("0.1")),
            (T::Float8, Value::Float(-0.0), Value::Int(0)),
            (T::Float4, Value::Float(f64::from(0.1_f32)), Value::Text("0.1")),
            (T::Bytes, Value::Bytes(b"ab"), Value::Text("ab")),
            (T::Any, Value::Int(7), Value::Text("7")),
            (
                T::TimestampTz,
                Value::Text("2026-01-31T08:00:00.50Z"),
                Value::Text("2026-01-31 08:00:00.5+00"),
            ),
            (
                T::TimestampTz,
                Value::Text("2026-01-31 08:00:00+08"),
                Value::Text("2026-01-31 00:00:00+00"),
            ),
            (
                T::Timestamp,
                Value::Text("2026-01-31 00:00:00"),
                Value::Text("2026-01-31"),
            ),
            (
                T::Timestamp,
                Value::Text("2026-01-31T08:00"),
                Value::Text("2026-01-31 08:00:00"),
            ),
            (T::Time, Value::Text("08:00:00.500"), Value::Text("08:00:00.5")),
        ] {
            assert_eq!(form(&kind, a), form(&kind, b), "{kind:?} {a:?} {b:?}");
        }
        // A table that holds the feed's integers as decimals.
        assert_eq!(form(&T::Int8, Value::Int(5)), form(&DECIMAL, Value::Text("5")));
    }

    #[test]
    fn form_of_other_values_differs() {
        use ColumnType as T;
        let text = T::Text { max: None };
        let citext = T::Other {
            native: "citext".to_owned(),
        };
        for (kind, a, b) in [
            (&DECIMAL, Value::Text("0.01"), Value::Text("0.02")),
            (&text, Value::Text(""), Value::Null),
            (&text, Value::Text("a"), Value::Text("a ")),
            (&text, Value::Text("1.0"), Value::Text("1.00")),
            (&citext, Value::Text("a"), Value::Text("A")),
            (
                &T::Timestamp,
                Value::Text("2026-01-31 08:00:00"),
                Value::Text("2026-01-31 08:00:00.000001"),
            ),
            (&T::Bool, Value::Bool(false), Value::Null),
        ] {
            assert_ne!(form(kind, a), form(kind, b), "{kind:?} {a:?} {b:?}");
        }
        // As a key the two are one.
        let key = |value| {
            let mut out = Vec::new();
            write_key(&citext, value, &mut out);
            out
        };
        assert_eq!(key(Value::Text("a")), key(Value::Text("A")));
    }
}
