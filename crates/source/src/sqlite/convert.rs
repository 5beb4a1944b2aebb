//! Converts values to their columns' types.
//!
//! SQLite stores any value in any column. A value that does not fit its column's type is rejected with the reason.

use std::fmt::Write as _;

use rusqlite::types::ValueRef;

use schemas::column::ColumnType;
use schemas::value::Value;

/// How a value is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Unchanged.
    Direct,
    /// As the text in the scratch buffer.
    Scratch,
}

/// Returns how a value is sent. Writes its text to `scratch` if it is sent as another text.
pub(super) fn convert(
    kind: &ColumnType,
    value: ValueRef<'_>,
    scratch: &mut String,
) -> Result<Format, &'static str> {
    use ColumnType as T;
    if let ValueRef::Text(bytes) = value
        && std::str::from_utf8(bytes).is_err()
    {
        return Err("text that is not UTF-8");
    }
    scratch.clear();
    match (kind, value) {
        (_, ValueRef::Null)
        | (T::Any, _)
        | (T::Bool, ValueRef::Integer(0 | 1))
        | (T::Int8, ValueRef::Integer(_))
        | (T::Float4 | T::Float8, ValueRef::Real(_))
        // A text among bytes stays a text: the store decides which of the two it can hold.
        | (T::Bytes, ValueRef::Blob(_) | ValueRef::Text(_)) => Ok(Format::Direct),
        (T::Float4 | T::Float8, ValueRef::Integer(number)) if is_exact(number) => Ok(Format::Direct),
        // SQLite has no NaN; the product's own store writes it as this text.
        (T::Float4 | T::Float8, ValueRef::Text(b"NaN")) => Ok(Format::Direct),
        (T::Int2, ValueRef::Integer(number)) if i16::try_from(number).is_ok() => Ok(Format::Direct),
        (T::Int4, ValueRef::Integer(number)) if i32::try_from(number).is_ok() => Ok(Format::Direct),
        (T::Decimal { .. }, ValueRef::Text(text)) if is_decimal(text) => Ok(Format::Direct),
        (T::Decimal { .. }, ValueRef::Real(number)) => {
            write_real(number, scratch);
            Ok(Format::Scratch)
        }
        (T::Decimal { .. }, ValueRef::Integer(number)) => {
            let _ = write!(scratch, "{number}");
            Ok(Format::Scratch)
        }
        (
            T::Text { .. }
            | T::Json
            | T::Jsonb
            | T::Uuid
            | T::Interval
            | T::Other { .. }
            | T::Date
            | T::Time
            | T::TimeTz
            | T::Timestamp
            | T::TimestampTz,
            ValueRef::Text(_),
        ) => Ok(Format::Direct),
        (T::Text { .. } | T::Json | T::Jsonb, ValueRef::Integer(number)) => {
            let _ = write!(scratch, "{number}");
            Ok(Format::Scratch)
        }
        (T::Text { .. } | T::Json | T::Jsonb, ValueRef::Real(number)) => {
            write_real(number, scratch);
            Ok(Format::Scratch)
        }
        (T::Date | T::Time | T::TimeTz | T::Timestamp | T::TimestampTz, _) => {
            Err("a number in a column of times; name its type under types, for example int8")
        }
        (T::Bool, _) => Err("neither 0 nor 1 in a column of booleans"),
        (T::Int2 | T::Int4 | T::Int8, _) => Err("not an integer of the column's size"),
        (T::Decimal { .. }, _) => Err("not a decimal in a column of decimals"),
        (T::Float4 | T::Float8, _) => Err("not a float in a column of floats"),
        _ => Err("a value of another type than its column's; name its type under types, for example any"),
    }
}

/// Returns the value that is sent unchanged. A text is known to be valid UTF-8.
#[allow(
    clippy::cast_precision_loss,
    reason = "an integer in a column of floats is a float to SQLite as well"
)]
pub(super) fn direct<'a>(kind: &ColumnType, value: ValueRef<'a>) -> Value<'a> {
    match (kind, value) {
        (_, ValueRef::Null) => Value::Null,
        (ColumnType::Bool, ValueRef::Integer(number)) => Value::Bool(number != 0),
        (ColumnType::Float4 | ColumnType::Float8, ValueRef::Integer(number)) => Value::Float(number as f64),
        (ColumnType::Float4 | ColumnType::Float8, ValueRef::Text(_)) => Value::Float(f64::NAN),
        (_, ValueRef::Integer(number)) => Value::Int(number),
        (_, ValueRef::Real(number)) => Value::Float(number),
        (_, ValueRef::Blob(bytes)) => Value::Bytes(bytes),
        (_, ValueRef::Text(bytes)) => Value::Text(std::str::from_utf8(bytes).unwrap_or_default()),
    }
}

/// Whether a double represents this integer exactly.
fn is_exact(number: i64) -> bool {
    number.unsigned_abs() <= 1 << f64::MANTISSA_DIGITS
}

/// Writes the shortest decimal that parses to the same number: the written one, up to 15 digits.
fn write_real(number: f64, out: &mut String) {
    if number.is_finite() {
        let _ = write!(out, "{number}");
    } else {
        out.push_str(if number > 0.0 { "Infinity" } else { "-Infinity" });
    }
}

fn is_decimal(text: &[u8]) -> bool {
    if matches!(text, b"NaN" | b"Infinity" | b"-Infinity") {
        return true;
    }
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let mut parts = digits.splitn(2, |byte| *byte == b'.');
    parts.all(|part| !part.is_empty() && part.iter().all(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MONEY: ColumnType = ColumnType::Decimal {
        precision: Some(16),
        scale: Some(2),
    };

    fn text(kind: &ColumnType, value: ValueRef<'_>) -> Result<String, &'static str> {
        let mut scratch = String::new();
        convert(kind, value, &mut scratch).map(|converted| match (converted, direct(kind, value)) {
            (Format::Scratch, _) => scratch,
            (Format::Direct, Value::Text(text)) => text.to_owned(),
            (Format::Direct, other) => format!("{other:?}"),
        })
    }

    /// Regression: floats for money, such as 46.620000000000005.
    #[test]
    fn convert_money_as_float_is_the_written_decimal() {
        assert_eq!(text(&MONEY, ValueRef::Real(46.62)).unwrap(), "46.62");
        assert_eq!(text(&MONEY, ValueRef::Real(-0.1)).unwrap(), "-0.1");
        assert_eq!(
            text(&MONEY, ValueRef::Real(1e22)).unwrap(),
            "10000000000000000000000"
        );
        assert_eq!(text(&MONEY, ValueRef::Integer(50)).unwrap(), "50");
        assert_eq!(text(&MONEY, ValueRef::Text(b"0.10")).unwrap(), "0.10");
        assert!(text(&MONEY, ValueRef::Text(b"n/a")).is_err());
        assert!(text(&MONEY, ValueRef::Text(b"1.")).is_err());
    }

    #[test]
    fn convert_inexact_integer_among_floats_is_rejected() {
        let real = ColumnType::Float8;
        assert_eq!(
            text(&real, ValueRef::Integer(1 << 53)).unwrap(),
            "Float(9007199254740992.0)"
        );
        assert!(text(&real, ValueRef::Integer((1 << 53) + 1)).is_err());
        assert_eq!(text(&real, ValueRef::Text(b"NaN")).unwrap(), "Float(NaN)");
        assert!(text(&real, ValueRef::Text(b"1.5")).is_err());
    }

    #[test]
    fn convert_text_among_bytes_stays_a_text() {
        assert_eq!(text(&ColumnType::Bytes, ValueRef::Text(b"a")).unwrap(), "a");
        assert_eq!(
            text(&ColumnType::Bytes, ValueRef::Blob(b"a")).unwrap(),
            "Bytes([97])"
        );
    }

    #[test]
    fn convert_value_that_does_not_fit_is_rejected() {
        assert!(text(&ColumnType::Int8, ValueRef::Text(b"x")).is_err());
        assert!(text(&ColumnType::Int4, ValueRef::Integer(i64::MAX)).is_err());
        assert!(text(&ColumnType::Date, ValueRef::Integer(1)).is_err());
        assert!(text(&ColumnType::Text { max: None }, ValueRef::Text(&[0xff])).is_err());
        assert!(text(&ColumnType::Any, ValueRef::Text(&[0xff])).is_err());
        assert_eq!(
            text(&ColumnType::Bool, ValueRef::Integer(1)).unwrap(),
            "Bool(true)"
        );
        assert_eq!(
            text(&ColumnType::Text { max: None }, ValueRef::Integer(7)).unwrap(),
            "7"
        );
        assert_eq!(text(&MONEY, ValueRef::Null).unwrap(), "Null");
    }
}
