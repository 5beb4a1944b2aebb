//! Values as their columns' types promise them.
//!
//! SQLite lets any value into any column. What a column's type cannot carry is rejected with its
//! reason instead of travelling as something else.

use std::fmt::Write as _;

use rusqlite::types::ValueRef;

use schemas::column::ColumnType;
use schemas::value::Value;

/// How a value is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As it is.
    Direct,
    /// As the text that was written to the scratch.
    Scratch,
}

/// Decides how a value goes, writing to `scratch` where it goes as another text.
pub(super) fn form(
    kind: &ColumnType,
    value: ValueRef<'_>,
    scratch: &mut String,
) -> Result<Form, &'static str> {
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
        // A text that stands among bytes stays one: the store knows which of the two it can hold.
        | (T::Bytes, ValueRef::Blob(_) | ValueRef::Text(_)) => Ok(Form::Direct),
        (T::Float4 | T::Float8, ValueRef::Integer(number)) if is_exact(number) => Ok(Form::Direct),
        // SQLite has no such number; our own store writes it so.
        (T::Float4 | T::Float8, ValueRef::Text(b"NaN")) => Ok(Form::Direct),
        (T::Int2, ValueRef::Integer(number)) if i16::try_from(number).is_ok() => Ok(Form::Direct),
        (T::Int4, ValueRef::Integer(number)) if i32::try_from(number).is_ok() => Ok(Form::Direct),
        (T::Decimal { .. }, ValueRef::Text(text)) if is_decimal(text) => Ok(Form::Direct),
        (T::Decimal { .. }, ValueRef::Real(number)) => {
            write_real(number, scratch);
            Ok(Form::Scratch)
        }
        (T::Decimal { .. }, ValueRef::Integer(number)) => {
            let _ = write!(scratch, "{number}");
            Ok(Form::Scratch)
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
        ) => Ok(Form::Direct),
        (T::Text { .. } | T::Json | T::Jsonb, ValueRef::Integer(number)) => {
            let _ = write!(scratch, "{number}");
            Ok(Form::Scratch)
        }
        (T::Text { .. } | T::Json | T::Jsonb, ValueRef::Real(number)) => {
            write_real(number, scratch);
            Ok(Form::Scratch)
        }
        (T::Date | T::Time | T::TimeTz | T::Timestamp | T::TimestampTz, _) => {
            Err("a number in a column of times; name its type under types, for example int8")
        }
        (T::Bool, _) => Err("neither 0 nor 1 in a column of booleans"),
        (T::Int2 | T::Int4 | T::Int8, _) => Err("no integer of its size in a column of integers"),
        (T::Decimal { .. }, _) => Err("no decimal in a column of decimals"),
        (T::Float4 | T::Float8, _) => Err("no float in a column of floats"),
        _ => Err("a value of another type than its column's; name its type under types, for example any"),
    }
}

/// The value that goes directly. Text was found to be UTF-8 before.
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

/// Whether a double holds this integer.
fn is_exact(number: i64) -> bool {
    number.unsigned_abs() <= 1 << f64::MANTISSA_DIGITS
}

/// The shortest decimal that reads back as the same number: what was written, up to 15 digits.
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
        form(kind, value, &mut scratch).map(|form| match (form, direct(kind, value)) {
            (Form::Scratch, _) => scratch,
            (Form::Direct, Value::Text(text)) => text.to_owned(),
            (Form::Direct, other) => format!("{other:?}"),
        })
    }

    /// Trap: floats for money, such as 46.620000000000005.
    #[test]
    fn money_kept_as_a_float_goes_as_the_decimal_that_was_written() {
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
    fn an_integer_among_floats_goes_only_where_it_is_one() {
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
    fn a_text_among_bytes_stays_a_text() {
        assert_eq!(text(&ColumnType::Bytes, ValueRef::Text(b"a")).unwrap(), "a");
        assert_eq!(
            text(&ColumnType::Bytes, ValueRef::Blob(b"a")).unwrap(),
            "Bytes([97])"
        );
    }

    #[test]
    fn what_a_type_cannot_carry_is_rejected() {
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
