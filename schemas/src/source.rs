//! Which database the rows of a chunk were read from.
//!
//! A position is valid only in the database that it was read in. The publisher compares what its lane's last chunk names with
//! what the source tells now. Nothing here names a table or an address: each part is a fingerprint, or a number.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cursor::Cursor;
use crate::digest::Digest;

/// The database that rows were read from, as far as it tells. A part that is missing is not compared.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct SourceMark {
    /// Fingerprint of what names the server or the file for its whole life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// Fingerprint of what names the database within the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// The server's timeline: counted up when a standby is promoted and when a backup is restored to a point in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeline: Option<u32>,
    /// Counters of the database that never go back, in a fixed order; sealed where positions are sealed. A counter of 32 bits, which
    /// begins again behind its greatest value, is a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<Cursor>,
    /// The tables that the feed reads: fingerprint of the name, fingerprint of the table under it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tables: BTreeMap<String, String>,
}

impl SourceMark {
    /// Whether nothing is known of the database.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Returns 16 hex digits that are equal for equal parts and tell nothing else of them.
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
    fn fingerprint_tells_where_a_part_ends() {
        assert_eq!(fingerprint(&["a", "b"]), fingerprint(&["a", "b"]));
        assert_ne!(fingerprint(&["a", "b"]), fingerprint(&["ab"]));
        assert_ne!(fingerprint(&["a", "b"]), fingerprint(&["", "ab"]));
        assert_eq!(fingerprint(&[]).len(), 16);
    }
}
