//! PURE: which tables, names and modes a feed's rows are stored with.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemas::name::{FeedName, Lane, RecipientName};
use serde::{Deserialize, Serialize};

use crate::sql_name::{LONGEST, quoted};

/// Which versions of a row are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The newest version, in one table.
    #[default]
    Current,
    /// Every version with the number of its chunk, in a history table.
    History,
    /// Both.
    Both,
}

impl Mode {
    /// Returns whether newest versions are kept.
    #[must_use]
    pub fn keeps_current(self) -> bool {
        self != Self::History
    }

    /// Returns whether every version is kept.
    #[must_use]
    pub fn keeps_history(self) -> bool {
        self != Self::Current
    }

    /// Returns the word in the configuration.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::History => "history",
            Self::Both => "both",
        }
    }
}

/// Options of one feed. An unset option has the value for all feeds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FeedOptions {
    /// The table; by default the feed's name.
    pub table: Option<String>,
    /// The history table; by default the table's name with `_history`.
    pub history: Option<String>,
    /// PostgreSQL: the schema of both tables.
    pub schema: Option<String>,
    /// Column names at the store by column names in the feed.
    pub columns: BTreeMap<String, String>,
    /// The mode.
    pub mode: Option<Mode>,
}

/// Options of all feeds and of single feeds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// The mode.
    pub mode: Mode,
    /// PostgreSQL: the schema of the tables.
    pub schema: Option<String>,
    /// Options by feed.
    pub feeds: BTreeMap<FeedName, FeedOptions>,
    /// The only feeds that are stored; `None` means every feed.
    pub only: Option<BTreeSet<FeedName>>,
}

impl Options {
    /// Returns the layout of a feed's tables.
    #[must_use]
    pub fn layout(&self, feed: &FeedName) -> Layout {
        let options = self.feeds.get(feed).cloned().unwrap_or_default();
        let table = options.table.unwrap_or_else(|| feed.as_str().to_owned());
        Layout {
            mode: options.mode.unwrap_or(self.mode),
            schema: options.schema.or_else(|| self.schema.clone()),
            history: options.history.unwrap_or_else(|| with_suffix(&table, "_history")),
            table,
            columns: options.columns,
        }
    }

    /// Returns the tables of a lane, with everything that decides whether they may be used.
    #[must_use]
    pub fn tables(&self, database: Database, lane: &Lane) -> LaneTables {
        let is_listed = self.only.as_ref().is_none_or(|only| only.contains(&lane.feed));
        self.owned(database, lane, Owner::Feed(lane.clone()), is_listed)
    }

    /// Returns the table of a kind's answers. `feed` is the table's name, under which an operator can configure it
    /// like a feed.
    #[must_use]
    pub fn answers(
        &self,
        database: Database,
        recipient: &RecipientName,
        kind: &str,
        feed: FeedName,
    ) -> LaneTables {
        let lane = Lane {
            recipient: recipient.clone(),
            feed,
        };
        let owner = Owner::Kind {
            recipient: recipient.clone(),
            kind: kind.to_owned(),
        };
        let mut tables = self.owned(database, &lane, owner, true);
        tables.layout.mode = Mode::Current;
        tables
    }

    fn owned(&self, database: Database, lane: &Lane, owner: Owner, is_listed: bool) -> LaneTables {
        let mut layout = self.layout(&lane.feed);
        if database == Database::Sqlite {
            layout.schema = None;
        }
        let options = self.feeds.get(&lane.feed);
        LaneTables {
            database,
            owner,
            lane: lane.clone(),
            layout,
            adopts_table: options.is_some_and(|options| options.table.is_some()),
            adopts_history: options.is_some_and(|options| options.history.is_some()),
            is_listed,
            key: lane.feed.clone(),
        }
    }

    /// Returns every schema that is named.
    #[must_use]
    pub fn schemas(&self) -> Vec<&str> {
        let feeds = self.feeds.values().filter_map(|feed| feed.schema.as_deref());
        let mut all: Vec<&str> = self.schema.as_deref().into_iter().chain(feeds).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// The tables of one feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// The mode.
    pub mode: Mode,
    /// PostgreSQL: the schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The table of newest versions.
    pub table: String,
    /// The history table.
    pub history: String,
    /// Column names at the store by column names in the feed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, String>,
}

impl Layout {
    /// Returns a column's name at the store.
    #[must_use]
    pub fn column<'a>(&'a self, name: &'a str) -> &'a str {
        self.columns.get(name).map_or(name, String::as_str)
    }

    /// Returns a table's name in SQL.
    #[must_use]
    pub fn sql(&self, table: &str) -> String {
        match &self.schema {
            Some(schema) => format!("{}.{}", quoted(schema), quoted(table)),
            None => quoted(table),
        }
    }

    /// Returns the tables that are written: newest versions, history.
    #[must_use]
    pub fn tables(&self) -> Vec<&str> {
        self.roles().map(|(_, table)| table).collect()
    }

    /// Returns the same tables with their roles.
    pub fn roles(&self) -> impl Iterator<Item = (Role, &str)> {
        let current = self
            .mode
            .keeps_current()
            .then_some((Role::Current, self.table.as_str()));
        let history = self
            .mode
            .keeps_history()
            .then_some((Role::History, self.history.as_str()));
        current.into_iter().chain(history)
    }
}

/// The database system of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Database {
    /// Names are compared exactly.
    Postgres,
    /// Names are compared without the case of ASCII letters.
    Sqlite,
}

/// The owner of a table's rows. A table has one owner.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Owner {
    /// The rows of a feed.
    Feed(Lane),
    /// The answers to requests of a kind.
    Kind {
        /// The recipient.
        recipient: RecipientName,
        /// The kind.
        kind: String,
    },
}

impl Owner {
    /// Returns the recipient.
    #[must_use]
    pub fn recipient(&self) -> &RecipientName {
        match self {
            Self::Feed(lane) => &lane.recipient,
            Self::Kind { recipient, .. } => recipient,
        }
    }

    /// Returns the owner's name in the `tables` table.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Feed(lane) => format!("feed {}", lane.feed),
            Self::Kind { kind, .. } => format!("kind {kind}"),
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Feed(lane) => write!(f, "feed {} of {}", lane.feed, lane.recipient),
            Self::Kind { recipient, kind } => write!(f, "kind {kind:?} of {recipient}"),
        }
    }
}

/// The tables of a lane or of a kind of requests, with everything that decides whether they may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneTables {
    /// Which database they are in.
    pub database: Database,
    /// The owner.
    pub owner: Owner,
    /// The lane; for a kind of requests the feed is its table's name.
    pub lane: Lane,
    /// Table names and mode.
    pub layout: Layout,
    /// Whether the configuration names the table, so that an existing one is adopted.
    pub adopts_table: bool,
    /// The same for the history.
    pub adopts_history: bool,
    /// Whether the configuration lists the feed.
    pub is_listed: bool,
    /// The NAME of `[store.feed.NAME]`.
    pub key: FeedName,
}

/// The role of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Newest versions.
    Current,
    /// All versions.
    History,
}

impl Role {
    /// Returns the word in the `tables` table, which is also the key in the configuration.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Current => "table",
            Self::History => "history",
        }
    }
}

impl LaneTables {
    /// Returns the tables that are written, with their roles.
    pub fn roles(&self) -> impl Iterator<Item = (Role, &str)> {
        self.layout.roles()
    }

    /// Returns whether an existing table is adopted in this role.
    #[must_use]
    pub fn adopts(&self, role: Role) -> bool {
        match role {
            Role::Current => self.adopts_table,
            Role::History => self.adopts_history,
        }
    }

    /// Returns the same lane with another layout.
    #[must_use]
    pub fn with_layout(&self, layout: &Layout) -> Self {
        Self {
            layout: layout.clone(),
            ..self.clone()
        }
    }
}

/// Appends a suffix to a name, within the length that databases allow.
#[must_use]
pub fn with_suffix(name: &str, suffix: &str) -> String {
    let room = LONGEST.saturating_sub(suffix.len());
    let mut end = name.len().min(room);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{suffix}", name.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_unset_feed_options_use_defaults() {
        let claim = FeedName::new("claim").unwrap();
        let mut options = Options {
            mode: Mode::Both,
            schema: Some("public".into()),
            ..Options::default()
        };
        let layout = options.layout(&claim);
        assert_eq!(
            (layout.table.as_str(), layout.history.as_str()),
            ("claim", "claim_history")
        );
        assert_eq!(layout.tables(), ["claim", "claim_history"]);
        let own = FeedOptions {
            table: Some("Claims".into()),
            mode: Some(Mode::History),
            columns: BTreeMap::from([("id".into(), "claim_id".into())]),
            ..FeedOptions::default()
        };
        options.feeds.insert(claim.clone(), own);
        let layout = options.layout(&claim);
        assert_eq!(layout.tables(), ["Claims_history"]);
        assert_eq!((layout.column("id"), layout.column("name")), ("claim_id", "name"));
        assert_eq!(layout.sql(&layout.table), "\"public\".\"Claims\"");
    }

    #[test]
    fn layout_long_name_is_truncated_before_suffix() {
        let long = "表".repeat(40);
        let cut = with_suffix(&long, "_history");
        assert!(cut.len() <= 63 && cut.ends_with("表_history"), "{cut}");
    }
}
