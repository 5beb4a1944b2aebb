//! A query with arguments, and the PURE checks before it reaches the source.
//!
//! The SQL is the bureau's own; its arguments come from another party. They are bound by position (`$1`, `$2`, …) with their
//! declared type and never become part of the SQL text. A value that does not have its type's format never reaches the source.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use schemas::cursor::Scalar;

use crate::error::{Error, ErrorKind, Result};

/// A query with arguments.
#[derive(Debug, Clone)]
pub struct RequestQuery {
    /// Its name, for the schema of its rows and for errors.
    pub name: String,
    /// One SELECT, with `$1..$n` for the arguments.
    pub sql: String,
    /// One value for each placeholder, in order.
    pub arguments: Vec<Argument>,
    /// Output columns that are unique together, by which it is read in several quanta. Empty: it is read in one quantum, in the
    /// source's order.
    pub order: Vec<String>,
    /// Output columns whose sums are control totals.
    pub money: Vec<String>,
    /// Types by column name, where the source declares none: `decimal(16,2)`, `date`, ….
    pub types: BTreeMap<String, String>,
    /// The IANA time zone of the core's times without zone. The SQL is evaluated in it.
    pub zone: Option<String>,
}

/// A value with its declared type.
#[derive(Clone, PartialEq, Eq)]
pub struct Argument {
    /// Its name, for errors.
    pub name: String,
    /// Its type.
    pub kind: ArgumentKind,
    /// The value: an integer, or the text format of any other type. `None` is null.
    pub value: Option<Scalar>,
    /// The format of the column that it is compared with, if that is a text or an integer that holds a time.
    pub stored_as: Option<StoredAs>,
}

/// How a column without a time type stores a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredAs {
    /// As texts that match a GLOB pattern.
    Text(String),
    /// As integers from the first, up to but not including the second.
    Integer(i64, i64),
}

/// The type of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ArgumentKind {
    /// Text without NUL.
    Text,
    /// A signed integer of 64 bits.
    Integer,
    /// An exact decimal, `-?digits[.digits]`, at most 38 digits.
    Decimal,
    /// `yyyy-mm-dd`.
    Date,
    /// RFC 3339 with its zone.
    Timestamp,
    /// `true` or `false`.
    Boolean,
}

/// Omits the value, because arguments name persons.
impl fmt::Debug for Argument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Argument")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// Digits of a decimal that every database keeps exactly.
const MAX_DIGITS: usize = 38;

/// Values of at least this many bytes are removed from errors, because they may identify a person. Shorter ones occur in any text.
const MIN_REDACTED_LENGTH: usize = 3;

impl RequestQuery {
    /// Checks the arguments before the query runs.
    ///
    /// # Errors
    /// `Refused` with the argument's name and never its value.
    pub fn check(&self) -> Result<()> {
        match self.arguments.iter().find(|one| !one.is_valid()) {
            None => Ok(()),
            Some(one) => Err(Error::new(
                ErrorKind::Refused,
                format!("argument {} is not {}", one.name, one.kind.format()),
                "send a value of the declared type",
            )
            .at(&self.place())),
        }
    }

    /// Removes argument values from an error of the source: a database repeats values that it could not use.
    pub(crate) fn without_values(&self, mut error: Error) -> Error {
        let contains_value = |text: &str| {
            self.arguments.iter().any(|one| match &one.value {
                Some(Scalar::Text(value)) => {
                    value.len() >= MIN_REDACTED_LENGTH && text.contains(value.as_str())
                }
                Some(Scalar::Int(value)) => {
                    let value = value.to_string();
                    value.len() >= MIN_REDACTED_LENGTH && text.contains(&value)
                }
                None => false,
            })
        };
        if contains_value(&error.what) {
            "the database could not use an argument's value".clone_into(&mut error.what);
        }
        error
    }

    /// Returns the query's location for errors.
    pub(crate) fn place(&self) -> String {
        format!("query {}", self.name)
    }

    /// Returns the indices of the ordering columns among the columns of the SQL.
    pub(crate) fn order_indices(&self, given: &[&str]) -> Result<Vec<usize>> {
        let refused = |what: String, remedy: String| Err(Error::new(ErrorKind::Refused, what, remedy));
        let mut seen = BTreeSet::new();
        if let Some(twice) = given.iter().find(|name| !seen.insert(**name)) {
            return refused(
                format!("two columns are called {twice}"),
                "rename one with AS".to_owned(),
            );
        }
        let typed: Vec<String> = self.types.keys().cloned().collect();
        for (what, wanted) in [("order", &self.order), ("money", &self.money), ("types", &typed)] {
            if let Some(missing) = wanted.iter().find(|name| !seen.contains(name.as_str())) {
                return refused(
                    format!("{what} names {missing}, which the sql does not return"),
                    format!("its columns: {}", given.join(", ")),
                );
            }
        }
        let place = |name: &String| given.iter().position(|column| column == name);
        Ok(self.order.iter().filter_map(place).collect())
    }
}

impl Argument {
    fn is_valid(&self) -> bool {
        match (&self.value, self.kind) {
            (None, _) => true,
            (Some(Scalar::Int(_)), kind) => matches!(kind, ArgumentKind::Integer | ArgumentKind::Decimal),
            (Some(Scalar::Text(text)), ArgumentKind::Text) => !text.contains('\0'),
            (Some(Scalar::Text(text)), ArgumentKind::Integer) => text.parse::<i64>().is_ok(),
            (Some(Scalar::Text(text)), ArgumentKind::Decimal) => is_decimal(text),
            (Some(Scalar::Text(text)), ArgumentKind::Date) => {
                text.len() == 10 && text.parse::<Date>().is_ok()
            }
            (Some(Scalar::Text(text)), ArgumentKind::Timestamp) => text.parse::<Timestamp>().is_ok(),
            (Some(Scalar::Text(text)), ArgumentKind::Boolean) => text == "true" || text == "false",
        }
    }
}

impl ArgumentKind {
    /// Describes the format, for messages.
    fn format(self) -> &'static str {
        match self {
            Self::Text => "a text without NUL",
            Self::Integer => "an integer of 64 bits",
            Self::Decimal => "an exact decimal of at most 38 digits",
            Self::Date => "a date, yyyy-mm-dd",
            Self::Timestamp => "a time with its zone",
            Self::Boolean => "true or false",
        }
    }
}

fn is_decimal(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, part) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole) && digits(part) && whole.len() + part.len() <= MAX_DIGITS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(kind: ArgumentKind, value: Option<Scalar>) -> RequestQuery {
        RequestQuery {
            name: "setl.by_person".into(),
            sql: "SELECT 1".into(),
            arguments: vec![Argument {
                name: "it".into(),
                kind,
                value,
                stored_as: None,
            }],
            order: vec!["id".into()],
            money: vec![],
            types: BTreeMap::new(),
            zone: None,
        }
    }

    #[test]
    fn request_query_invalid_value_is_refused_without_it() {
        use ArgumentKind as K;
        let text = |text: &str| Some(Scalar::Text(text.to_owned()));
        for (kind, good) in [
            (K::Text, text("'; DROP TABLE setl; --")),
            (K::Integer, Some(Scalar::Int(i64::MIN))),
            (K::Integer, text("-7")),
            (K::Decimal, text("-0.10")),
            (K::Decimal, Some(Scalar::Int(3))),
            (K::Date, text("2026-02-28")),
            (K::Timestamp, text("2026-02-28T10:00:00+08:00")),
            (K::Boolean, text("false")),
            (K::Date, None),
        ] {
            let checked = query(kind, good.clone()).check();
            assert!(checked.is_ok(), "{kind:?} {good:?}");
        }
        for (kind, bad) in [
            (K::Text, text("a\0b")),
            (K::Text, Some(Scalar::Int(1))),
            (K::Integer, text("1 OR 1=1")),
            (K::Integer, text("9223372036854775808")),
            (K::Decimal, text("1e3")),
            (K::Decimal, text("NaN")),
            (K::Decimal, text(".5")),
            (K::Decimal, text(&"9".repeat(39))),
            (K::Date, text("2026-02-30")),
            (K::Date, text("28.02.2026")),
            (K::Date, Some(Scalar::Int(20_260_228))),
            (K::Timestamp, text("2026-02-28T10:00:00")),
            (K::Boolean, text("yes")),
        ] {
            let error = query(kind, bad.clone()).check().unwrap_err();
            assert_eq!(error.kind, ErrorKind::Refused, "{kind:?} {bad:?}");
            let message = error.to_string();
            assert!(
                message.contains("query setl.by_person") && message.contains("argument it"),
                "{message}"
            );
            assert!(!message.contains("OR 1=1"), "{message}");
        }
    }

    #[test]
    fn request_query_error_omits_values() {
        let query = query(ArgumentKind::Text, Some(Scalar::Text("p000007".into())));
        let redacted = |what: &str| {
            query
                .without_values(Error::new(ErrorKind::Database, what, "r"))
                .what
        };
        assert!(!redacted("invalid input syntax for type integer: \"p000007\"").contains("p000007"));
        assert_eq!(redacted("out of memory"), "out of memory");
    }

    #[test]
    fn request_query_named_columns_must_exist_once() {
        let query = query(ArgumentKind::Text, None);
        assert_eq!(query.order_indices(&["name", "id"]).unwrap(), [1]);
        assert!(query.order_indices(&["id", "id"]).is_err());
        assert!(query.order_indices(&["name"]).is_err());
        let none = RequestQuery {
            order: vec![],
            ..query
        };
        assert!(none.order_indices(&["name"]).unwrap().is_empty());
    }
}
