//! PURE: what identifies a person in the streams.
//!
//! A person's number is in plain columns and in arguments of requests. A recipient whose column is masked gets a token in its
//! place, and an order names the person by a keyed digest. Only the bureau can make both, so it makes the mark
//! (`slacktide masking mark`). The auditor may write one with the number alone; then tokens and orders are not found. A mark is
//! personal data.

use std::collections::BTreeMap;

use schemas::cursor::Scalar;
use schemas::digest::Digest;
use schemas::name::RecipientName;
use schemas::person::PersonToken;
use schemas::value::Value;
use serde::{Deserialize, Serialize};

/// What identifies a person.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonMark {
    /// The person's number.
    pub number: String,
    /// The tokens that replace the number, by recipient.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tokens: BTreeMap<RecipientName, String>,
    /// The digests that name the person in orders, one for each signing key of the bureau.
    #[serde(default, rename = "order", skip_serializing_if = "Vec::is_empty")]
    pub orders: Vec<PersonToken>,
    /// The masks of each definition of a feed or a kind for a recipient.
    #[serde(default, rename = "definition", skip_serializing_if = "Vec::is_empty")]
    pub definitions: Vec<MaskedDefinition>,
}

/// The masks of a definition. A chunk and a part name their definition by its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaskedDefinition {
    /// The digest of the definition.
    pub digest: Digest,
    /// The feed or the kind, for people.
    pub name: String,
    /// The recipient.
    pub recipient: RecipientName,
    /// The name of each column's mask; columns without a mask are left out.
    pub masks: BTreeMap<String, String>,
}

/// The value by which a row is about the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MatchedBy {
    /// The number itself.
    Number,
    /// The recipient's token of the number.
    Token,
    /// The request names the person, so its whole answer is about them.
    Request,
}

impl MatchedBy {
    /// Returns the word for people and JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Token => "token",
            Self::Request => "request",
        }
    }
}

/// Omits the number.
impl std::fmt::Debug for PersonMark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "PersonMark({} tokens, {} orders)",
            self.tokens.len(),
            self.orders.len()
        )
    }
}

impl PersonMark {
    /// Returns how a value of a row for this recipient identifies the person. Surrounding blanks are ignored, as by holds.
    #[must_use]
    pub fn matches(&self, recipient: &RecipientName, value: Value<'_>) -> Option<MatchedBy> {
        match value {
            Value::Text(text) => self.matches_text(recipient, text.trim()),
            Value::Int(number) => self.matches_text(recipient, &number.to_string()),
            Value::Null | Value::Bool(_) | Value::Float(_) | Value::Bytes(_) => None,
        }
    }

    fn matches_text(&self, recipient: &RecipientName, text: &str) -> Option<MatchedBy> {
        if text == self.number.trim() {
            return Some(MatchedBy::Number);
        }
        (self.tokens.get(recipient).is_some_and(|token| token == text)).then_some(MatchedBy::Token)
    }

    /// Returns whether an argument of a request, or a value of a rejected row's key, is the person's number.
    #[must_use]
    pub fn is_number(&self, value: &Scalar) -> bool {
        match value {
            Scalar::Text(text) => text.trim() == self.number.trim(),
            Scalar::Int(number) => number.to_string() == self.number.trim(),
        }
    }

    /// Returns whether an order names the person; `None` if it was made with a key for which the mark has no digest.
    #[must_use]
    pub fn is_named_by(&self, token: &PersonToken) -> Option<bool> {
        let mut known = self
            .orders
            .iter()
            .filter(|order| order.key == token.key)
            .peekable();
        known.peek()?;
        Some(known.any(|order| order.digest == token.digest))
    }

    /// Returns the masks of a definition; `None` if the mark does not list it.
    #[must_use]
    pub fn masks(&self, definition: Digest) -> Option<&BTreeMap<String, String>> {
        let mut definitions = self.definitions.iter();
        definitions
            .find(|known| known.digest == definition)
            .map(|known| &known.masks)
    }
}

#[cfg(test)]
mod tests {
    use schemas::person::PersonKey;
    use schemas::sign::SigningKey;

    use super::*;

    #[test]
    fn mark_matches_number_and_token_of_the_recipient() {
        let (a, b): (RecipientName, RecipientName) =
            ("insurer-a".parse().unwrap(), "insurer-b".parse().unwrap());
        let mark = PersonMark {
            number: "4711".to_owned(),
            tokens: BTreeMap::from([(b.clone(), "t0".to_owned())]),
            orders: Vec::new(),
            definitions: Vec::new(),
        };
        let text = Value::Text;
        assert_eq!(mark.matches(&a, text(" 4711 ")), Some(MatchedBy::Number));
        assert_eq!(mark.matches(&a, Value::Int(4711)), Some(MatchedBy::Number));
        assert_eq!(mark.matches(&b, text("t0")), Some(MatchedBy::Token));
        assert_eq!(mark.matches(&a, text("t0")), None);
        assert_eq!(mark.matches(&a, text("04711")), None);
        assert!(!format!("{mark:?}").contains("4711"));
    }

    #[test]
    fn mark_order_under_an_unknown_key_is_not_judged() {
        let [known, other] = [0, 1].map(|_| PersonKey::of(&SigningKey::generate()).unwrap());
        let mark = PersonMark {
            number: "4711".to_owned(),
            tokens: BTreeMap::new(),
            orders: vec![known.token("4711")],
            definitions: Vec::new(),
        };
        assert_eq!(mark.is_named_by(&known.token("4711")), Some(true));
        assert_eq!(mark.is_named_by(&known.token("4712")), Some(false));
        assert_eq!(mark.is_named_by(&other.token("4711")), None);
    }
}
