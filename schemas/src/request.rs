//! Data requests, which the commercial side files at the exchange.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cursor::Scalar;
use crate::digest::Digest;
use crate::envelope::Payload;
use crate::name::RecipientName;
use crate::origin::Origin;
use crate::sign::PublicKey;
use crate::visible::{self, InvisibleCharacter};

/// The id of a request: its day and a token, `20260131-x7k2…`. The day lets the bureau refuse ids that are older than
/// the exchange's retention and whose outcome could no longer be read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct RequestId(#[schemars(regex(pattern = r"^[0-9]{8}-[a-z0-9]{8,40}$"))] String);

/// Characters of a token that is made from an idempotency key: 128 bits of a digest in hex.
const TOKEN_CHARS: usize = 32;

/// Maximum number of bytes of an idempotency key.
pub const MAX_IDEMPOTENCY_KEY_BYTES: usize = 200;

/// An invalid request id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("request id {0:?} is not a day (yyyymmdd), '-', and 8 to 40 of a-z and 0-9")]
pub struct BadRequestId(pub String);

impl RequestId {
    /// Builds an id.
    ///
    /// # Errors
    /// [`BadRequestId`] when the token is invalid.
    pub fn new(day: Date, token: &str) -> Result<Self, BadRequestId> {
        format!("{}-{token}", day.strftime("%Y%m%d")).parse()
    }

    /// Returns the id of a request with an idempotency key. The same key of the same recipient has the same id on the same
    /// day, so a repeated filing has the same subject, which the exchange accepts once. A client that may repeat a filing
    /// after midnight stores the day with the key, or searches with [`RequestId::with_day`] for the previous day's id.
    #[must_use]
    pub fn from_idempotency_key(day: Date, recipient: &RecipientName, key: &str) -> Self {
        let label = "slacktide.request.v1";
        let text = [label, recipient.as_str(), key].join("\0");
        let token = Digest::of(&[text.as_bytes()]).to_string();
        Self(format!("{}-{}", day.strftime("%Y%m%d"), &token[..TOKEN_CHARS]))
    }

    /// Returns the id with the same token and another day.
    #[must_use]
    pub fn with_day(&self, day: Date) -> Self {
        Self(format!("{}-{}", day.strftime("%Y%m%d"), self.token()))
    }

    /// Returns the token.
    #[must_use]
    pub fn token(&self) -> &str {
        self.0.split_once('-').map_or("", |(_, token)| token)
    }

    /// Returns the day.
    #[must_use]
    pub fn day(&self) -> Option<Date> {
        Date::strptime("%Y%m%d", self.0.get(..8)?).ok()
    }
}

impl std::str::FromStr for RequestId {
    type Err = BadRequestId;
    fn from_str(text: &str) -> Result<Self, BadRequestId> {
        let bad = || BadRequestId(text.chars().take(80).collect());
        let (day, token) = text.split_once('-').ok_or_else(bad)?;
        let is_allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let is_token = (8..=40).contains(&token.len()) && token.bytes().all(is_allowed);
        if day.len() != 8 || !is_token || Date::strptime("%Y%m%d", day).is_err() {
            return Err(bad());
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for RequestId {
    type Error = BadRequestId;
    fn try_from(text: String) -> Result<Self, BadRequestId> {
        text.parse()
    }
}

impl From<RequestId> for String {
    fn from(id: RequestId) -> String {
        id.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A request for data, signed by the party that files it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Request {
    /// Its id.
    pub id: RequestId,
    /// The party that files it and receives the answer.
    pub recipient: RecipientName,
    /// The site, bureau and source that it is for; `None` in requests of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// The kind of request, as the bureau configures them, for example `setl.by_person`.
    pub kind: String,
    /// Arguments by name; bound as parameters, never inserted into the SQL text.
    pub arguments: BTreeMap<String, Scalar>,
    /// Purpose code.
    pub purpose: String,
    /// Legal basis code.
    pub basis: String,
    /// When the request expires, by the exchange's clock.
    #[schemars(with = "Option<String>")]
    pub deadline: Option<Timestamp>,
    /// The filer's idempotency key, 1 to 200 bytes; the id is derived from it, see
    /// [`RequestId::from_idempotency_key`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency: Option<String>,
    /// The person or program that filed it.
    pub filed_by: String,
    /// When it was filed, by the filer's clock.
    #[schemars(with = "String")]
    pub filed_at: Timestamp,
    /// The key that signed.
    pub key: PublicKey,
}

impl Request {
    /// Returns whether the id is derived from the idempotency key; true without a key. Another id would allow one key to be
    /// filed twice.
    #[must_use]
    pub fn id_matches_key(&self) -> bool {
        let Some(key) = &self.idempotency else {
            return true;
        };
        let same = |day| RequestId::from_idempotency_key(day, &self.recipient, key) == self.id;
        (1..=MAX_IDEMPOTENCY_KEY_BYTES).contains(&key.len()) && self.id.day().is_some_and(same)
    }
}

impl Payload for Request {
    const KIND: &'static str = "slacktide.request.v1";
    fn signer(&self) -> &PublicKey {
        &self.key
    }
    fn check_texts(&self) -> Result<(), InvisibleCharacter> {
        visible::check_visible("kind", &self.kind)?;
        visible::check_visible("purpose", &self.purpose)?;
        visible::check_visible("basis", &self.basis)?;
        visible::check_visible("idempotency", self.idempotency.as_deref().unwrap_or_default())?;
        visible::check_visible("filed_by", &self.filed_by)?;
        for (name, value) in &self.arguments {
            visible::check_visible("the name of an argument", name)?;
            if let Scalar::Text(text) = value {
                // A value that only looks like a person's number would bypass a block list. The error contains neither
                // it nor the name, because the name may be a value by mistake.
                visible::check_visible("the value of an argument", text)?;
            }
        }
        Ok(())
    }
}

/// Asks the bureau to cancel a request. The first final outcome wins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cancel {
    /// The request.
    pub id: RequestId,
    /// The party that filed it.
    pub recipient: RecipientName,
    /// The digest of the request as filed.
    pub request: Digest,
    /// The person who decided, and the reason.
    pub reason: String,
    /// When it was written, by the canceller's clock.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The key that signed.
    pub key: PublicKey,
}

impl Payload for Cancel {
    const KIND: &'static str = "slacktide.cancel.v1";
    fn signer(&self) -> &PublicKey {
        &self.key
    }
    fn check_texts(&self) -> Result<(), InvisibleCharacter> {
        visible::check_visible("reason", &self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_id_has_a_day_and_no_separator() {
        let id: RequestId = "20260131-abcdefgh".parse().unwrap();
        assert_eq!(id.day(), Some(jiff::civil::date(2026, 1, 31)));
        for bad in [
            "20260231-abcdefgh",
            "20260131-abc",
            "20260131-abcdefg.",
            "abcdefgh",
            "20260131-ABCDEFGH",
            ">",
        ] {
            assert!(bad.parse::<RequestId>().is_err(), "{bad:?} passed");
        }
    }

    #[test]
    fn request_texts_are_checked_before_they_are_signed() {
        use crate::envelope::{Envelope, EnvelopeError};
        let key = crate::sign::SigningKey::generate();
        let cancel = Cancel {
            id: "20260131-abcdefgh".parse().unwrap(),
            recipient: "insurer-a".parse().unwrap(),
            request: Digest::of(&[b"a"]),
            reason: "a\u{202e}b".into(),
            at: Timestamp::UNIX_EPOCH,
            key: key.public().clone(),
        };
        let refused = Envelope::sign(&cancel, Vec::new(), &key);
        assert!(
            matches!(refused, Err(EnvelopeError::InvisibleCharacter(_))),
            "{refused:?}"
        );
        let cancel = Cancel {
            reason: "settled otherwise".into(),
            ..cancel
        };
        assert!(Envelope::sign(&cancel, Vec::new(), &key).is_ok());
    }

    #[test]
    fn request_id_is_derived_from_key_recipient_and_day() {
        let (a, b): (RecipientName, RecipientName) =
            ("insurer-a".parse().unwrap(), "insurer-b".parse().unwrap());
        let (day, next) = (jiff::civil::date(2026, 1, 31), jiff::civil::date(2026, 2, 1));
        let id = RequestId::from_idempotency_key(day, &a, "claim 7");
        assert_eq!(id.to_string(), "20260131-45c3f9499432fa0f2965b80bee549bd7");
        assert_eq!(id.to_string().parse::<RequestId>(), Ok(id.clone()));
        assert_eq!(
            (id.day(), id.with_day(next).with_day(day)),
            (Some(day), id.clone())
        );
        assert_eq!(
            id.with_day(next),
            RequestId::from_idempotency_key(next, &a, "claim 7")
        );
        assert_ne!(id, RequestId::from_idempotency_key(day, &b, "claim 7"));
        assert_ne!(id, RequestId::from_idempotency_key(day, &a, "claim 8"));
    }

    #[test]
    fn request_id_of_another_key_is_detected() {
        let recipient: RecipientName = "insurer-a".parse().unwrap();
        let day = jiff::civil::date(2026, 1, 31);
        let mut request = Request {
            id: RequestId::from_idempotency_key(day, &recipient, "k"),
            recipient,
            origin: None,
            kind: "setl.by_person".into(),
            arguments: BTreeMap::new(),
            purpose: "01".into(),
            basis: "01".into(),
            deadline: None,
            idempotency: Some("k".into()),
            filed_by: "clerk".into(),
            filed_at: Timestamp::UNIX_EPOCH,
            key: crate::sign::SigningKey::generate().public().clone(),
        };
        assert!(request.id_matches_key());
        for other in ["", "other", &"k".repeat(MAX_IDEMPOTENCY_KEY_BYTES + 1)] {
            request.idempotency = Some(other.to_owned());
            assert!(!request.id_matches_key(), "{other:?} passed");
        }
        request.idempotency = None;
        assert!(request.id_matches_key());
    }
}
