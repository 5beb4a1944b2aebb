//! Binds named arguments by position.

use std::collections::BTreeMap;

use schemas::cursor::Scalar;

use super::{Argument, ArgumentType, Bound, MAX_TEXT_CHARS, format};

/// An argument that cannot be bound. The error repeats neither the value nor an unknown name: either may be anything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentError {
    /// It is missing.
    #[error("argument {name:?} is missing: give {format}")]
    Missing {
        /// Its name in the kind.
        name: String,
        /// The expected format.
        format: &'static str,
    },
    /// It has another type.
    #[error("argument {name:?} is not {format}")]
    Format {
        /// Its name in the kind.
        name: String,
        /// The expected format.
        format: &'static str,
    },
    /// The text is too long.
    #[error("argument {name:?} has more than {max} characters")]
    Long {
        /// Its name in the kind.
        name: String,
        /// The greatest number of characters.
        max: u32,
    },
    /// It is not one of the accepted values.
    #[error("argument {name:?} takes one of: {}", one_of.join(", "))]
    NotOneOf {
        /// Its name in the kind.
        name: String,
        /// The accepted values.
        one_of: Vec<String>,
    },
    /// It is blank and must name a person.
    #[error("argument {name:?} names no person: give the person's number")]
    BlankPerson {
        /// Its name in the kind.
        name: String,
    },
    /// The kind has no argument of this name.
    #[error("{count} of the arguments are not this kind's, which are: {}", names.join(", "))]
    Unknown {
        /// The number of unknown arguments.
        count: usize,
        /// The kind's arguments.
        names: Vec<String>,
    },
    /// It is finer than the column that it is compared with.
    #[error(
        "argument {name:?} is finer than the bureau's column, which is written as {format}: give a coarser time"
    )]
    Finer {
        /// Its name in the kind.
        name: String,
        /// The column's format.
        format: String,
    },
    /// It is in the hour that a time zone repeats in autumn, where a time without zone is ambiguous.
    #[error(
        "argument {name:?} is in the hour that {zone} repeats, where the bureau's times without zone are ambiguous: give a time outside it"
    )]
    Repeated {
        /// Its name in the kind.
        name: String,
        /// The zone.
        zone: String,
    },
    /// The period ends before it begins.
    #[error("the period ends ({end}) before it begins ({begin})")]
    Backwards {
        /// The name of the argument that begins the period.
        begin: String,
        /// The name of the argument that ends it.
        end: String,
    },
}

/// Binds one value for each argument, in order.
///
/// # Errors
/// [`ArgumentError`] with the first that cannot be bound.
pub fn bind(arguments: &[Argument], given: &BTreeMap<String, Scalar>) -> Result<Vec<Bound>, ArgumentError> {
    let known = |name: &String| arguments.iter().any(|argument| argument.name == *name);
    let unknown = given.keys().filter(|name| !known(name)).count();
    if unknown > 0 {
        return Err(ArgumentError::Unknown {
            count: unknown,
            names: arguments.iter().map(|argument| argument.name.clone()).collect(),
        });
    }
    arguments
        .iter()
        .map(|argument| one(argument, given.get(&argument.name)))
        .collect()
}

fn one(argument: &Argument, given: Option<&Scalar>) -> Result<Bound, ArgumentError> {
    let name = || argument.name.clone();
    let format = argument.kind.format();
    let Some(given) = given else {
        return if argument.optional {
            Ok(Bound::Null)
        } else {
            Err(ArgumentError::Missing { name: name(), format })
        };
    };
    let bound =
        format::parse(argument.kind, given).ok_or_else(|| ArgumentError::Format { name: name(), format })?;
    if let Bound::Text(text) = &bound {
        let max = argument.max.unwrap_or(MAX_TEXT_CHARS);
        if u32::try_from(text.chars().count()).is_ok_and(|length| length <= max) {
            if argument.person && text.trim().is_empty() {
                return Err(ArgumentError::BlankPerson { name: name() });
            }
        } else {
            return Err(ArgumentError::Long { name: name(), max });
        }
    }
    let meant = |text: &String| format::parse_text(argument.kind, text).as_ref() == Some(&bound);
    if !argument.one_of.is_empty() && !argument.one_of.iter().any(meant) {
        return Err(ArgumentError::NotOneOf {
            name: name(),
            one_of: argument.one_of.clone(),
        });
    }
    Ok(bound)
}

impl Argument {
    /// Whether a text has the format of its type, for values of the configuration.
    pub(crate) fn takes(&self, text: &str) -> bool {
        format::parse_text(self.kind, text).is_some()
    }

    /// Whether its values can name a person.
    pub(crate) fn can_name(&self) -> bool {
        matches!(self.kind, ArgumentType::Text | ArgumentType::Integer)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn argument(name: &str, kind: ArgumentType) -> Argument {
        Argument {
            name: name.to_owned(),
            kind,
            optional: false,
            max: None,
            one_of: Vec::new(),
            person: false,
            period: None,
            format: None,
        }
    }

    fn given(pairs: &[(&str, &str)]) -> BTreeMap<String, Scalar> {
        let pair = |(name, text): &(&str, &str)| ((*name).to_owned(), Scalar::Text((*text).to_owned()));
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn bind_values_are_in_the_kinds_order() {
        let mut to = argument("b", ArgumentType::Integer);
        to.optional = true;
        let arguments = [
            argument("z", ArgumentType::Text),
            to,
            argument("a", ArgumentType::Boolean),
        ];
        let bound = bind(&arguments, &given(&[("a", "true"), ("z", "x")])).unwrap();
        let expected = [Bound::Text("x".to_owned()), Bound::Null, Bound::Boolean(true)];
        assert_eq!(bound, expected);
    }

    #[test]
    fn bind_error_omits_the_value() {
        let mut person = argument("psn_no", ArgumentType::Text);
        (person.person, person.max) = (true, Some(30));
        let mut scheme = argument("insutype", ArgumentType::Integer);
        scheme.one_of = vec!["310".to_owned(), "390".to_owned()];
        let arguments = [person, scheme];
        let error = |pairs: &[(&str, &str)]| bind(&arguments, &given(pairs)).unwrap_err();
        let long = "4711".repeat(8);
        let cases = [
            error(&[("insutype", "310")]),
            error(&[("psn_no", "4711"), ("insutype", "4711-x")]),
            error(&[("psn_no", &long), ("insutype", "310")]),
            error(&[("psn_no", "1"), ("insutype", "4711")]),
            error(&[("psn_no", " "), ("insutype", "310")]),
            error(&[("psn_no", "1"), ("insutype", "310"), ("x4711", "4711")]),
        ];
        assert!(matches!(cases[0], ArgumentError::Missing { .. }));
        assert!(matches!(cases[1], ArgumentError::Format { .. }));
        assert!(matches!(cases[2], ArgumentError::Long { max: 30, .. }));
        assert!(matches!(cases[3], ArgumentError::NotOneOf { .. }));
        assert!(matches!(cases[4], ArgumentError::BlankPerson { .. }));
        assert!(matches!(cases[5], ArgumentError::Unknown { count: 1, .. }));
        for error in cases {
            assert!(!format!("{error} {error:?}").contains("4711"), "{error}");
        }
        // The same number in another spelling.
        assert!(bind(&arguments, &given(&[("psn_no", "1"), ("insutype", "0310")])).is_ok());
    }

    proptest! {
        /// Injection: every text arrives unchanged as that text, or not at all.
        #[test]
        fn bind_injection_stays_a_value(
            text in prop_oneof![
                ".{0,60}",
                Just("'; drop table setl; --".to_owned()),
                Just("$1".to_owned()),
                Just("x' or '1'='1".to_owned()),
                Just("\\'; select pg_sleep(10); --".to_owned()),
                Just("1); delete from setl where (1=1".to_owned()),
            ],
            number in any::<i64>(),
            name in "[a-z$;' ]{1,12}",
        ) {
            let kinds = [
                ArgumentType::Text,
                ArgumentType::Integer,
                ArgumentType::Decimal,
                ArgumentType::Date,
                ArgumentType::Timestamp,
                ArgumentType::Boolean,
            ];
            for kind in kinds {
                let arguments = [argument("a", kind)];
                for value in [Scalar::Text(text.clone()), Scalar::Int(number)] {
                    let bound = bind(&arguments, &BTreeMap::from([("a".to_owned(), value.clone())]));
                    let Ok(bound) = bound else { continue };
                    prop_assert_eq!(bound.len(), 1);
                    match (&bound[0], &value) {
                        (Bound::Text(kept), Scalar::Text(given)) => prop_assert_eq!(kept, given),
                        (Bound::Integer(kept), Scalar::Int(given)) => prop_assert_eq!(kept, given),
                        (other, _) => {
                            // Every other type only has digits, signs and the letters of its format.
                            let Some(Scalar::Text(out)) = other.scalar().map(|scalar| match scalar {
                                Scalar::Int(number) => Scalar::Text(number.to_string()),
                                text => text,
                            }) else { return Err(TestCaseError::fail("a value became null")) };
                            let plain = out.bytes().all(|b| b.is_ascii_digit() || b"-+.:TZ".contains(&b));
                            prop_assert!(plain || out == "true" || out == "false");
                        }
                    }
                }
                let odd = BTreeMap::from([(name.clone(), Scalar::Int(1)), ("a".to_owned(), Scalar::Int(1))]);
                prop_assert!(name == "a" || bind(&arguments, &odd).is_err());
            }
        }
    }
}
