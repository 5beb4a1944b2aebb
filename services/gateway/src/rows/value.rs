//! One value as JSON or as a CSV field.

use data_encoding::BASE64;
use schemas::column::ColumnType;
use schemas::value::Value;

use super::time;

/// The largest integer that every JSON reader keeps exactly: 2^53.
const MAX_EXACT_INTEGER: u64 = 1 << 53;

/// Returns a value as JSON.
///
/// Exact decimals, and integers beyond 2^53 in either direction, are texts, because most readers parse numbers as doubles. Floats
/// that JSON has no number for are the texts `NaN`, `Infinity` and `-Infinity`. Bytes are base64.
#[must_use]
pub(crate) fn json(kind: &ColumnType, value: Value<'_>) -> serde_json::Value {
    use serde_json::Value as Json;
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(value),
        Value::Int(value) if value.unsigned_abs() <= MAX_EXACT_INTEGER => Json::from(value),
        Value::Float(value) if value.is_finite() => Json::from(value),
        other => Json::String(text(kind, other).unwrap_or_default()),
    }
}

/// Returns a value as text, or `None` for null: the field of a CSV file before quotation.
#[must_use]
pub(crate) fn text(kind: &ColumnType, value: Value<'_>) -> Option<String> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Float(value) => float(value),
        Value::Bytes(value) => BASE64.encode(value),
        Value::Text(value) => {
            let rewritten = match kind {
                ColumnType::TimestampTz => time::instant(value),
                ColumnType::Timestamp => time::local(value),
                _ => None,
            };
            rewritten.unwrap_or_else(|| value.to_owned())
        }
    })
}

/// Returns a float as the shortest decimal that reads back as the same double.
fn float(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        let sign = if value.is_sign_negative() { "-" } else { "" };
        format!("{sign}Infinity")
    } else {
        format!("{value:?}")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const DECIMAL: ColumnType = ColumnType::Decimal {
        precision: None,
        scale: None,
    };
    const TEXT: ColumnType = ColumnType::Text { max: None };

    #[test]
    fn value_as_json_loses_no_digit() {
        let largest = 1_i64 << 53;
        for (kind, value, expected) in [
            (DECIMAL, Value::Text("0.10"), json!("0.10")),
            (
                DECIMAL,
                Value::Text("12345678901234567890.12"),
                json!("12345678901234567890.12"),
            ),
            (ColumnType::Int8, Value::Int(largest), json!(largest)),
            (ColumnType::Int8, Value::Int(-largest), json!(-largest)),
            (
                ColumnType::Int8,
                Value::Int(largest + 1),
                json!("9007199254740993"),
            ),
            (
                ColumnType::Int8,
                Value::Int(i64::MIN),
                json!("-9223372036854775808"),
            ),
            (ColumnType::Float8, Value::Float(0.1), json!(0.1)),
            (ColumnType::Float8, Value::Float(f64::NAN), json!("NaN")),
            (
                ColumnType::Float8,
                Value::Float(f64::NEG_INFINITY),
                json!("-Infinity"),
            ),
            (ColumnType::Bool, Value::Bool(true), json!(true)),
            (TEXT, Value::Text(""), json!("")),
            (TEXT, Value::Null, json!(null)),
            (ColumnType::Bytes, Value::Bytes(&[0, 255]), json!("AP8=")),
            (
                ColumnType::TimestampTz,
                Value::Text("2026-01-31 08:00:00.5+00"),
                json!("2026-01-31T08:00:00.5Z"),
            ),
            (
                ColumnType::Timestamp,
                Value::Text("2026-01-31 08:00:00"),
                json!("2026-01-31T08:00:00"),
            ),
            (
                ColumnType::TimestampTz,
                Value::Text("infinity"),
                json!("infinity"),
            ),
            (
                TEXT,
                Value::Text("2026-01-31 08:00:00+00"),
                json!("2026-01-31 08:00:00+00"),
            ),
        ] {
            assert_eq!(json(&kind, value), expected, "{value:?}");
        }
    }

    #[test]
    fn value_as_text_distinguishes_null_and_keeps_floats() {
        assert_eq!(text(&TEXT, Value::Null), None);
        assert_eq!(text(&TEXT, Value::Text("")).as_deref(), Some(""));
        assert_eq!(
            text(&ColumnType::Int8, Value::Int(i64::MAX)).as_deref(),
            Some("9223372036854775807")
        );
        for float in [0.1, -0.0, 1e300, 5e-324, 1.0] {
            let shown = text(&ColumnType::Float8, Value::Float(float)).unwrap();
            assert_eq!(
                shown.parse::<f64>().unwrap().to_bits(),
                f64::to_bits(float),
                "{shown}"
            );
        }
    }
}
