//! What is asked: a query with arguments, and what PURE checks can say of it before the source hears of it.
//!
//! The question's SQL is the bureau's own; its arguments come from another party. They are bound by place
//! (`$1`, `$2`, …) with the type that was declared, never spliced into the text: whatever they say, they stay
//! values. A value that has not the form of its type never reaches the source.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use schemas::cursor::Scalar;

use crate::error::{Error, ErrorKind, Result};

/// A question to a system of record.
#[derive(Debug, Clone)]
pub struct Question {
    /// Its name: it stands in its rows' schema and in errors.
    pub name: String,
    /// One SELECT, with `$1..$n` for the arguments.
    pub sql: String,
    /// A value for each place, in their order.
    pub arguments: Vec<Argument>,
    /// Names of output columns that are unique together, by which it is read in several quanta. None: it is
    /// read in one, in whatever order the source gives.
    pub order: Vec<String>,
    /// Names of output columns whose sums are control totals.
    pub money: Vec<String>,
    /// Types by column name, where the source declares none: `decimal(16,2)`, `date`, ….
    pub types: BTreeMap<String, String>,
    /// The time zone of the core's times without zone, by its name in the IANA database. The SQL is evaluated in it.
    pub zone: Option<String>,
}

/// A value with its declared type.
#[derive(Clone, PartialEq, Eq)]
pub struct Argument {
    /// Its name, for errors.
    pub name: String,
    /// What it is.
    pub kind: ArgumentKind,
    /// The value: an integer as such, all others as the text of their type's form. None is null.
    pub value: Option<Scalar>,
    /// What the column holds that it is compared with, where that is a text or a number that means a time.
    pub stored_as: Option<StoredAs>,
}

/// How a column writes a time that has no type of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredAs {
    /// As texts that match a GLOB pattern.
    Text(String),
    /// As integers from the first to below the second.
    Integer(i64, i64),
}

/// What an argument is.
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

/// Without the value: arguments name persons.
impl fmt::Debug for Argument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Argument")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// Digits of a decimal: what every database keeps exactly.
const MOST_DIGITS: usize = 38;

/// Bytes from which on a value in an error could tell whom it is about; shorter ones stand in any text.
const TELLING: usize = 3;

impl Question {
    /// Looks at the arguments before anything is asked.
    ///
    /// # Errors
    /// `Refused` with the argument's name and never its value.
    pub fn check(&self) -> Result<()> {
        match self.arguments.iter().find(|one| !one.has_its_form()) {
            None => Ok(()),
            Some(one) => Err(Error::new(
                ErrorKind::Refused,
                format!("argument {} is not {}", one.name, one.kind.form()),
                "ask with a value of the declared type",
            )
            .at(&self.place())),
        }
    }

    /// An error of the source without what was asked: a database tells values that it could not use.
    pub(crate) fn without_values(&self, mut error: Error) -> Error {
        let told = |text: &str| {
            self.arguments.iter().any(|one| match &one.value {
                Some(Scalar::Text(value)) => value.len() >= TELLING && text.contains(value.as_str()),
                Some(Scalar::Int(value)) => {
                    let value = value.to_string();
                    value.len() >= TELLING && text.contains(&value)
                }
                None => false,
            })
        };
        if told(&error.what) {
            "the database could not use an argument's value".clone_into(&mut error.what);
        }
        error
    }

    /// For errors.
    pub(crate) fn place(&self) -> String {
        format!("question {}", self.name)
    }

    /// The places of the columns that order it among the columns that the SQL gives.
    pub(crate) fn order_places(&self, given: &[&str]) -> Result<Vec<usize>> {
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
                    format!("{what} names {missing}, which the sql does not give"),
                    format!("it gives: {}", given.join(", ")),
                );
            }
        }
        let place = |name: &String| given.iter().position(|column| column == name);
        Ok(self.order.iter().filter_map(place).collect())
    }
}

impl Argument {
    fn has_its_form(&self) -> bool {
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
    /// For people.
    fn form(self) -> &'static str {
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
    digits(whole) && digits(part) && whole.len() + part.len() <= MOST_DIGITS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(kind: ArgumentKind, value: Option<Scalar>) -> Question {
        Question {
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
    fn a_value_has_the_form_of_its_type_or_is_refused_without_being_told() {
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
            let checked = question(kind, good.clone()).check();
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
            let error = question(kind, bad.clone()).check().unwrap_err();
            assert_eq!(error.kind, ErrorKind::Refused, "{kind:?} {bad:?}");
            let told = error.to_string();
            assert!(
                told.contains("question setl.by_person") && told.contains("argument it"),
                "{told}"
            );
            assert!(!told.contains("OR 1=1"), "{told}");
        }
    }

    #[test]
    fn an_error_that_repeats_a_value_is_told_without_it() {
        let question = question(ArgumentKind::Text, Some(Scalar::Text("p000007".into())));
        let said = |what: &str| {
            question
                .without_values(Error::new(ErrorKind::Database, what, "r"))
                .what
        };
        assert!(!said("invalid input syntax for type integer: \"p000007\"").contains("p000007"));
        assert_eq!(said("out of memory"), "out of memory");
    }

    #[test]
    fn columns_that_are_named_have_to_be_there_once() {
        let question = question(ArgumentKind::Text, None);
        assert_eq!(question.order_places(&["name", "id"]).unwrap(), [1]);
        assert!(question.order_places(&["id", "id"]).is_err());
        assert!(question.order_places(&["name"]).is_err());
        let none = Question {
            order: vec![],
            ..question
        };
        assert!(none.order_places(&["name"]).unwrap().is_empty());
    }
}
