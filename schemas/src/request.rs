//! Data requests: what the commercial side files at the exchange.

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
use crate::visible::{self, Invisible};

/// The name of a request: its day and a token, `20260131-x7k2…`. The day lets the bureau refuse
/// ids older than what the exchange retains, whose outcome nobody could look up any more.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct RequestId(#[schemars(regex(pattern = r"^[0-9]{8}-[a-z0-9]{8,40}$"))] String);

/// Characters of a token that is made from an idempotency key: 128 bits of a digest in hex.
const TOKEN: usize = 32;

/// Bytes of an idempotency key, at most.
pub const MOST_IDEMPOTENCY: usize = 200;

/// A text that is no request id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("request id {0:?} is not a day (yyyymmdd), '-', and 8 to 40 of a-z and 0-9")]
pub struct BadRequestId(pub String);

impl RequestId {
    /// Builds an id.
    ///
    /// # Errors
    /// [`BadRequestId`] when the token breaks the alphabet.
    pub fn new(day: Date, token: &str) -> Result<Self, BadRequestId> {
        format!("{}-{token}", day.strftime("%Y%m%d")).parse()
    }

    /// The id of a request with an idempotency key: the same key of the same recipient is the same
    /// id for as long as the day is the same, so filing twice is one subject, which the exchange
    /// takes once. Whoever may repeat a filing after midnight keeps the day with the key, or looks
    /// with [`RequestId::on`] for the one of the day before.
    #[must_use]
    pub fn of_key(day: Date, recipient: &RecipientName, key: &str) -> Self {
        let label = "slacktide.request.v1";
        let text = [label, recipient.as_str(), key].join("\0");
        let token = Digest::of(&[text.as_bytes()]).to_string();
        Self(format!("{}-{}", day.strftime("%Y%m%d"), &token[..TOKEN]))
    }

    /// The same token on another day.
    #[must_use]
    pub fn on(&self, day: Date) -> Self {
        Self(format!("{}-{}", day.strftime("%Y%m%d"), self.token()))
    }

    /// What follows the day.
    #[must_use]
    pub fn token(&self) -> &str {
        self.0.split_once('-').map_or("", |(_, token)| token)
    }

    /// The day in the id.
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
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let fits = (8..=40).contains(&token.len()) && token.bytes().all(plain);
        if day.len() != 8 || !fits || Date::strptime("%Y%m%d", day).is_err() {
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
    /// Its name.
    pub id: RequestId,
    /// The party that asks and will receive.
    pub recipient: RecipientName,
    /// Where it is to be answered; none in requests of versions before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// The kind of request, as the bureau configures them, for example `setl.by_person`.
    pub kind: String,
    /// Arguments by name, bound and never spliced.
    pub arguments: BTreeMap<String, Scalar>,
    /// Purpose code.
    pub purpose: String,
    /// Legal basis code.
    pub basis: String,
    /// When the answer is no longer wanted, judged by the exchange's clock.
    #[schemars(with = "Option<String>")]
    pub deadline: Option<Timestamp>,
    /// The filer's own name for the request, of 1 to 200 bytes: the id is then made from it, see
    /// [`RequestId::of_key`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency: Option<String>,
    /// Who filed it.
    pub filed_by: String,
    /// When, by the filer's clock.
    #[schemars(with = "String")]
    pub filed_at: Timestamp,
    /// The key that signed.
    pub key: PublicKey,
}

impl Request {
    /// Whether the id is the one that its idempotency key makes; true without a key. An id that
    /// does not follow from its key would let one key be filed twice.
    #[must_use]
    pub fn keeps_its_key(&self) -> bool {
        let Some(key) = &self.idempotency else {
            return true;
        };
        let same = |day| RequestId::of_key(day, &self.recipient, key) == self.id;
        (1..=MOST_IDEMPOTENCY).contains(&key.len()) && self.id.day().is_some_and(same)
    }
}

impl Payload for Request {
    const KIND: &'static str = "slacktide.request.v1";
    fn signer(&self) -> &PublicKey {
        &self.key
    }
    fn check_texts(&self) -> Result<(), Invisible> {
        visible::check("kind", &self.kind)?;
        visible::check("purpose", &self.purpose)?;
        visible::check("basis", &self.basis)?;
        visible::check("idempotency", self.idempotency.as_deref().unwrap_or_default())?;
        visible::check("filed_by", &self.filed_by)?;
        for (name, value) in &self.arguments {
            visible::check("the name of an argument", name)?;
            if let Scalar::Text(text) = value {
                // A value that only looks like a person's number would pass a block list by. Neither it nor the
                // name is repeated: whoever writes no name there may have written a value.
                visible::check("the value of an argument", text)?;
            }
        }
        Ok(())
    }
}

/// The wish that a request be no longer answered. The first final outcome wins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cancel {
    /// The request.
    pub id: RequestId,
    /// The party that filed it.
    pub recipient: RecipientName,
    /// The digest of the request as filed.
    pub request: Digest,
    /// Who decided, and why.
    pub reason: String,
    /// When, by the canceller's clock.
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
    fn check_texts(&self) -> Result<(), Invisible> {
        visible::check("reason", &self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_holds_its_day_and_no_separator() {
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
        let refused = Envelope::seal(&cancel, Vec::new(), &key);
        assert!(matches!(refused, Err(EnvelopeError::Invisible(_))), "{refused:?}");
        let cancel = Cancel {
            reason: "settled otherwise".into(),
            ..cancel
        };
        assert!(Envelope::seal(&cancel, Vec::new(), &key).is_ok());
    }

    #[test]
    fn a_key_makes_one_id_for_its_recipient_and_day() {
        let (a, b): (RecipientName, RecipientName) =
            ("insurer-a".parse().unwrap(), "insurer-b".parse().unwrap());
        let (day, next) = (jiff::civil::date(2026, 1, 31), jiff::civil::date(2026, 2, 1));
        let id = RequestId::of_key(day, &a, "claim 7");
        assert_eq!(id.to_string(), "20260131-45c3f9499432fa0f2965b80bee549bd7");
        assert_eq!(id.to_string().parse::<RequestId>(), Ok(id.clone()));
        assert_eq!((id.day(), id.on(next).on(day)), (Some(day), id.clone()));
        assert_eq!(id.on(next), RequestId::of_key(next, &a, "claim 7"));
        assert_ne!(id, RequestId::of_key(day, &b, "claim 7"));
        assert_ne!(id, RequestId::of_key(day, &a, "claim 8"));
    }

    #[test]
    fn an_id_that_does_not_follow_from_its_key_is_found() {
        let recipient: RecipientName = "insurer-a".parse().unwrap();
        let day = jiff::civil::date(2026, 1, 31);
        let mut request = Request {
            id: RequestId::of_key(day, &recipient, "k"),
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
        assert!(request.keeps_its_key());
        for other in ["", "other", &"k".repeat(MOST_IDEMPOTENCY + 1)] {
            request.idempotency = Some(other.to_owned());
            assert!(!request.keeps_its_key(), "{other:?} passed");
        }
        request.idempotency = None;
        assert!(request.keeps_its_key());
    }
}
