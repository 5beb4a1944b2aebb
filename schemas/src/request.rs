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
use crate::sign::PublicKey;

/// The name of a request: its day and a token, `20260131-x7k2…`. The day lets the bureau refuse
/// ids older than what the exchange retains, whose outcome nobody could look up any more.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct RequestId(#[schemars(regex(pattern = r"^[0-9]{8}-[a-z0-9]{8,40}$"))] String);

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
    /// Who filed it.
    pub filed_by: String,
    /// When, by the filer's clock.
    #[schemars(with = "String")]
    pub filed_at: Timestamp,
    /// The key that signed.
    pub key: PublicKey,
}

impl Payload for Request {
    const KIND: &'static str = "slacktide.request.v1";
    fn signer(&self) -> &PublicKey {
        &self.key
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
}
