//! The origin of a message: site, bureau and source.
//!
//! Keys may be shared by a test site and a live one, or by two bureaus of one insurer. With the signature alone, messages of
//! one would be valid at the other.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::name::{PartyName, SiteName, SourceName};

/// The origin of a message, signed with it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// One exchange with its parties.
    pub site: SiteName,
    /// The bureau; `None` if the author does not know the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bureau: Option<PartyName>,
    /// The bureau's system of record; `None` if the author does not know the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceName>,
}

/// A message with another origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "its {what} is {given}, expected {here}: it was published at the wrong exchange, or the two sides' files \
     have different names for the {what}"
)]
pub struct OriginMismatch {
    /// `site`, `bureau` or `source`.
    pub what: &'static str,
    /// The name in the message.
    pub given: String,
    /// The expected name.
    pub here: String,
}

impl Origin {
    /// Checks the origin of a message. A message without one was signed by an earlier version and passes. Names that one
    /// of the two does not have are not compared.
    ///
    /// # Errors
    /// [`OriginMismatch`] names what differs.
    pub fn admit(&self, given: Option<&Self>) -> Result<(), OriginMismatch> {
        let Some(given) = given else { return Ok(()) };
        let same = |what, here: Option<&str>, given: Option<&str>| match (here, given) {
            (Some(here), Some(given)) if here != given => Err(OriginMismatch {
                what,
                given: given.to_owned(),
                here: here.to_owned(),
            }),
            _ => Ok(()),
        };
        let [here, given] = [self, given].map(|origin| {
            let bureau = origin.bureau.as_ref().map(PartyName::as_str);
            (
                bureau,
                origin.source.as_ref().map(SourceName::as_str),
                origin.site.as_str(),
            )
        });
        same("site", Some(here.2), Some(given.2))?;
        same("bureau", here.0, given.0)?;
        same("source", here.1, given.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(site: &str, bureau: Option<&str>, source: Option<&str>) -> Origin {
        Origin {
            site: site.parse().unwrap(),
            bureau: bureau.map(|name| name.parse().unwrap()),
            source: source.map(|name| name.parse().unwrap()),
        }
    }

    #[test]
    fn origin_admits_its_own_and_partial_origins() {
        let here = origin("live", Some("bureau"), Some("core"));
        let partly = origin("live", None, None);
        for given in [&here, &partly] {
            assert_eq!(here.admit(Some(given)), Ok(()));
            assert_eq!(partly.admit(Some(given)), Ok(()));
        }
        assert_eq!(here.admit(None), Ok(()));
    }

    #[test]
    fn origin_refuses_another_site_bureau_or_source() {
        let here = origin("live", Some("bureau"), Some("core"));
        for (given, what) in [
            (origin("test", Some("bureau"), Some("core")), "site"),
            (origin("live", Some("bureau-b"), Some("core")), "bureau"),
            (origin("live", None, Some("core-b")), "source"),
        ] {
            let error = here.admit(Some(&given)).unwrap_err();
            assert_eq!(error.what, what);
            assert!(error.to_string().contains(&error.given), "{error}");
        }
    }
}
