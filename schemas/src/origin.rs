//! Where a message belongs: its site, the bureau and the source.
//!
//! Keys may be shared: by a site for tests and a live one, by two bureaus of one insurer. A signature alone would then make
//! the messages of one valid at the other.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::name::{PartyName, SiteName, SourceName};

/// Where a message belongs. Signed with it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// One exchange with its parties.
    pub site: SiteName,
    /// The bureau; none: its author does not know the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bureau: Option<PartyName>,
    /// The bureau's system of record; none: its author does not know the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceName>,
}

/// A message that belongs elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "it belongs to {what} {given}, and here is {what} {here}: it was published at the wrong exchange, or the two sides' files \
     name the {what} differently"
)]
pub struct Elsewhere {
    /// `site`, `bureau` or `source`.
    pub what: &'static str,
    /// What the message names.
    pub given: String,
    /// What is expected here.
    pub here: String,
}

impl Origin {
    /// Checks that a message belongs here. One without an origin was signed by a version that named none, and passes;
    /// what one of the two does not name is not compared.
    ///
    /// # Errors
    /// [`Elsewhere`] names what differs.
    pub fn admit(&self, given: Option<&Self>) -> Result<(), Elsewhere> {
        let Some(given) = given else { return Ok(()) };
        let same = |what, here: Option<&str>, given: Option<&str>| match (here, given) {
            (Some(here), Some(given)) if here != given => Err(Elsewhere {
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
    fn origin_admits_its_own_and_what_names_nothing_else() {
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
