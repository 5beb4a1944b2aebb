//! PURE: where a feed's rows go: which tables, under which names, current rows or every version.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemas::name::{FeedName, Lane, RecipientName};
use serde::{Deserialize, Serialize};

use crate::table::quoted;

/// What is kept of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Its newest version, in one table.
    #[default]
    Current,
    /// Every version with the chunk that it came in, in a table of history.
    History,
    /// Both.
    Both,
}

impl Mode {
    /// Whether newest versions are kept.
    #[must_use]
    pub fn keeps_current(self) -> bool {
        self != Self::History
    }

    /// Whether every version is kept.
    #[must_use]
    pub fn keeps_history(self) -> bool {
        self != Self::Current
    }

    /// As it is written in a configuration.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::History => "history",
            Self::Both => "both",
        }
    }
}

/// What an operator may say of one feed; what is not said is as for all feeds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FeedOptions {
    /// The table; by default the feed's name.
    pub table: Option<String>,
    /// The table of history; by default the table's name with `_history` behind.
    pub history: Option<String>,
    /// PostgreSQL: the schema of both.
    pub schema: Option<String>,
    /// Names at the store by names in the feed.
    pub columns: BTreeMap<String, String>,
    /// What is kept.
    pub mode: Option<Mode>,
}

/// What an operator may say of all feeds and of single ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// What is kept.
    pub mode: Mode,
    /// PostgreSQL: the schema of the tables.
    pub schema: Option<String>,
    /// By feed.
    pub feeds: BTreeMap<FeedName, FeedOptions>,
    /// The only feeds that are stored; `None` means every feed.
    pub only: Option<BTreeSet<FeedName>>,
}

impl Options {
    /// Where a feed's rows go.
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

    /// The tables of a lane, with everything that decides whether they may be used.
    #[must_use]
    pub fn tables(&self, database: Database, lane: &Lane) -> LaneTables {
        let is_listed = self.only.as_ref().is_none_or(|only| only.contains(&lane.feed));
        self.owned(database, lane, Owner::Feed(lane.clone()), is_listed)
    }

    /// The table of a kind's answers. `feed` is the name of the table, under which an operator may configure it as
    /// a feed's.
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

    /// Every schema that is named.
    #[must_use]
    pub fn schemas(&self) -> Vec<&str> {
        let feeds = self.feeds.values().filter_map(|feed| feed.schema.as_deref());
        let mut all: Vec<&str> = self.schema.as_deref().into_iter().chain(feeds).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// Where the rows of one feed go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// What is kept.
    pub mode: Mode,
    /// PostgreSQL: the schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The table of newest versions.
    pub table: String,
    /// The table of all versions.
    pub history: String,
    /// Names at the store by names in the feed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, String>,
}

impl Layout {
    /// A column's name at the store.
    #[must_use]
    pub fn column<'a>(&'a self, name: &'a str) -> &'a str {
        self.columns.get(name).map_or(name, String::as_str)
    }

    /// A table's name in SQL.
    #[must_use]
    pub fn sql(&self, table: &str) -> String {
        match &self.schema {
            Some(schema) => format!("{}.{}", quoted(schema), quoted(table)),
            None => quoted(table),
        }
    }

    /// The tables that are written: newest versions, all versions.
    #[must_use]
    pub fn tables(&self) -> Vec<&str> {
        self.roles().map(|(_, table)| table).collect()
    }

    /// The same with what they hold.
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

/// Which database the store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Database {
    /// Names are compared as they are.
    Postgres,
    /// Names are compared without the case of ASCII letters.
    Sqlite,
}

/// Whose rows a table holds. A table has one owner.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Owner {
    /// The rows of a feed.
    Feed(Lane),
    /// The answers to requests of a kind.
    Kind {
        /// Who asked.
        recipient: RecipientName,
        /// The kind.
        kind: String,
    },
}

impl Owner {
    /// Returns the party that receives.
    #[must_use]
    pub fn recipient(&self) -> &RecipientName {
        match self {
            Self::Feed(lane) => &lane.recipient,
            Self::Kind { recipient, .. } => recipient,
        }
    }

    /// Returns the name under which the bookkeeping keeps it.
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

/// The tables of a lane or of a kind, and what decides whether they may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneTables {
    /// Which database they are in.
    pub database: Database,
    /// Whose they are.
    pub owner: Owner,
    /// The lane; that of a kind has the name of its table.
    pub lane: Lane,
    /// Their names, and what is kept.
    pub layout: Layout,
    /// Whether the configuration names the table, so that an existing one is adopted.
    pub adopts_table: bool,
    /// The same for the history.
    pub adopts_history: bool,
    /// Whether the configuration lets the feed be stored.
    pub is_listed: bool,
    /// The NAME of `[store.feed.NAME]`.
    pub key: FeedName,
}

/// What a table holds of its owner's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Newest versions.
    Current,
    /// All versions.
    History,
}

impl Role {
    /// Returns the word in the bookkeeping, which is the key in the configuration too.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Current => "table",
            Self::History => "history",
        }
    }
}

impl LaneTables {
    /// Returns the tables that are written, with what they hold.
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

    /// The same lane under another layout.
    #[must_use]
    pub fn with_layout(&self, layout: &Layout) -> Self {
        Self {
            layout: layout.clone(),
            ..self.clone()
        }
    }
}

const LONGEST: usize = crate::naming::LONGEST;

/// A name with something behind it, within the length that databases allow.
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
    fn what_is_not_said_of_a_feed_is_as_for_all() {
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
    fn a_long_name_is_cut_before_its_suffix_and_between_characters() {
        let long = "表".repeat(40);
        let cut = with_suffix(&long, "_history");
        assert!(cut.len() <= 63 && cut.ends_with("表_history"), "{cut}");
    }
}
