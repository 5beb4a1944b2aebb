//! PURE: changes of columns that an operator must approve before a lane continues.
//!
//! A change that could lose a value or its meaning is never followed silently, and never stops more than its lane:
//! the chunks with the change wait at the exchange.

use jiff::Timestamp;
use schemas::column::ColumnType;
use schemas::name::Lane;
use serde::{Deserialize, Serialize};

use super::type_widening::sql_type_name;
use crate::chunk_number::ChunkNumber;
use crate::layout::Mode;

/// A change that needs approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum SchemaChange {
    /// A column has an incompatible type.
    Retyped {
        /// Its name in the feed.
        column: String,
        /// What the table holds.
        old: ColumnType,
        /// The chunk's type.
        new: ColumnType,
    },
    /// A column is no longer sent.
    Dropped {
        /// Its name in the feed.
        column: String,
    },
    /// Rows are identified by other columns.
    Key {
        /// The old key.
        old: Vec<String>,
        /// The new key.
        new: Vec<String>,
    },
    /// A column of the key has an incompatible type, so rows are identified differently.
    KeyRetyped {
        /// Its name in the feed.
        column: String,
        /// What the table holds.
        old: ColumnType,
        /// The chunk's type.
        new: ColumnType,
    },
    /// Another column, or none, marks deleted rows.
    Tombstone {
        /// The old column.
        old: String,
        /// The new column.
        new: Option<String>,
    },
    /// The configuration adds the table of newest versions to a history.
    Mode {
        /// The old mode.
        old: Mode,
        /// The new mode.
        new: Mode,
    },
}

impl SchemaChange {
    /// Describes the change.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Retyped { column, old, new } => {
                format!(
                    "column {column:?} was {} and is now {}",
                    sql_type_name(old),
                    sql_type_name(new)
                )
            }
            Self::Dropped { column } => format!("column {column:?} is no longer sent"),
            Self::Key { old, new } => format!("the key was {old:?} and is now {new:?}"),
            Self::KeyRetyped { column, old, new } => format!(
                "column {column:?} of the key was {} and is now {}",
                sql_type_name(old),
                sql_type_name(new)
            ),
            Self::Tombstone { old, new: Some(new) } => {
                format!("deleted rows were marked by column {old:?} and are now by {new:?}")
            }
            Self::Tombstone { old, new: None } => {
                format!("deleted rows were marked by column {old:?} and now by none")
            }
            Self::Mode { old, new } => format!(
                "mode was {:?} and is now {:?}: the table of newest versions lacks what came meanwhile",
                old.word(),
                new.word()
            ),
        }
    }

    /// Describes the effect of the approval.
    #[must_use]
    pub fn effect(&self) -> String {
        match self {
            Self::Retyped { column, .. } => format!(
                "the old values of {column:?} stay in another column, and new values go into a new column of its name"
            ),
            Self::Dropped { column } => format!(
                "{column:?} stays with the values that it has, and new versions of rows hold NULL there"
            ),
            Self::Key { .. } | Self::KeyRetyped { .. } => {
                "the tables are renamed and stay, and new ones are begun: ask for everything to be sent again from the beginning"
                    .to_owned()
            }
            Self::Tombstone { .. } => "rows are deleted by the new mark only".to_owned(),
            Self::Mode { .. } => {
                "newest versions are kept from then on: ask for everything to be sent again from the beginning"
                    .to_owned()
            }
        }
    }
}

/// The change that a lane waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingChange {
    /// The first chunk with the change, of those that arrived.
    pub chunk_number: ChunkNumber,
    /// All changes to approve.
    pub changes: Vec<SchemaChange>,
    /// Since when, by the clock of the process that found it first.
    pub since: Timestamp,
}

impl PendingChange {
    /// Describes the pending change: feed, column, old, new, and the remedy.
    #[must_use]
    pub fn describe(&self, lane: &Lane) -> String {
        let what: Vec<String> = self.changes.iter().map(SchemaChange::describe).collect();
        let then: Vec<String> = self.changes.iter().map(SchemaChange::effect).collect();
        format!(
            "feed {} has changed with chunk {} of epoch {}: {}; its chunks wait. Either ask the bureau to take it back, \
             or accept it with `slacktide feed accept-change {}`: then {}",
            lane.feed,
            self.chunk_number.number,
            self.chunk_number.epoch,
            what.join("; "),
            lane.feed,
            then.join("; "),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use store_testing::samples::lane;

    #[test]
    fn pending_change_description_is_complete() {
        let pending = PendingChange {
            chunk_number: ChunkNumber { epoch: 1, number: 7 },
            changes: vec![SchemaChange::Retyped {
                column: "paid".into(),
                old: ColumnType::Int4,
                new: ColumnType::Text { max: None },
            }],
            since: Timestamp::UNIX_EPOCH,
        };
        let description = pending.describe(&lane());
        for word in [
            "feed setl",
            "chunk 7",
            "\"paid\"",
            "integer",
            "text",
            "accept-change setl",
        ] {
            assert!(description.contains(word), "{word} is missing: {description}");
        }
    }
}
