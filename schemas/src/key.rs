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
//! | interval | its length in seconds, with months of 30 days and days of 24 hours | as PostgreSQL compares them: `P1M` is `P30D` |
//! | `jsonb` | each number as a decimal | as PostgreSQL compares them |
//! | array of one of these | each element in its form; the bounds stay | as PostgreSQL compares them |
//! | a column without a type | a number without a fraction is an integer | as SQLite compares them; a text stays another value |
//! | `citext` | in small letters, one by one | as the type compares them |
//! | `nocase` (SQLite's collation) | ASCII letters small | as the collation compares them |
//! | all others | as they are | PostgreSQL prints each value in one form |
//!
//! Two keys of different form are two rows, even where the type of a store's column takes them for one. Keys that differ at a
//! source must have different forms: a source whose column holds spellings of one value as different keys (a text column of
//! decimals in SQLite) gives the key's column another type.

mod spelling;

use std::borrow::Cow;

use crate::column::ColumnType;
use crate::rows::{RowError, pack};
use crate::value::Value;

/// The type that a source gives to a text column whose collation does not tell the cases of ASCII letters apart.
pub const NOCASE: &str = "nocase";

/// Whether values of the type are equal only where they are the same, in every database that has the type: such keys
/// need no form of their own. Bytes are not: SQLite may hold a text among them.
#[must_use]
pub fn is_exact(kind: &ColumnType) -> bool {
    matches!(
        kind,
        ColumnType::Bool | ColumnType::Int2 | ColumnType::Int4 | ColumnType::Int8 | ColumnType::Text { .. }
    )
}

/// Whether a value of the type may have another spelling that is the same key.
#[must_use]
pub fn is_respelt(kind: &ColumnType) -> bool {
    match kind {
        ColumnType::Decimal { .. }
        | ColumnType::Float4
        | ColumnType::Float8
        | ColumnType::Interval
        | ColumnType::Jsonb
        | ColumnType::Any => true,
        ColumnType::Other { native } => match native.strip_suffix("[]") {
            Some(element) => element_type(element).is_some_and(|kind| is_respelt(&kind)),
            None => folding(native).is_some(),
        },
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
    match (kind, value) {
        (_, Value::Text(text)) => match spelt(kind, text) {
            Cow::Borrowed(text) => Form::Value(Value::Text(text)),
            Cow::Owned(text) => Form::Text(text),
        },
        (ColumnType::Decimal { .. }, Value::Int(number)) => Form::Text(number.to_string()),
        (ColumnType::Float4 | ColumnType::Float8, Value::Float(number)) => Form::Value(float(number)),
        (ColumnType::Any, Value::Float(number)) => Form::Value(integral(number)),
        _ => Form::Value(value),
    }
}

/// A text of a type in one spelling.
fn spelt<'a>(kind: &ColumnType, text: &'a str) -> Cow<'a, str> {
    match kind {
        ColumnType::Decimal { .. } => spelling::decimal(text),
        ColumnType::Float4 | ColumnType::Float8 => spelling::float(text),
        ColumnType::Interval => spelling::interval(text),
        ColumnType::Jsonb => spelling::jsonb(text),
        ColumnType::Other { native } => match (native.strip_suffix("[]"), folding(native)) {
            (Some(element), _) => match element_type(element).filter(is_respelt) {
                Some(kind) => spelling::array(text, |one| spelt(&kind, one).into_owned()),
                None => Cow::Borrowed(text),
            },
            (None, Some(Folding::All)) => {
                spelling::changed(text, text.chars().flat_map(char::to_lowercase).collect())
            }
            (None, Some(Folding::Ascii)) => spelling::changed(text, text.to_ascii_lowercase()),
            (None, None) => Cow::Borrowed(text),
        },
        _ => Cow::Borrowed(text),
    }
}

/// The type of an array's elements, by its name at the source, where it may be spelt in several ways.
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
            let native = folding(name).map(|_| name.to_owned())?;
            ColumnType::Other { native }
        }
    })
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
    fn key_of_equal_lengths_documents_and_arrays_is_one() {
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
            assert!(is_respelt(&kind) && !is_exact(&kind), "{kind:?}");
            let [one, same, another] = [one, same, another].map(|text| packed(&kind, Value::Text(text)));
            assert_eq!(one, same, "{kind:?}");
            assert_ne!(one, another, "{kind:?}");
        }
        for exact in ["integer[]", "text[]", "mood[]", "numrange"] {
            assert!(!is_respelt(&other(exact)), "{exact}");
        }
        assert_eq!(
            packed(&ColumnType::Float8, Value::Text("-0")),
            packed(&ColumnType::Float8, Value::Text("0"))
        );
    }

    #[test]
    fn key_of_a_folding_type_is_in_small_letters() {
        let other = |native: &str, text| {
            let native = native.to_owned();
            packed(&ColumnType::Other { native }, Value::Text(text))
        };
        assert_eq!(other("public.citext", "Ärzte"), other("citext", "ärzte"));
        // Letter by letter, as a database does: a letter at the end of a word is the same letter.
        assert_eq!(other("citext", "ΟΔΟΣ"), other("citext", "οδοσ"));
        assert_ne!(other("citext", "ΟΔΟΣ"), other("citext", "οδος"));
        assert_eq!(other(NOCASE, "Claim"), other(NOCASE, "cLAIM"));
        assert_ne!(other(NOCASE, "Ä"), other(NOCASE, "ä"));
        assert_ne!(other("mood", "A"), other("mood", "a"));
    }

    /// What was kept before this form was known must still be found.
    #[test]
    fn key_of_an_exact_type_is_the_packed_value() {
        for value in [Value::Int(7), Value::Text("A"), Value::Bool(true)] {
            let mut plain = Vec::new();
            pack(&[value], &mut plain).unwrap();
            assert_eq!(packed(&ColumnType::Text { max: None }, value), plain);
        }
    }
}
