//! Names that become subject tokens, file names and table names.
//!
//! The alphabet is the safe part of the NATS subject-token alphabet, so that no name contains a wildcard, a separator or
//! a blank: `a-z 0-9 _ -`, 1 to 64 characters, a letter first.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An invalid name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} name {given:?} is not allowed: use 1 to 64 of a-z, 0-9, '_' and '-', a letter first")]
pub struct BadName {
    /// The kind of name: `feed`, `recipient`, …
    pub what: &'static str,
    /// The given text.
    pub given: String,
}

fn check(what: &'static str, text: &str) -> Result<(), BadName> {
    let mut bytes = text.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_lowercase());
    let rest = bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-');
    if first && rest && text.len() <= 64 {
        Ok(())
    } else {
        Err(BadName {
            what,
            given: text.chars().take(80).collect(),
        })
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(#[schemars(regex(pattern = r"^[a-z][a-z0-9_-]{0,63}$"))] String);

        impl $name {
            /// Checks the alphabet.
            ///
            /// # Errors
            /// [`BadName`] when a character, the length or the first letter is not allowed.
            pub fn new(text: impl Into<String>) -> Result<Self, BadName> {
                let text = text.into();
                check($what, &text)?;
                Ok(Self(text))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadName;
            fn try_from(text: String) -> Result<Self, BadName> {
                Self::new(text)
            }
        }

        impl std::str::FromStr for $name {
            type Err = BadName;
            fn from_str(text: &str) -> Result<Self, BadName> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// The name of a feed: a keyed, ordered query over the source.
    FeedName,
    "feed"
);
name!(
    /// The party that receives data.
    RecipientName,
    "recipient"
);
name!(
    /// A system of record.
    SourceName,
    "source"
);
name!(
    /// A party at the exchange: the bureau, an insurer, the auditor.
    PartyName,
    "party"
);
name!(
    /// A person of the bureau who may decide about requests. Not a title: it distinguishes two persons.
    OfficerName,
    "officer"
);

name!(
    /// One exchange with its parties, live or for tests.
    SiteName,
    "site"
);

impl Default for SiteName {
    /// The default name.
    fn default() -> Self {
        Self("main".to_owned())
    }
}

/// One feed for one recipient, with its own subject, chain of chunks and ledger.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lane {
    /// The party that receives.
    pub recipient: RecipientName,
    /// The feed that is received.
    pub feed: FeedName,
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.recipient, self.feed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_refuses_characters_with_meaning_in_a_subject() {
        for bad in [
            "",
            "a.b",
            "a*",
            ">",
            "a b",
            "Ä",
            "A",
            "1a",
            "-a",
            "a\n",
            &"a".repeat(65),
        ] {
            assert!(FeedName::new(bad).is_err(), "{bad:?} passed");
        }
        for good in ["a", "setl_fund", "mdtrt-2", &"a".repeat(64)] {
            assert!(FeedName::new(good).is_ok(), "{good:?} was refused");
        }
    }

    #[test]
    fn name_in_json_is_checked() {
        assert!(serde_json::from_str::<FeedName>("\"a.>\"").is_err());
    }
}
