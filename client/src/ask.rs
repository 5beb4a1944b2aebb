//! PURE: what is asked.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use schemas::cursor::Scalar;
use schemas::name::RecipientName;
use schemas::origin::Origin;
use schemas::request::{MOST_IDEMPOTENCY, Request, RequestId};
use schemas::sign::PublicKey;

use crate::error::Error;

/// A question, and why it may be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    kind: String,
    purpose: String,
    basis: String,
    key: String,
    filed_by: String,
    arguments: BTreeMap<String, Scalar>,
    deadline: Option<Timestamp>,
}

impl Ask {
    /// A question of a kind, for a purpose on a legal basis. `key` is the program's own name for it: asked twice
    /// under one key it is one request. `filed_by` is who asks, for the audit.
    pub fn new(
        kind: impl Into<String>,
        purpose: impl Into<String>,
        basis: impl Into<String>,
        key: impl Into<String>,
        filed_by: impl Into<String>,
    ) -> Self {
        Self {
            kind: kind.into(),
            purpose: purpose.into(),
            basis: basis.into(),
            key: key.into(),
            filed_by: filed_by.into(),
            arguments: BTreeMap::new(),
            deadline: None,
        }
    }

    /// The same with an argument: a text in the form of its type, such as `2026-01-31`, `12.30` or `true`.
    #[must_use]
    pub fn argument(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.arguments.insert(name.into(), Scalar::Text(value.into()));
        self
    }

    /// The same with an argument that is an integer.
    #[must_use]
    pub fn integer(mut self, name: impl Into<String>, value: i64) -> Self {
        self.arguments.insert(name.into(), Scalar::Int(value));
        self
    }

    /// The same with arguments that were read already.
    #[must_use]
    pub fn with(mut self, arguments: BTreeMap<String, Scalar>) -> Self {
        self.arguments.extend(arguments);
        self
    }

    /// The same with a time from which on no answer is wanted, by the exchange's clock.
    #[must_use]
    pub fn until(mut self, deadline: Timestamp) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// The program's own name for it.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The same question, asked for the second, third, … time: its key is made from the first one's and the number.
    #[must_use]
    pub fn attempt(&self, number: u32) -> Self {
        let mut again = self.clone();
        if number > 1 {
            again.key = format!("{}~{number}", self.key);
        }
        again
    }

    /// The request that it makes now.
    ///
    /// # Errors
    /// [`Error::Idempotency`].
    pub fn request(
        &self,
        recipient: &RecipientName,
        key: &PublicKey,
        here: &Origin,
        now: Timestamp,
    ) -> Result<Request, Error> {
        if !(1..=MOST_IDEMPOTENCY).contains(&self.key.len()) {
            return Err(Error::Idempotency(self.key.len()));
        }
        let today = now.to_zoned(TimeZone::UTC).date();
        Ok(Request {
            id: RequestId::of_key(today, recipient, &self.key),
            recipient: recipient.clone(),
            origin: Some(here.clone()),
            kind: self.kind.clone(),
            arguments: self.arguments.clone(),
            purpose: self.purpose.clone(),
            basis: self.basis.clone(),
            deadline: self.deadline,
            idempotency: Some(self.key.clone()),
            filed_by: self.filed_by.clone(),
            filed_at: now,
            key: key.clone(),
        })
    }

    /// Whether a request asks for the same. Its deadline stays what it was: one that is told as a length of time is
    /// another one each time.
    #[must_use]
    pub fn is(&self, request: &Request) -> bool {
        let asked = (&self.kind, &self.purpose, &self.basis, &self.arguments);
        let filed = (
            &request.kind,
            &request.purpose,
            &request.basis,
            &request.arguments,
        );
        asked == filed && request.idempotency.as_deref() == Some(&self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_key_is_the_same_request_and_another_question_is_told() -> Result<(), Error> {
        let key = schemas::sign::SigningKey::generate();
        let (recipient, here): (RecipientName, _) = ("insurer-a".parse()?, Origin::default());
        let ask = Ask::new("setl.by_person", "01", "01", "claim 7", "desk").argument("psn_no", "p1");
        let at = |second| Timestamp::from_second(second).unwrap_or_default();
        let one = ask.request(&recipient, key.public(), &here, at(1_769_817_600))?;
        let other = ask.request(&recipient, key.public(), &here, at(1_769_817_700))?;
        assert_eq!(one.id, other.id);
        assert!(one.keeps_its_key() && ask.is(&one) && ask.is(&other));
        assert!(!ask.clone().argument("psn_no", "p2").is(&one));
        assert!(!ask.clone().integer("psn_no", 1).is(&one));
        let nameless = Ask::new("k", "01", "01", "", "desk");
        assert!(matches!(
            nameless.request(&recipient, key.public(), &here, at(0)),
            Err(Error::Idempotency(0))
        ));
        Ok(())
    }
}
