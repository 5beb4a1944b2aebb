//! PURE: the request to file.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use schemas::cursor::Scalar;
use schemas::name::RecipientName;
use schemas::origin::Origin;
use schemas::request::{MAX_IDEMPOTENCY_KEY_BYTES, Request, RequestId};
use schemas::sign::PublicKey;

use crate::error::Error;

/// A request with its purpose and legal basis.
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
    /// Creates a request of a kind, for a purpose on a legal basis. `key` is the idempotency key: two filings with one key
    /// are one request. `filed_by` is the person or program, for the audit.
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

    /// Adds an argument as text in the format of its type, such as `2026-01-31`, `12.30` or `true`.
    #[must_use]
    pub fn argument(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.arguments.insert(name.into(), Scalar::Text(value.into()));
        self
    }

    /// Adds an integer argument.
    #[must_use]
    pub fn integer(mut self, name: impl Into<String>, value: i64) -> Self {
        self.arguments.insert(name.into(), Scalar::Int(value));
        self
    }

    /// Adds parsed arguments.
    #[must_use]
    pub fn with(mut self, arguments: BTreeMap<String, Scalar>) -> Self {
        self.arguments.extend(arguments);
        self
    }

    /// Sets the deadline, by the exchange's clock.
    #[must_use]
    pub fn until(mut self, deadline: Timestamp) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Returns the idempotency key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns the same request as attempt 2, 3, …: its key is derived from the first key and the number.
    #[must_use]
    pub fn attempt(&self, number: u32) -> Self {
        let mut again = self.clone();
        if number > 1 {
            again.key = format!("{}~{number}", self.key);
        }
        again
    }

    /// Builds the request message.
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
        if !(1..=MAX_IDEMPOTENCY_KEY_BYTES).contains(&self.key.len()) {
            return Err(Error::Idempotency(self.key.len()));
        }
        let today = now.to_zoned(TimeZone::UTC).date();
        Ok(Request {
            id: RequestId::from_idempotency_key(today, recipient, &self.key),
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

    /// Returns whether a filed request has the same content. The deadline is not compared: one that is given as a duration
    /// differs each time.
    #[must_use]
    pub fn matches(&self, request: &Request) -> bool {
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
    fn ask_same_key_is_same_request_and_others_differ() -> Result<(), Error> {
        let key = schemas::sign::SigningKey::generate();
        let (recipient, here): (RecipientName, _) = ("insurer-a".parse()?, Origin::default());
        let ask = Ask::new("setl.by_person", "01", "01", "claim 7", "desk").argument("psn_no", "p1");
        let at = |second| Timestamp::from_second(second).unwrap_or_default();
        let one = ask.request(&recipient, key.public(), &here, at(1_769_817_600))?;
        let other = ask.request(&recipient, key.public(), &here, at(1_769_817_700))?;
        assert_eq!(one.id, other.id);
        assert!(one.id_matches_key() && ask.matches(&one) && ask.matches(&other));
        assert!(!ask.clone().argument("psn_no", "p2").matches(&one));
        assert!(!ask.clone().integer("psn_no", 1).matches(&one));
        let nameless = Ask::new("k", "01", "01", "", "desk");
        assert!(matches!(
            nameless.request(&recipient, key.public(), &here, at(0)),
            Err(Error::Idempotency(0))
        ));
        Ok(())
    }
}
