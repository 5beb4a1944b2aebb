//! Machine-readable codes for refused requests.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The code of a refusal. A code of a later version is kept unchanged, so that its reply can
/// still be read, verified and stored.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefusalCode {
    /// No legal basis, or none that this kind accepts for this purpose.
    NoBasis,
    /// The recipient may not file requests of this kind.
    NotPermitted,
    /// The period or the number of rows exceeds the kind's limit.
    TooBroad,
    /// The person is on the block list.
    Blocked,
    /// The recipient's quota is exhausted; the reply has the time of the next attempt.
    Quota,
    /// The bureau does not have this kind.
    UnknownKind,
    /// An argument is missing, unknown or of the wrong type.
    BadArgument,
    /// Its day is older than the exchange's retention.
    TooOld,
    /// An officer refused it, or not enough officers granted it in time.
    NotApproved,
    /// Signed by a key that the bureau does not trust for this recipient.
    NotTrusted,
    /// It cannot be read, or contradicts its subject or its key.
    Malformed,
    /// A code of another version.
    Other(String),
}

/// All known codes with their texts.
const ALL: [(RefusalCode, &str); 11] = [
    (RefusalCode::NoBasis, "no_basis"),
    (RefusalCode::NotPermitted, "not_permitted"),
    (RefusalCode::TooBroad, "too_broad"),
    (RefusalCode::Blocked, "blocked"),
    (RefusalCode::Quota, "quota"),
    (RefusalCode::UnknownKind, "unknown_kind"),
    (RefusalCode::BadArgument, "bad_argument"),
    (RefusalCode::TooOld, "too_old"),
    (RefusalCode::NotApproved, "not_approved"),
    (RefusalCode::NotTrusted, "not_trusted"),
    (RefusalCode::Malformed, "malformed"),
];

impl RefusalCode {
    /// Returns the text on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        if let Self::Other(text) = self {
            return text;
        }
        let known = ALL.iter().find(|(code, _)| code == self);
        known.map_or("other", |(_, text)| text)
    }
}

impl From<&str> for RefusalCode {
    fn from(text: &str) -> Self {
        let known = ALL.into_iter().find(|(_, known)| *known == text);
        known.map_or_else(|| Self::Other(text.to_owned()), |(code, _)| code)
    }
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for RefusalCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for RefusalCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        Ok(Self::from(text.as_ref()))
    }
}

impl JsonSchema for RefusalCode {
    fn schema_name() -> Cow<'static, str> {
        "RefusalCode".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let known: Vec<&str> = ALL.iter().map(|(_, text)| *text).collect();
        json_schema!({"type": "string", "examples": known, "description": "Why a request is refused; later versions may add codes"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_code_round_trips_and_a_later_one_is_kept() -> Result<(), serde_json::Error> {
        for (code, text) in ALL {
            assert_eq!(serde_json::to_string(&code)?, format!("\"{text}\""));
            assert_eq!(RefusalCode::from(text), code);
        }
        let later: RefusalCode = serde_json::from_str("\"on_strike\"")?;
        assert_eq!(later, RefusalCode::Other("on_strike".into()));
        assert_eq!(serde_json::to_string(&later)?, "\"on_strike\"");
        Ok(())
    }
}
