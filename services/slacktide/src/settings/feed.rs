//! A feed: a named, keyed, ordered query and its recipients.

use std::collections::{BTreeMap, BTreeSet};

use runtime::span::Span;
use schemas::name::{FeedName, RecipientName};
use serde::{Deserialize, Serialize};
use social::mask::ColumnMasks;
use source::feed::{CursorClock, CursorCounts, FutureRows};
use source::{CursorSetBy, FeedDefinition};

use super::database::DatabaseKind;
use super::violation::ConfigViolation;

/// A `[[feed]]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FeedTable {
    /// The name, in subjects and of the table at the store.
    pub(crate) name: FeedName,
    /// Incremented when the columns change.
    #[serde(default = "first_version")]
    pub(crate) version: u32,
    /// A SELECT over any table or view, without ORDER BY and LIMIT.
    pub(crate) sql: String,
    /// The columns that order the feed; the last one is a unique key.
    pub(crate) cursor: Vec<String>,
    /// How the first cursor column is set.
    pub(crate) cursor_set_by: CursorSetBy,
    /// The maximum time between a row's cursor value and its commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lag: Option<Span>,
    /// The treatment of rows whose cursor is ahead of the source's clock. Not part of the definition.
    #[serde(default, skip_serializing_if = "is_hold")]
    pub(crate) future: FutureRows,
    /// How far a cursor may be ahead of the clock before it is reported. Not part of the definition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) future_tolerance: Option<Span>,
    /// The time zone of a cursor without a zone. Not part of the definition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cursor_zone: Option<String>,
    /// The unit of an integer cursor. Not part of the definition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cursor_counts: Option<CursorCounts>,
    /// The columns that identify a row at the store.
    pub(crate) key: Vec<String>,
    /// The columns whose sums are control totals.
    #[serde(default)]
    pub(crate) money: Vec<String>,
    /// The column that marks a deleted row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tombstone: Option<String>,
    /// The output column that identifies a person, so that their rows can be withheld. Not part of the definition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) person: Option<String>,
    /// The recipients.
    pub(crate) recipients: Vec<RecipientName>,
    /// Types of columns for which the source declares none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) types: BTreeMap<String, String>,
    /// Masks by recipient and column.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) masks: BTreeMap<RecipientName, ColumnMasks>,
}

fn first_version() -> u32 {
    1
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde gives a reference to what it may leave out"
)]
fn is_hold(rows: &FutureRows) -> bool {
    *rows == FutureRows::Hold
}

/// The default lag: clock resolution and skew inside the database.
const DEFAULT_LAG: Span = Span::from_secs(2);

impl FeedTable {
    /// The definition that the source reads.
    pub(crate) fn definition(&self) -> FeedDefinition {
        FeedDefinition {
            name: self.name.clone(),
            version: self.version,
            sql: self.sql.trim().trim_end_matches(';').to_owned(),
            cursor: self.cursor.clone(),
            cursor_set_by: self.cursor_set_by,
            lag: self.lag.unwrap_or(DEFAULT_LAG).get(),
            key: self.key.clone(),
            money: self.money.clone(),
            tombstone: self.tombstone.clone(),
            types: self.types.clone(),
            clock: self.clock(),
        }
    }

    fn clock(&self) -> CursorClock {
        let defaults = CursorClock::default();
        CursorClock {
            future: self.future,
            tolerance: self.future_tolerance.map_or(defaults.tolerance, Span::get),
            zone: self.cursor_zone.clone(),
            counts: self.cursor_counts,
        }
    }

    /// Returns the violated rules; `index` is the feed's index in the file.
    pub(crate) fn violations(
        &self,
        index: usize,
        kind: DatabaseKind,
        seen: &mut BTreeSet<FeedName>,
    ) -> Vec<ConfigViolation> {
        let mut violations = Vec::new();
        let mut report = |key: &str, what: String, remedy: &str| {
            violations.push(ConfigViolation::in_feed(index, key, what, remedy))
        };
        if !seen.insert(self.name.clone()) {
            report(
                "name",
                format!("{:?} is taken by another feed", self.name.as_str()),
                "give each feed a name of its own",
            );
        }
        if !is_query(&self.sql) {
            report(
                "sql",
                "does not begin with SELECT or WITH".to_owned(),
                "write one query over tables or views",
            );
        }
        if self.cursor.is_empty() {
            report(
                "cursor",
                "is empty".to_owned(),
                "name the columns that order the feed, ending in a unique key: [\"updated_at\", \"id\"]",
            );
        }
        if self.key.is_empty() {
            report(
                "key",
                "is empty".to_owned(),
                "name the columns that identify a row at the store",
            );
        }
        if self.recipients.is_empty() {
            report("recipients", "is empty".to_owned(), "name at least one recipient");
        }
        for (key, names) in [
            ("cursor", &self.cursor),
            ("key", &self.key),
            ("money", &self.money),
        ] {
            if names.iter().collect::<BTreeSet<_>>().len() != names.len() {
                report(key, "names a column twice".to_owned(), "name each column once");
            }
        }
        if self.recipients.iter().collect::<BTreeSet<_>>().len() != self.recipients.len() {
            report(
                "recipients",
                "names a party twice".to_owned(),
                "name each party once",
            );
        }
        match self.cursor_set_by {
            CursorSetBy::Application if self.lag.is_none_or(|lag| lag.get().is_zero()) => report(
                "lag",
                "is missing, and the application sets the cursor".to_owned(),
                "give the longest time from the cursor value to the commit: lag = \"5s\"",
            ),
            CursorSetBy::Transaction | CursorSetBy::Statement if kind == DatabaseKind::Sqlite => report(
                "cursor_set_by",
                "names a fence that SQLite cannot provide: it does not list open transactions".to_owned(),
                "use \"application\" with a lag, or \"sequence\" for an AUTOINCREMENT column",
            ),
            _ => {}
        }
        if let Some(zone) = &self.cursor_zone
            && jiff::tz::TimeZone::get(zone).is_err()
        {
            report(
                "cursor_zone",
                format!("{zone:?} is not a known time zone"),
                "write a name such as \"Asia/Shanghai\"",
            );
        }
        for (column, name) in &self.types {
            if source::declared::parse(name).is_none() {
                let what = format!("gives column {column:?} the type {name:?}, which is not known");
                report(
                    "types",
                    what,
                    "use a type such as \"decimal(16,2)\", \"date\", \"timestamptz\", \"int8\" or \"text\"",
                );
            }
        }
        violations
    }
}

fn is_query(sql: &str) -> bool {
    let first = sql
        .trim_start()
        .split(|c: char| !c.is_ascii_alphabetic())
        .next()
        .unwrap_or("");
    first.eq_ignore_ascii_case("select") || first.eq_ignore_ascii_case("with")
}
