//! PURE: the one text of a key, by which rows are the same row everywhere.
//!
//! A database may hold equal keys in several spellings, and each does it in its own way: `1.0` and `1.00` are one number
//! to PostgreSQL and two texts to SQLite. What a row is merged by is therefore neither the source's nor the store's own
//! comparison, but the form that this module gives to the values of a key:
//!
//! | type | one form | why |
//! |---|---|---|
//! | decimal | without leading zeros, zeros at the end and the sign of zero | a core may change `1.0` to `1.00` without changing the key |
//! | float | one zero, one NaN | as both databases compare them |
//! | a column without a type | a number without a fraction is an integer | as SQLite compares them; a text stays another value |
//! | `citext` | in small letters | as the type compares them |
//! | `nocase` (SQLite's collation) | ASCII letters small | as the collation compares them |
//! | all others | as they are | PostgreSQL prints each value in one form |
//!
//! Two keys of different form are two rows, even where the type of a store's column takes them for one.

use std::borrow::Cow;

use crate::column::ColumnType;
use crate::rows::{RowError, pack};
use crate::value::Value;

/// The type that a source gives to a text column whose collation does not tell the cases of ASCII letters apart.
pub const NOCASE: &str = "nocase";

/// Whether values of the type are equal only where they are the same, in every database that has the type: such keys
/// need no form of their own.
#[must_use]
pub fn is_exact(kind: &ColumnType) -> bool {
    matches!(
        kind,
        ColumnType::Bool
            | ColumnType::Int2
            | ColumnType::Int4
            | ColumnType::Int8
            | ColumnType::Text { .. }
            | ColumnType::Bytes
    )
}

/// Whether a value of the type may have another spelling that is the same key.
#[must_use]
pub fn is_respelt(kind: &ColumnType) -> bool {
    match kind {
        ColumnType::Decimal { .. } | ColumnType::Float4 | ColumnType::Float8 | ColumnType::Any => true,
        ColumnType::Other { native } => folding(native).is_some(),
        _ => false,
    }
}

/// Packs the values of a key in their one form.
///
/// # Errors
/// [`RowError::Malformed`] should the key be too long for the format.
pub fn pack_key<'a>(
    parts: impl IntoIterator<Item = (&'a ColumnType, Value<'a>)>,
    out: &mut Vec<u8>,
) -> Result<(), RowError> {
    let forms: Vec<Form<'a>> = parts.into_iter().map(|(kind, value)| form(kind, value)).collect();
    let values: Vec<Value<'_>> = forms.iter().map(Form::value).collect();
    pack(&values, out)
}

enum Form<'a> {
    Value(Value<'a>),
    Text(String),
}

impl Form<'_> {
    fn value(&self) -> Value<'_> {
        match self {
            Self::Value(value) => *value,
            Self::Text(text) => Value::Text(text),
        }
    }
}

fn form<'a>(kind: &ColumnType, value: Value<'a>) -> Form<'a> {
    let text = |text: Cow<'a, str>| match text {
        Cow::Borrowed(text) => Form::Value(Value::Text(text)),
        Cow::Owned(text) => Form::Text(text),
    };
    match (kind, value) {
        (ColumnType::Decimal { .. }, Value::Text(digits)) => text(decimal(digits)),
        (ColumnType::Decimal { .. }, Value::Int(number)) => Form::Text(number.to_string()),
        (ColumnType::Float4 | ColumnType::Float8, Value::Float(number)) => Form::Value(float(number)),
        (ColumnType::Any, Value::Float(number)) => Form::Value(integral(number)),
        (ColumnType::Other { native }, Value::Text(word)) => match folding(native) {
            Some(Folding::All) => text(changed(word, word.to_lowercase())),
            Some(Folding::Ascii) => text(changed(word, word.to_ascii_lowercase())),
            None => Form::Value(value),
        },
        _ => Form::Value(value),
    }
}

fn changed(before: &str, after: String) -> Cow<'_, str> {
    if before == after {
        Cow::Borrowed(before)
    } else {
        Cow::Owned(after)
    }
}

enum Folding {
    All,
    Ascii,
}

fn folding(native: &str) -> Option<Folding> {
    let name = native.rsplit('.').next().unwrap_or(native);
    match name {
        "citext" => Some(Folding::All),
        NOCASE => Some(Folding::Ascii),
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

/// An integer where the number is one, as SQLite compares the two.
fn integral(number: f64) -> Value<'static> {
    const EDGE: f64 = 9_223_372_036_854_775_808.0;
    if number.fract() == 0.0 && (-EDGE..EDGE).contains(&number) {
        #[expect(clippy::cast_possible_truncation, reason = "a whole number within the range")]
        return Value::Int(number as i64);
    }
    float(number)
}

/// `-?digits[.digits]` in one form; whatever else stays as it is.
fn decimal(text: &str) -> Cow<'_, str> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !is_number(whole) || !is_number(fraction) {
        return Cow::Borrowed(text);
    }
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    let sign = if whole.len() + fraction.len() == 0 {
        ""
    } else {
        sign
    };
    let whole = if whole.is_empty() { "0" } else { whole };
    let point = if fraction.is_empty() { "" } else { "." };
    changed(text, format!("{sign}{whole}{point}{fraction}"))
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
    fn key_of_equal_numbers_is_one() {
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
    fn key_of_a_column_without_a_type_keeps_texts_apart() {
        let any = |value| packed(&ColumnType::Any, value);
        assert_eq!(any(Value::Int(1)), any(Value::Float(1.0)));
        assert_ne!(any(Value::Int(1)), any(Value::Text("1")));
        assert_ne!(any(Value::Int(i64::MAX)), any(Value::Float(9.3e18)));
        let float = |value| packed(&ColumnType::Float8, Value::Float(value));
        assert_eq!(float(0.0), float(-0.0));
    }

    #[test]
    fn key_of_a_folding_type_is_in_small_letters() {
        let other = |native: &str, text| {
            let native = native.to_owned();
            packed(&ColumnType::Other { native }, Value::Text(text))
        };
        assert_eq!(other("public.citext", "Ärzte"), other("citext", "ärzte"));
        assert_eq!(other(NOCASE, "Claim"), other(NOCASE, "cLAIM"));
        assert_ne!(other(NOCASE, "Ä"), other(NOCASE, "ä"));
        assert_ne!(other("mood", "A"), other("mood", "a"));
    }

    /// What was kept before this form was known must still be found.
    #[test]
    fn key_of_an_exact_type_is_the_packed_value() {
        for value in [
            Value::Int(7),
            Value::Text("A"),
            Value::Bytes(&[1, 2]),
            Value::Bool(true),
        ] {
            let mut plain = Vec::new();
            pack(&[value], &mut plain).unwrap();
            assert_eq!(packed(&ColumnType::Text { max: None }, value), plain);
        }
    }
}
