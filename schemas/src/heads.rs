//! References to the heads of other chains in a message: they reveal a rollback of those chains.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// A reference to one signed record of a chain: number and digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordRef {
    /// The record's number.
    pub number: u64,
    /// The record's digest.
    pub digest: Digest,
}

impl std::fmt::Display for RecordRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.number, self.digest)
    }
}

impl std::str::FromStr for RecordRef {
    type Err = String;

    /// Parses `NUMBER:DIGEST`, the display form.
    fn from_str(text: &str) -> Result<Self, String> {
        let (number, digest) = text
            .split_once(':')
            .ok_or("a record reference is NUMBER:DIGEST, for example 5:9f86d0…".to_owned())?;
        Ok(Self {
            number: number
                .parse()
                .map_err(|_| format!("{number:?} is not a number"))?,
            digest: Digest::from_hex(digest)?,
        })
    }
}

/// The heads that the publisher of a chunk knew when it signed it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Heads {
    /// The control record in force; `None` if there has never been one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<RecordRef>,
    /// The last entries of audit chains, by subject.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub audit: BTreeMap<String, RecordRef>,
}

impl Heads {
    /// Returns whether there is no head.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.control.is_none() && self.audit.is_empty()
    }
}
