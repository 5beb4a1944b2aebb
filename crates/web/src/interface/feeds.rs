//! What a reader gets: the feeds that it may read, and the end record of a download of rows.

use jiff::Timestamp;
use schemas::column::Column;
use schemas::digest::Digest;
use schemas::name::{FeedName, RecipientName};
use serde::{Deserialize, Serialize};

/// The feeds of a recipient: `GET /v1/feeds`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feeds {
    /// Sorted by name.
    pub feeds: Vec<Feed>,
}

/// A feed as the exchange has it now: `GET /v1/feeds/{feed}`. Nothing in it is verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feed {
    /// Its name.
    pub feed: FeedName,
    /// Who receives it.
    pub recipient: RecipientName,
    /// The newest chunk; `None` if the last message is not a chunk.
    pub newest: Option<ChunkPosition>,
    /// The oldest chunk that is kept; `None` if the first message is not a chunk.
    pub oldest: Option<ChunkPosition>,
    /// The columns of the newest chunk, in the order of the values.
    pub columns: Vec<Column>,
    /// The columns that identify a row.
    pub key: Vec<String>,
    /// The column that marks a deleted row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tombstone: Option<String>,
    /// Whether the rows of the newest chunk are encrypted to the recipient: the gateway cannot return them as rows.
    pub is_encrypted: bool,
}

/// A chunk and the position after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkPosition {
    /// The epoch of its number.
    pub epoch: u32,
    /// Its number in the epoch.
    pub number: u64,
    /// The digest that the next chunk names.
    pub digest: Digest,
    /// When the exchange stored it.
    pub stored_at: Timestamp,
    /// The cursor after it.
    pub cursor: String,
}

/// Why a download of rows ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// There is no further chunk now.
    CaughtUp,
    /// As many chunks as were asked for.
    Max,
    /// The next chunk has other columns. Continue with the cursor.
    ColumnsChanged,
    /// The last chunk completed a resynchronisation; see [`Resynced`]. Continue with the cursor.
    Resynced,
    /// The next chunk is encrypted: continuing is answered with 406.
    Encrypted,
    /// The next message is not the chunk that follows: continuing is answered with the reason.
    Unreadable,
    /// The exchange did not answer. Continue with the cursor later.
    Exchange,
    /// The gateway stops. Continue with the cursor.
    Stopping,
}

/// A completed resynchronisation: every row of the feed was sent again in this epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resynced {
    /// Its epoch.
    pub epoch: u32,
    /// Source rows that were not sent. If there are none, the rows that were not sent in this epoch were removed at the source.
    pub excluded_rows: u64,
}

/// The last record of a download of rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowsEnd {
    /// Rows before it.
    pub rows: u64,
    /// `sha-256:` and 64 hex digits, over all bytes before it.
    pub digest: String,
    /// The cursor to continue with.
    pub next: String,
    /// Whether there was no further chunk.
    pub is_caught_up: bool,
    /// Why it ended here.
    pub reason: EndReason,
    /// Source rows that could not be carried, in the chunks of this download; their notes are in the manifests.
    pub rejects: u64,
    /// Source rows that the bureau withholds, in the chunks of this download.
    pub withheld: u64,
    /// Set if the last chunk completed a resynchronisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resynced: Option<Resynced>,
}

impl EndReason {
    /// Returns its name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CaughtUp => "caught_up",
            Self::Max => "max",
            Self::ColumnsChanged => "columns_changed",
            Self::Resynced => "resynced",
            Self::Encrypted => "encrypted",
            Self::Unreadable => "unreadable",
            Self::Exchange => "exchange",
            Self::Stopping => "stopping",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_reason_has_one_name() {
        for reason in [
            EndReason::CaughtUp,
            EndReason::Max,
            EndReason::ColumnsChanged,
            EndReason::Resynced,
            EndReason::Encrypted,
            EndReason::Unreadable,
            EndReason::Exchange,
            EndReason::Stopping,
        ] {
            let json = serde_json::to_string(&reason).unwrap();
            assert_eq!(json, format!("\"{}\"", reason.as_str()));
        }
    }
}
