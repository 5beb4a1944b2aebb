//! The identity of the database that the rows of a chunk were read from.
//!
//! A position is valid only in the database that it was read in. The publisher compares the identity in its lane's last
//! chunk with the source's current one. It discloses no table and no address: each part is a fingerprint or a number.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cursor::Cursor;
use crate::digest::Digest;

/// The identity of a source database, as far as the database reports it. A missing part is not compared.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct SourceIdentity {
    /// Fingerprint of the permanent identifier of the server or the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// Fingerprint of the database's identifier within the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// The server's timeline: incremented when a standby is promoted and when a backup is restored to a point in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeline: Option<u32>,
    /// Monotonic counters of the database, in a fixed order; encrypted if positions are. A 32-bit counter, which wraps
    /// around, is a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<Cursor>,
    /// The tables that the feed reads: fingerprint of the name, fingerprint of the table.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tables: BTreeMap<String, String>,
}

impl SourceIdentity {
    /// Returns whether nothing is known of the database.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Returns 16 hex digits that are equal for equal parts and disclose nothing else.
#[must_use]
pub fn fingerprint(parts: &[&str]) -> String {
    let mut bytes = b"slacktide.source.v1\0".to_vec();
    for part in parts {
        bytes.extend_from_slice(part.as_bytes());
        bytes.push(0);
    }
    let mut text = Digest::of(&[&bytes]).to_string();
    text.truncate(16);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprint_depends_on_part_boundaries() {
        assert_eq!(fingerprint(&["a", "b"]), fingerprint(&["a", "b"]));
        assert_ne!(fingerprint(&["a", "b"]), fingerprint(&["ab"]));
        assert_ne!(fingerprint(&["a", "b"]), fingerprint(&["", "ab"]));
        assert_eq!(fingerprint(&[]).len(), 16);
    }
}
