//! The tables `[store.feed.NAME]` and `[store.ledger]`: target tables, names and retention.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use runtime::span::Span;
use schemas::name::FeedName;
use serde::{Deserialize, Serialize};
use store::{FeedOptions, LedgerRetention, Mode, Options, naming};

use super::database::DatabaseKind;
use super::violation::ConfigViolation;

/// A `[store.feed.NAME]` table: overrides for one feed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct StoreFeedTable {
    /// The table; default: the feed's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) table: Option<String>,
    /// The history table; default: the table's name and `_history`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) history: Option<String>,
    /// PostgreSQL: the schema of both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) schema: Option<String>,
    /// The versions of a row that are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mode: Option<Mode>,
    /// Names at the store by names in the feed.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) columns: BTreeMap<String, String>,
}

/// The `[store.ledger]` table: entries that are kept individually. Older ones are folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LedgerTable {
    /// The number of newest entries per lane.
    pub(crate) entries: u64,
    /// Entries up to this age are kept in addition.
    pub(crate) age: Span,
}

impl Default for LedgerTable {
    fn default() -> Self {
        let retention = LedgerRetention::default();
        Self {
            entries: retention.entries,
            age: Span::from_secs(retention.age.as_secs()),
        }
    }
}

impl LedgerTable {
    /// Converts to the options of the store.
    pub(crate) fn retention(self) -> LedgerRetention {
        LedgerRetention {
            entries: self.entries,
            age: self.age.get(),
        }
    }

    /// Returns the rules that the table violates.
    pub(crate) fn violations(self) -> Vec<ConfigViolation> {
        let mut violations = Vec::new();
        if !(1..=1_000_000_000).contains(&self.entries) {
            violations.push(ConfigViolation::new(
                "store.ledger.entries",
                format!("is {}", self.entries),
                "give 1 to 1000000000; 10000 is usual",
            ));
        }
        if self.age.get() > MAX_AGE {
            violations.push(ConfigViolation::new(
                "store.ledger.age",
                format!("is {}", self.age),
                "give 0s to 3650d; 30d is usual",
            ));
        }
        violations
    }
}

/// Ten years.
const MAX_AGE: Duration = Duration::from_hours(24 * 3_650);

/// The tables of all feeds.
pub(crate) type StoreFeeds = BTreeMap<FeedName, StoreFeedTable>;

/// Converts to the options of the store.
pub(crate) fn options(
    mode: Mode,
    schema: Option<&str>,
    feeds: &StoreFeeds,
    only: Option<&[FeedName]>,
) -> Options {
    let feed_options = |(name, table): (&FeedName, &StoreFeedTable)| {
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
        feeds: feeds.iter().map(feed_options).collect(),
        only: only.map(|only| only.iter().cloned().collect()),
    }
}

/// Returns the violated rules about names.
pub(crate) fn violations(kind: DatabaseKind, feeds: &StoreFeeds) -> Vec<ConfigViolation> {
    let mut violations = Vec::new();
    let mut taken: BTreeSet<(Option<&str>, String)> = BTreeSet::new();
    let all = options(Mode::Both, None, feeds, None);
    for (feed, table) in feeds {
        let mut report = |key: &str, what: String, remedy: &str| {
            violations.push(ConfigViolation::new(
                &format!("store.feed.{feed}.{key}"),
                what,
                remedy,
            ));
        };
        if kind == DatabaseKind::Sqlite && table.schema.is_some() {
            report(
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
                report(key, format!("{name:?} {what}"), "give another name");
            }
        }
        let layout = all.layout(feed);
        for (key, name) in [("table", &layout.table), ("history", &layout.history)] {
            if !taken.insert((table.schema.as_deref(), name.to_lowercase())) {
                report(
                    key,
                    format!("{name:?} is the table of another feed, or this feed's other table"),
                    "give each its own",
                );
            }
        }
        let mut targets = BTreeSet::new();
        for (from, to) in &table.columns {
            if let Err(what) = naming::column(to) {
                report(
                    "columns",
                    format!("{from:?} = {to:?}: the name {what}"),
                    "give another name",
                );
            }
            if !targets.insert(to.to_lowercase()) {
                report(
                    "columns",
                    format!("two columns are called {to:?}"),
                    "give each its own name",
                );
            }
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feeds(text: &str) -> StoreFeeds {
        toml::from_str(text).unwrap_or_default()
    }

    #[test]
    fn store_names_invalid_or_duplicate_are_refused() {
        let wrong = feeds(
            "[claim]\ntable = \"t\"\n[visit]\ntable = \"T\"\nhistory = \"slacktide_x\"\nschema = \"s\"\n\
             [visit.columns]\na = \"c\"\nb = \"C\"\n",
        );
        let found: Vec<String> = violations(DatabaseKind::Sqlite, &wrong)
            .iter()
            .map(|violation| format!("{violation:?}"))
            .collect();
        for word in ["visit.schema", "visit.history", "two columns"] {
            assert!(found.iter().any(|line| line.contains(word)), "{word}: {found:?}");
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
                let found = format!("{:?}", violations(DatabaseKind::Postgres, &wrong));
                assert!(
                    found.contains(&format!("store.feed.claim.{key}")),
                    "{key} = {name}: {found}"
                );
            }
        }
        for name in ["xmin", "_slacktide_epoch", "rowid"] {
            let wrong = feeds(&format!("[claim]\n[claim.columns]\na = \"{name}\"\n"));
            assert_eq!(violations(DatabaseKind::Sqlite, &wrong).len(), 1, "{name}");
        }
        let good =
            feeds("[claim]\ntable = \"Claims\"\nmode = \"both\"\n[claim.columns]\nid = \"claim_id\"\n");
        assert!(violations(DatabaseKind::Postgres, &good).is_empty());
        assert_eq!(good.len(), 1);
    }
}
