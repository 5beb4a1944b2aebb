//! The `[store]` table's part about where rows go: tables, names, what is kept of a row.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use runtime::span::Span;
use schemas::name::FeedName;
use serde::{Deserialize, Serialize};
use store::{FeedOptions, Keep, Mode, Options, naming};

use super::database::DatabaseKind;
use super::rule::Broken;

/// A `[store.feed.NAME]` table: what differs from what holds for all feeds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct StoreFeedTable {
    /// The table; otherwise the feed's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) table: Option<String>,
    /// The table of history; otherwise the table's name with `_history` behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) history: Option<String>,
    /// PostgreSQL: the schema of both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) schema: Option<String>,
    /// What is kept of a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mode: Option<Mode>,
    /// Names at the store by names in the feed.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) columns: BTreeMap<String, String>,
}

/// The `[store.ledger]` table: which entries are kept one by one. Older ones are folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LedgerTable {
    /// The newest of each lane, so many.
    pub(crate) entries: u64,
    /// And every one that is not older.
    pub(crate) age: Span,
}

impl Default for LedgerTable {
    fn default() -> Self {
        let keep = Keep::default();
        Self {
            entries: keep.entries,
            age: Span::from_secs(keep.age.as_secs()),
        }
    }
}

impl LedgerTable {
    /// As the store takes it.
    pub(crate) fn keep(self) -> Keep {
        Keep {
            entries: self.entries,
            age: self.age.get(),
        }
    }

    /// The rules that it breaks.
    pub(crate) fn broken(self) -> Vec<Broken> {
        let mut broken = Vec::new();
        if !(1..=1_000_000_000).contains(&self.entries) {
            broken.push(Broken::new(
                "store.ledger.entries",
                format!("is {}", self.entries),
                "give 1 to 1000000000; 10000 is usual",
            ));
        }
        if self.age.get() > MOST_AGE {
            broken.push(Broken::new(
                "store.ledger.age",
                format!("is {}", self.age),
                "give 0s to 3650d; 30d is usual",
            ));
        }
        broken
    }
}

/// Ten years.
const MOST_AGE: Duration = Duration::from_hours(24 * 3_650);

/// All feeds' tables.
pub(crate) type StoreFeeds = BTreeMap<FeedName, StoreFeedTable>;

/// As the store takes it.
pub(crate) fn options(
    mode: Mode,
    schema: Option<&str>,
    feeds: &StoreFeeds,
    only: Option<&[FeedName]>,
) -> Options {
    let one = |(name, table): (&FeedName, &StoreFeedTable)| {
        let table = table.clone();
        let options = FeedOptions {
            table: table.table,
            history: table.history,
            schema: table.schema,
            columns: table.columns,
            mode: table.mode,
        };
        (name.clone(), options)
    };
    Options {
        mode,
        schema: schema.map(str::to_owned),
        feeds: feeds.iter().map(one).collect(),
        only: only.map(|only| only.iter().cloned().collect()),
    }
}

/// The rules about names.
pub(crate) fn broken(kind: DatabaseKind, feeds: &StoreFeeds) -> Vec<Broken> {
    let mut broken = Vec::new();
    let mut taken: BTreeSet<(Option<&str>, String)> = BTreeSet::new();
    let all = options(Mode::Both, None, feeds, None);
    for (feed, table) in feeds {
        let mut say = |key: &str, what: String, remedy: &str| {
            broken.push(Broken::new(&format!("store.feed.{feed}.{key}"), what, remedy));
        };
        if kind == DatabaseKind::Sqlite && table.schema.is_some() {
            say(
                "schema",
                "is for PostgreSQL, and kind is \"sqlite\"".to_owned(),
                "remove it",
            );
        }
        let names = [
            ("table", &table.table),
            ("history", &table.history),
            ("schema", &table.schema),
        ];
        for (key, name) in names
            .into_iter()
            .filter_map(|(key, name)| Some((key, name.as_ref()?)))
        {
            let checked = match key {
                "schema" => naming::schema(name),
                _ => naming::table(name),
            };
            if let Err(what) = checked {
                say(key, format!("{name:?} {what}"), "give another name");
            }
        }
        let layout = all.layout(feed);
        for (key, name) in [("table", &layout.table), ("history", &layout.history)] {
            if !taken.insert((table.schema.as_deref(), name.to_lowercase())) {
                say(
                    key,
                    format!("{name:?} is the table of another feed, or of this one's other rows"),
                    "give each its own",
                );
            }
        }
        let mut targets = BTreeSet::new();
        for (from, to) in &table.columns {
            if let Err(what) = naming::column(to) {
                say(
                    "columns",
                    format!("{from:?} = {to:?}: the name {what}"),
                    "give another name",
                );
            }
            if !targets.insert(to.to_lowercase()) {
                say(
                    "columns",
                    format!("two columns are called {to:?}"),
                    "give each its own name",
                );
            }
        }
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feeds(text: &str) -> StoreFeeds {
        toml::from_str(text).unwrap_or_default()
    }

    #[test]
    fn names_that_clash_or_do_not_fit_are_refused_with_their_place() {
        let wrong = feeds(
            "[claim]\ntable = \"t\"\n[visit]\ntable = \"T\"\nhistory = \"slacktide_x\"\nschema = \"s\"\n\
             [visit.columns]\na = \"c\"\nb = \"C\"\n",
        );
        let told: Vec<String> = broken(DatabaseKind::Sqlite, &wrong)
            .iter()
            .map(|broken| format!("{broken:?}"))
            .collect();
        for word in ["visit.schema", "visit.history", "two columns"] {
            assert!(told.iter().any(|line| line.contains(word)), "{word}: {told:?}");
        }
        for name in [
            "slacktide",
            "slacktide_outbox",
            "Sqlite_x",
            "pg_x",
            "main.slacktide_outbox",
            "public.t",
        ] {
            for key in ["table", "history", "schema"] {
                let wrong = feeds(&format!("[claim]\n{key} = \"{name}\"\n"));
                let told = format!("{:?}", broken(DatabaseKind::Postgres, &wrong));
                assert!(
                    told.contains(&format!("store.feed.claim.{key}")),
                    "{key} = {name}: {told}"
                );
            }
        }
        for name in ["xmin", "_slacktide_epoch", "rowid"] {
            let wrong = feeds(&format!("[claim]\n[claim.columns]\na = \"{name}\"\n"));
            assert_eq!(broken(DatabaseKind::Sqlite, &wrong).len(), 1, "{name}");
        }
        let good =
            feeds("[claim]\ntable = \"Claims\"\nmode = \"both\"\n[claim.columns]\nid = \"claim_id\"\n");
        assert!(broken(DatabaseKind::Postgres, &good).is_empty());
        assert_eq!(good.len(), 1);
    }
}
