//! What a message names of other chains, so that an older copy of them is detected.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// One signed record of a chain: its number and its digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// Its number.
    pub number: u64,
    /// Its digest.
    pub digest: Digest,
}

impl std::fmt::Display for Mark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.number, self.digest)
    }
}

impl std::str::FromStr for Mark {
    type Err = String;

    /// Reads `NUMBER:DIGEST`, as it is displayed.
    fn from_str(text: &str) -> Result<Self, String> {
        let (number, digest) = text
            .split_once(':')
            .ok_or("a record is named NUMBER:DIGEST, for example 5:9f86d0…".to_owned())?;
        Ok(Self {
            number: number.parse().map_err(|_| format!("{number:?} is no number"))?,
            digest: Digest::from_hex(digest)?,
        })
    }
}

/// The heads that the publisher of a chunk knew when it signed it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Heads {
    /// The control record in force; none: there never was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<Mark>,
    /// The last entries of audit chains, by subject.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub audit: BTreeMap<String, Mark>,
}

impl Heads {
    /// Returns whether no head is named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.control.is_none() && self.audit.is_empty()
    }
}
