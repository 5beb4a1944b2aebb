//! What is read: a feed's definition, as the operator writes it.

use std::collections::BTreeMap;
use std::time::Duration;

use schemas::digest::Digest;
use schemas::name::FeedName;
use serde::{Deserialize, Serialize};

/// How the first cursor column gets its value; decides the fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CursorSetBy {
    /// `now()`, `current_timestamp`: the transaction's start.
    Transaction,
    /// `clock_timestamp()`, `statement_timestamp()`: during the transaction.
    Statement,
    /// A sequence, identity or serial column without cache; SQLite's rowid.
    Sequence,
    /// The application; no fence is possible, the declared lag is used.
    Application,
}

/// What becomes of rows whose position is ahead of the source's own clock. Whatever it is, they never move the feed's position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FutureRows {
    /// They wait until the clock has passed them. They are counted and shown.
    #[default]
    Hold,
    /// The same; a note of each goes to the recipients as a reject.
    Send,
}

/// What an integer cursor counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CursorCounts {
    /// Something else than time: versions, numbers.
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

/// How the first cursor column is compared with the source's clock. It does not change what a row is, so it is no part of the
/// definition's digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CursorClock {
    /// What becomes of rows ahead of the clock.
    pub future: FutureRows,
    /// Rows further ahead of the clock than this are shown; others wait in silence, because clocks differ.
    pub tolerance: Duration,
    /// The zone in which times without a zone are written; none: the session's zone in PostgreSQL, UTC in SQLite.
    pub zone: Option<String>,
    /// What an integer counts; none: it is recognised from the values.
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

/// A named, keyed, ordered query over the source. Pure data: the digest of it travels in every
/// manifest, so recipients and intervals, which do not change what a row is, are not part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FeedDefinition {
    /// Its name.
    pub name: FeedName,
    /// Counted up by its owner when the columns change.
    pub version: u32,
    /// A SELECT over any table or view, without ORDER BY and LIMIT.
    pub sql: String,
    /// Names of output columns that order the feed; together unique, the last one alone enough
    /// to tell rows apart that share the others.
    pub cursor: Vec<String>,
    /// How the first of them is set.
    pub cursor_set_by: CursorSetBy,
    /// `application`: a row is committed at most this long after its cursor value was taken.
    /// Otherwise the fence's margin for clock resolution and skew inside the database.
    #[serde(serialize_with = "as_millis")]
    pub lag: Duration,
    /// Names of the output columns that identify a row at the store.
    pub key: Vec<String>,
    /// Names of the output columns whose sums are control totals.
    pub money: Vec<String>,
    /// Name of the output column that marks a deleted row.
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
    /// The digest in the manifest: SHA-256 over the definition as JSON with sorted names.
    #[must_use]
    pub fn digest(&self) -> Digest {
        // Serialisation of plain data into memory cannot fail; an empty text would only make
        // the digest differ, which refuses the feed instead of harming it.
        let text = serde_json::to_value(self)
            .map(|value| value.to_string())
            .unwrap_or_default();
        Digest::of(&[b"slacktide.feed.v1\0", text.as_bytes()])
    }
}
