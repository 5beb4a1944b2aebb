//! Arguments by name to values by place.

use std::collections::BTreeMap;

use schemas::cursor::Scalar;

use super::{Argument, ArgumentType, Bound, MOST_TEXT, form};

/// An argument that cannot be bound. What was given is not repeated, and neither is a name that the
/// kind does not have: either may be anything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadArgument {
    /// Left out.
    #[error("argument {name:?} is missing: give {form}")]
    Missing {
        /// As the kind names it.
        name: String,
        /// How a value is written.
        form: &'static str,
    },
    /// Of another type.
    #[error("argument {name:?} is not {form}")]
    Form {
        /// As the kind names it.
        name: String,
        /// How a value is written.
        form: &'static str,
    },
    /// Too long a text.
    #[error("argument {name:?} has more than {max} characters")]
    Long {
        /// As the kind names it.
        name: String,
        /// Characters that it may have.
        max: u32,
    },
    /// Not among those that it takes.
    #[error("argument {name:?} takes one of: {}", one_of.join(", "))]
    NotOneOf {
        /// As the kind names it.
        name: String,
        /// Those that it takes.
        one_of: Vec<String>,
    },
    /// A blank where a person must be named.
    #[error("argument {name:?} names nobody: give the person's number")]
    Nobody {
        /// As the kind names it.
        name: String,
    },
    /// The kind does not have it.
    #[error("{count} of the arguments are not this kind's, which are: {}", names.join(", "))]
    Unknown {
        /// How many.
        count: usize,
        /// Those that it has.
        names: Vec<String>,
    },
    /// Finer than what it is compared with can hold.
    #[error(
        "argument {name:?} is finer than the bureau's column, which is written as {form}: give a coarser time"
    )]
    Finer {
        /// As the kind names it.
        name: String,
        /// How the column is written.
        form: String,
    },
    /// In the hour that a time zone repeats in autumn, where a time without zone stands for two instants.
    #[error(
        "argument {name:?} lies in the hour that {zone} repeats, where the bureau's times without zone are ambiguous: give a time outside it"
    )]
    Repeated {
        /// As the kind names it.
        name: String,
        /// The zone.
        zone: String,
    },
    /// The period ends before it begins.
    #[error("the period ends ({end}) before it begins ({begin})")]
    Backwards {
        /// The argument's name.
        begin: String,
        /// The argument's name.
        end: String,
    },
}

/// One value for each argument, in their order.
///
/// # Errors
/// [`BadArgument`] with the first that cannot be bound.
pub fn bind(arguments: &[Argument], given: &BTreeMap<String, Scalar>) -> Result<Vec<Bound>, BadArgument> {
    let known = |name: &String| arguments.iter().any(|argument| argument.name == *name);
    let unknown = given.keys().filter(|name| !known(name)).count();
    if unknown > 0 {
        return Err(BadArgument::Unknown {
            count: unknown,
            names: arguments.iter().map(|argument| argument.name.clone()).collect(),
        });
    }
    arguments
        .iter()
        .map(|argument| one(argument, given.get(&argument.name)))
        .collect()
}

fn one(argument: &Argument, given: Option<&Scalar>) -> Result<Bound, BadArgument> {
    let name = || argument.name.clone();
    let form = argument.kind.form();
    let Some(given) = given else {
        return if argument.optional {
            Ok(Bound::Null)
        } else {
            Err(BadArgument::Missing { name: name(), form })
        };
    };
    let bound = form::parse(argument.kind, given).ok_or_else(|| BadArgument::Form { name: name(), form })?;
    if let Bound::Text(text) = &bound {
        let max = argument.max.unwrap_or(MOST_TEXT);
        if u32::try_from(text.chars().count()).is_ok_and(|length| length <= max) {
            if argument.person && text.trim().is_empty() {
                return Err(BadArgument::Nobody { name: name() });
            }
        } else {
            return Err(BadArgument::Long { name: name(), max });
        }
    }
    let meant = |text: &String| form::of_text(argument.kind, text).as_ref() == Some(&bound);
    if !argument.one_of.is_empty() && !argument.one_of.iter().any(meant) {
        return Err(BadArgument::NotOneOf {
            name: name(),
            one_of: argument.one_of.clone(),
        });
    }
    Ok(bound)
}

impl Argument {
    /// Whether a text has the form of its type: for the configuration's own values.
    pub(crate) fn takes(&self, text: &str) -> bool {
        form::of_text(self.kind, text).is_some()
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
            form: None,
        }
    }

    fn given(pairs: &[(&str, &str)]) -> BTreeMap<String, Scalar> {
        let pair = |(name, text): &(&str, &str)| ((*name).to_owned(), Scalar::Text((*text).to_owned()));
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn values_stand_in_the_order_of_the_kind_and_not_of_the_names() {
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
    fn each_fault_is_told_without_the_value() {
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
        assert!(matches!(cases[0], BadArgument::Missing { .. }));
        assert!(matches!(cases[1], BadArgument::Form { .. }));
        assert!(matches!(cases[2], BadArgument::Long { max: 30, .. }));
        assert!(matches!(cases[3], BadArgument::NotOneOf { .. }));
        assert!(matches!(cases[4], BadArgument::Nobody { .. }));
        assert!(matches!(cases[5], BadArgument::Unknown { count: 1, .. }));
        for error in cases {
            assert!(!format!("{error} {error:?}").contains("4711"), "{error}");
        }
        // The same number, written otherwise.
        assert!(bind(&arguments, &given(&[("psn_no", "1"), ("insutype", "0310")])).is_ok());
    }

    proptest! {
        /// Injection: whatever a text says, it arrives as that text and as nothing else, or not at all.
        #[test]
        fn an_injection_stays_a_value(
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
                            // Every other type holds digits, signs and the letters of its form.
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
