//! PURE: the canonical form of a key, which identifies a row on every side.
//!
//! Databases compare keys differently: `1.0` and `1.00` are one number to PostgreSQL and two texts to SQLite. Rows are
//! therefore merged neither by the source's nor by the store's comparison, but by the canonical form of their key:
//!
//! | type | canonical form | why |
//! |---|---|---|
//! | decimal | without leading zeros, trailing zeros and the sign of zero | a core may change `1.0` to `1.00` without changing the key |
//! | float | one zero, one NaN | both databases compare them so |
//! | interval | its length in seconds, with months of 30 days and days of 24 hours | PostgreSQL compares them so: `P1M` is `P30D` |
//! | `jsonb` | each number as a decimal | PostgreSQL compares them so |
//! | array of one of these | each element in its form; the bounds stay | PostgreSQL compares them so |
//! | a column without a type | a number without a fraction is an integer | SQLite compares them so; a text stays a different value |
//! | `citext` | lower case, letter by letter | the type compares them so |
//! | `nocase` (SQLite's collation) | ASCII letters in lower case | the collation compares them so |
//! | all others | unchanged | PostgreSQL prints each value in one form |
//!
//! Two keys with different canonical forms are two rows, even if the type of a store's column treats them as equal. Keys that
//! differ at a source must have different forms: a source whose column holds several spellings of one value as different
//! keys (a text column of decimals in SQLite) must declare another type for the key's column.

mod canonical;

use std::borrow::Cow;

use crate::column::ColumnType;
use crate::rows::{RowError, pack};
use crate::value::Value;

/// The type of a text column whose collation ignores the case of ASCII letters.
pub const NOCASE: &str = "nocase";

/// Returns whether equal values of the type are identical in every database: such keys need no canonical form. Bytes are
/// not exact, because SQLite may hold a text among them.
#[must_use]
pub fn is_exact(kind: &ColumnType) -> bool {
    matches!(
        kind,
        ColumnType::Bool | ColumnType::Int2 | ColumnType::Int4 | ColumnType::Int8 | ColumnType::Text { .. }
    )
}

/// Returns whether several spellings of a value of the type are the same key.
#[must_use]
pub fn has_canonical_form(kind: &ColumnType) -> bool {
    match kind {
        ColumnType::Decimal { .. }
        | ColumnType::Float4
        | ColumnType::Float8
        | ColumnType::Interval
        | ColumnType::Jsonb
        | ColumnType::Any => true,
        ColumnType::Other { native } => match native.strip_suffix("[]") {
            Some(element) => element_type(element).is_some_and(|kind| has_canonical_form(&kind)),
            None => case_folding(native).is_some(),
        },
        _ => false,
    }
}

/// Packs the values of a key in their canonical form.
///
/// # Errors
/// [`RowError::Malformed`] if the key is too long for the format.
pub fn pack_key<'a>(
    parts: impl IntoIterator<Item = (&'a ColumnType, Value<'a>)>,
    out: &mut Vec<u8>,
) -> Result<(), RowError> {
    let mut parts = parts.into_iter();
    let form = |(kind, value)| canonical_value(kind, value);
    let (first, second) = (parts.next().map(form), parts.next().map(form));
    // Most keys have one column.
    if let (Some(only), None) = (&first, &second) {
        return pack(&[only.value()], out);
    }
    let forms: Vec<CanonicalValue<'a>> = first.into_iter().chain(second).chain(parts.map(form)).collect();
    let values: Vec<Value<'_>> = forms.iter().map(CanonicalValue::value).collect();
    pack(&values, out)
}

enum CanonicalValue<'a> {
    Value(Value<'a>),
    Text(String),
}

impl CanonicalValue<'_> {
    fn value(&self) -> Value<'_> {
        match self {
            Self::Value(value) => *value,
            Self::Text(text) => Value::Text(text),
        }
    }
}

fn canonical_value<'a>(kind: &ColumnType, value: Value<'a>) -> CanonicalValue<'a> {
    match (kind, value) {
        (_, Value::Text(text)) => match canonical_text(kind, text) {
            Cow::Borrowed(text) => CanonicalValue::Value(Value::Text(text)),
            Cow::Owned(text) => CanonicalValue::Text(text),
        },
        (ColumnType::Decimal { .. }, Value::Int(number)) => CanonicalValue::Text(number.to_string()),
        (ColumnType::Float4 | ColumnType::Float8, Value::Float(number)) => {
            CanonicalValue::Value(float(number))
        }
        (ColumnType::Any, Value::Float(number)) => CanonicalValue::Value(integral(number)),
        _ => CanonicalValue::Value(value),
    }
}

/// Returns the canonical form of a text.
fn canonical_text<'a>(kind: &ColumnType, text: &'a str) -> Cow<'a, str> {
    match kind {
        ColumnType::Decimal { .. } => canonical::decimal(text),
        ColumnType::Float4 | ColumnType::Float8 => canonical::float(text),
        ColumnType::Interval => canonical::interval(text),
        ColumnType::Jsonb => canonical::jsonb(text),
        ColumnType::Other { native } => match (native.strip_suffix("[]"), case_folding(native)) {
            (Some(element), _) => match element_type(element).filter(has_canonical_form) {
                Some(kind) => canonical::array(text, |one| canonical_text(&kind, one).into_owned()),
                None => Cow::Borrowed(text),
            },
            (None, Some(CaseFolding::All)) => {
                canonical::keep_or_replace(text, text.chars().flat_map(char::to_lowercase).collect())
            }
            (None, Some(CaseFolding::Ascii)) => canonical::keep_or_replace(text, text.to_ascii_lowercase()),
            (None, None) => Cow::Borrowed(text),
        },
        _ => Cow::Borrowed(text),
    }
}

/// Returns the type of an array's elements by its name at the source, if it has a canonical form.
fn element_type(native: &str) -> Option<ColumnType> {
    let name = native.split_once('(').map_or(native, |(name, _)| name);
    Some(match name {
        "numeric" => ColumnType::Decimal {
            precision: None,
            scale: None,
        },
        "real" | "double precision" => ColumnType::Float8,
        "interval" => ColumnType::Interval,
        "jsonb" => ColumnType::Jsonb,
        _ => {
            let native = case_folding(name).map(|_| name.to_owned())?;
            ColumnType::Other { native }
        }
    })
}

enum CaseFolding {
    All,
    Ascii,
}

fn case_folding(native: &str) -> Option<CaseFolding> {
    let name = native.rsplit('.').next().unwrap_or(native);
    match name {
        "citext" => Some(CaseFolding::All),
        NOCASE => Some(CaseFolding::Ascii),
        _ => None,
    }
}

fn float(number: f64) -> Value<'static> {
    if number.is_nan() {
        return Value::Float(f64::NAN);
    }
    // Minus zero plus zero is zero.
    Value::Float(number + 0.0)
}

/// Returns an integer if the number is integral, as SQLite compares the two.
fn integral(number: f64) -> Value<'static> {
    const EDGE: f64 = 9_223_372_036_854_775_808.0;
    if number.fract() == 0.0 && (-EDGE..EDGE).contains(&number) {
        #[expect(clippy::cast_possible_truncation, reason = "a whole number within the range")]
        return Value::Int(number as i64);
    }
    float(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(kind: &ColumnType, value: Value<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        pack_key([(kind, value)], &mut out).unwrap();
        out
    }

    const DECIMAL: ColumnType = ColumnType::Decimal {
        precision: None,
        scale: None,
    };

    #[test]
    fn key_of_equal_numbers_is_equal() {
        for (one, other) in [
            ("1.0", "1.00"),
            ("1", "1.00"),
            ("-0.50", "-.5"),
            ("007", "7"),
            ("-0.00", "0"),
        ] {
            let [one, other] = [one, other].map(|text| packed(&DECIMAL, Value::Text(text)));
            assert_eq!(one, other);
        }
        assert_ne!(
            packed(&DECIMAL, Value::Text("1")),
            packed(&DECIMAL, Value::Text("-1"))
        );
        assert_eq!(
            packed(&DECIMAL, Value::Int(5)),
            packed(&DECIMAL, Value::Text("5.0"))
        );
        for text in ["NaN", "Infinity", "1e5", "", ".", "1.2.3"] {
            assert_eq!(
                packed(&DECIMAL, Value::Text(text)),
                packed(&ColumnType::Date, Value::Text(text))
            );
        }
    }

    #[test]
    fn key_of_an_untyped_column_distinguishes_text() {
        let any = |value| packed(&ColumnType::Any, value);
        assert_eq!(any(Value::Int(1)), any(Value::Float(1.0)));
        assert_ne!(any(Value::Int(1)), any(Value::Text("1")));
        assert_ne!(any(Value::Int(i64::MAX)), any(Value::Float(9.3e18)));
        let float = |value| packed(&ColumnType::Float8, Value::Float(value));
        assert_eq!(float(0.0), float(-0.0));
    }

    #[test]
    fn key_of_equal_intervals_documents_and_arrays_is_equal() {
        let other = |native: &str| ColumnType::Other {
            native: native.to_owned(),
        };
        for (kind, one, same, another) in [
            (ColumnType::Interval, "P1M", "P30D", "P31D"),
            (
                ColumnType::Jsonb,
                "{\"a\": 1.0}",
                "{\"a\": 1.00}",
                "{\"a\": \"1.0\"}",
            ),
            (other("numeric(10,2)[]"), "{1.0,2}", "{1.00,2.0}", "[0:1]={1,2}"),
            (other("double precision[]"), "{-0,1}", "{0,1}", "{0,NULL}"),
            (other("interval[]"), "{P1M}", "{PT720H}", "{P1Y}"),
            (
                other("jsonb[]"),
                "{\"{\\\"a\\\": 1.0}\"}",
                "{\"{\\\"a\\\": 1}\"}",
                "{null}",
            ),
            (other("public.citext[]"), "{A,b}", "{a,B}", "{a}"),
        ] {
            assert!(has_canonical_form(&kind) && !is_exact(&kind), "{kind:?}");
            let [one, same, another] = [one, same, another].map(|text| packed(&kind, Value::Text(text)));
            assert_eq!(one, same, "{kind:?}");
            assert_ne!(one, another, "{kind:?}");
        }
        for exact in ["integer[]", "text[]", "mood[]", "numrange"] {
            assert!(!has_canonical_form(&other(exact)), "{exact}");
        }
        assert_eq!(
            packed(&ColumnType::Float8, Value::Text("-0")),
            packed(&ColumnType::Float8, Value::Text("0"))
        );
    }

    #[test]
    fn key_of_a_case_insensitive_type_is_lower_case() {
        let other = |native: &str, text| {
            let native = native.to_owned();
            packed(&ColumnType::Other { native }, Value::Text(text))
        };
        assert_eq!(other("public.citext", "Ärzte"), other("citext", "ärzte"));
        // Letter by letter, as a database does: the final form of a letter (ς) is another letter.
        assert_eq!(other("citext", "ΟΔΟΣ"), other("citext", "οδοσ"));
        assert_ne!(other("citext", "ΟΔΟΣ"), other("citext", "οδος"));
        assert_eq!(other(NOCASE, "Claim"), other(NOCASE, "cLAIM"));
        assert_ne!(other(NOCASE, "Ä"), other(NOCASE, "ä"));
        assert_ne!(other("mood", "A"), other("mood", "a"));
    }

    /// Keys that were stored before the canonical form existed must still be found.
    #[test]
    fn key_of_an_exact_type_is_the_packed_value() {
        for value in [Value::Int(7), Value::Text("A"), Value::Bool(true)] {
            let mut plain = Vec::new();
            pack(&[value], &mut plain).unwrap();
            assert_eq!(packed(&ColumnType::Text { max: None }, value), plain);
        }
    }
}
