//! The definition of a feed, as the operator writes it.

use std::collections::BTreeMap;
use std::time::Duration;

use schemas::digest::Digest;
use schemas::name::FeedName;
use serde::{Deserialize, Serialize};

/// How the first cursor column gets its value. This decides the kind of fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CursorSetBy {
    /// `now()`, `current_timestamp`: the transaction's start.
    Transaction,
    /// `clock_timestamp()`, `statement_timestamp()`: during the transaction.
    Statement,
    /// A sequence, identity or serial column without cache; SQLite's rowid.
    Sequence,
    /// The application. No fence is possible; the declared lag is used.
    Application,
}

/// How rows ahead of the source's clock are handled. They never move the feed's position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FutureRows {
    /// They wait until the clock passes them. They are counted and shown.
    #[default]
    Hold,
    /// They wait, and each is sent to the recipients as a reject.
    Send,
}

/// The unit of an integer cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CursorCounts {
    /// Not a time: versions, numbers.
    Numbers,
    /// Seconds since 1970.
    Seconds,
    /// Milliseconds since 1970.
    Milliseconds,
    /// Microseconds since 1970.
    Microseconds,
    /// Nanoseconds since 1970.
    Nanoseconds,
}

/// How the first cursor column is compared with the source's clock. It does not change a row's content, so it is not part of
/// the definition's digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CursorClock {
    /// How rows ahead of the clock are handled.
    pub future: FutureRows,
    /// Rows further ahead of the clock than this are shown. Others wait silently, because clocks differ.
    pub tolerance: Duration,
    /// The zone of times without a zone. Default: the session's zone in PostgreSQL, UTC in SQLite.
    pub zone: Option<String>,
    /// The unit of an integer. Default: detected from the values.
    pub counts: Option<CursorCounts>,
}

impl Default for CursorClock {
    fn default() -> Self {
        Self {
            future: FutureRows::Hold,
            tolerance: Duration::from_secs(300),
            zone: None,
            counts: None,
        }
    }
}

/// A named, keyed, ordered query over the source. Every manifest contains its digest. Recipients and intervals do not change
/// a row's content, so they are not part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FeedDefinition {
    /// Its name.
    pub name: FeedName,
    /// Incremented by the feed's owner when the columns change.
    pub version: u32,
    /// A SELECT over any table or view, without ORDER BY and LIMIT.
    pub sql: String,
    /// Output columns that order the feed. Together they are unique; the last one distinguishes rows that share the others.
    pub cursor: Vec<String>,
    /// How the first of them is set.
    pub cursor_set_by: CursorSetBy,
    /// For `application`: the longest time from a row's cursor value to its commit. Otherwise the fence's margin for clock
    /// resolution and skew inside the database.
    #[serde(serialize_with = "as_millis")]
    pub lag: Duration,
    /// Output columns that identify a row at the store.
    pub key: Vec<String>,
    /// Output columns whose sums are control totals.
    pub money: Vec<String>,
    /// Output column that marks a deleted row.
    pub tombstone: Option<String>,
    /// Types by column name, where the source declares none: `decimal(16,2)`, `date`, ….
    pub types: BTreeMap<String, String>,
    /// How the first cursor column is compared with the source's clock.
    #[serde(skip)]
    pub clock: CursorClock,
}

fn as_millis<S: serde::Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

impl FeedDefinition {
    /// Returns the digest of the manifest: SHA-256 over the definition as JSON with sorted names.
    #[must_use]
    pub fn digest(&self) -> Digest {
        // Serialising plain data into memory cannot fail. An empty text would only change the digest, which refuses the feed.
        let text = serde_json::to_value(self)
            .map(|value| value.to_string())
            .unwrap_or_default();
        Digest::of(&[b"slacktide.feed.v1\0", text.as_bytes()])
    }
}
