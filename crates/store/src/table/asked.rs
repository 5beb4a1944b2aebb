//! PURE: what a person has to be asked before a lane goes on, in words.
//!
//! A change that could lose a value or its meaning is never followed silently, and never stops
//! more than its lane: the chunks that bring it wait at the exchange.

use jiff::Timestamp;
use schemas::column::ColumnType;
use schemas::name::Lane;
use serde::{Deserialize, Serialize};

use super::lattice::spoken;
use crate::layout::Mode;
use crate::merge::Place;

/// A change that is not followed by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Asked {
    /// A column's values mean something else.
    Retyped {
        /// Its name in the feed.
        column: String,
        /// What the table holds.
        old: ColumnType,
        /// What the chunk brings.
        new: ColumnType,
    },
    /// A column does not come any more.
    Dropped {
        /// Its name in the feed.
        column: String,
    },
    /// Rows are identified by other columns.
    Key {
        /// What identified them.
        old: Vec<String>,
        /// What does now.
        new: Vec<String>,
    },
    /// Values of a column of the key mean something else, so rows are identified in another way.
    KeyRetyped {
        /// Its name in the feed.
        column: String,
        /// What the table holds.
        old: ColumnType,
        /// What the chunk brings.
        new: ColumnType,
    },
    /// Another column, or none, marks what is deleted.
    Tombstone {
        /// Which one did.
        old: String,
        /// Which one does now.
        new: Option<String>,
    },
    /// The configuration asks for newest versions, of which only history was kept.
    Mode {
        /// What was kept.
        old: Mode,
        /// What is to be kept.
        new: Mode,
    },
}

impl Asked {
    /// What is the matter.
    #[must_use]
    pub fn what(&self) -> String {
        match self {
            Self::Retyped { column, old, new } => {
                format!("column {column:?} was {} and is now {}", spoken(old), spoken(new))
            }
            Self::Dropped { column } => format!("column {column:?} does not come any more"),
            Self::Key { old, new } => format!("the key was {old:?} and is now {new:?}"),
            Self::KeyRetyped { column, old, new } => format!(
                "column {column:?} of the key was {} and is now {}",
                spoken(old),
                spoken(new)
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

    /// What accepting it does.
    #[must_use]
    pub fn accepted(&self) -> String {
        match self {
            Self::Retyped { column, .. } => format!(
                "the old values of {column:?} stay in a column beside it, and the new ones go into a new column of its name"
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

/// What a lane waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// The first chunk that brought it, of those that came.
    pub place: Place,
    /// All that is to be answered.
    pub changes: Vec<Asked>,
    /// Since when, by the clock of the process that met it first.
    pub since: Timestamp,
}

impl Question {
    /// The lane's state, in words: feed, column, old, new, and what to do.
    #[must_use]
    pub fn told(&self, lane: &Lane) -> String {
        let what: Vec<String> = self.changes.iter().map(Asked::what).collect();
        let then: Vec<String> = self.changes.iter().map(Asked::accepted).collect();
        format!(
            "feed {} has changed with chunk {} of epoch {}: {}; its chunks wait. Either ask the bureau to take it back, \
             or accept it with `slacktide feed accept-change {}`: then {}",
            lane.feed,
            self.place.number,
            self.place.epoch,
            what.join("; "),
            lane.feed,
            then.join("; "),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::lane;

    #[test]
    fn a_question_names_feed_column_old_and_new_and_what_to_do() {
        let question = Question {
            place: Place { epoch: 1, number: 7 },
            changes: vec![Asked::Retyped {
                column: "paid".into(),
                old: ColumnType::Int4,
                new: ColumnType::Text { max: None },
            }],
            since: Timestamp::UNIX_EPOCH,
        };
        let told = question.told(&lane());
        for word in [
            "feed setl",
            "chunk 7",
            "\"paid\"",
            "integer",
            "text",
            "accept-change setl",
        ] {
            assert!(told.contains(word), "{word} is missing: {told}");
        }
    }
}
