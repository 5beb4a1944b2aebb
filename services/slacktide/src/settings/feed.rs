//! One feed: a named, keyed, ordered query, and who it is for.

use std::collections::{BTreeMap, BTreeSet};

use runtime::span::Span;
use schemas::name::{FeedName, RecipientName};
use serde::{Deserialize, Serialize};
use social::mask::ColumnMasks;
use source::feed::{CursorClock, CursorCounts, FutureRows};
use source::{CursorSetBy, FeedDefinition};

use super::database::DatabaseKind;
use super::rule::Broken;

/// A `[[feed]]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FeedTable {
    /// Its name: in subjects, and of the table at the store.
    pub(crate) name: FeedName,
    /// Counted up when the columns change.
    #[serde(default = "one")]
    pub(crate) version: u32,
    /// A SELECT over any table or view, without ORDER BY and LIMIT.
    pub(crate) sql: String,
    /// The columns that order it, the last one a unique key.
    pub(crate) cursor: Vec<String>,
    /// How the first of them is set.
    pub(crate) cursor_set_by: CursorSetBy,
    /// How late a row may be committed after its cursor was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lag: Option<Span>,
    /// What becomes of rows whose cursor is ahead of the source's clock. No part of the definition.
    #[serde(default, skip_serializing_if = "is_hold")]
    pub(crate) future: FutureRows,
    /// How far ahead of the clock a cursor may be before it is shown. No part of the definition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) future_tolerance: Option<Span>,
    /// The zone in which a cursor without a zone is written. No part of the definition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cursor_zone: Option<String>,
    /// What an integer cursor counts. No part of the definition.
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
    /// The output column that names a person, so that their rows can be kept back. No part of the definition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) person: Option<String>,
    /// Who it is for.
    pub(crate) recipients: Vec<RecipientName>,
    /// Types by column, where the source declares none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) types: BTreeMap<String, String>,
    /// By recipient and column: what it may not see whole.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) masks: BTreeMap<RecipientName, ColumnMasks>,
}

fn one() -> u32 {
    1
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde gives a reference to what it may leave out"
)]
fn is_hold(rows: &FutureRows) -> bool {
    *rows == FutureRows::Hold
}

/// Clock resolution and skew inside the database, where no lag is given.
const MARGIN: Span = Span::from_secs(2);

impl FeedTable {
    /// The definition that the source reads.
    pub(crate) fn definition(&self) -> FeedDefinition {
        FeedDefinition {
            name: self.name.clone(),
            version: self.version,
            sql: self.sql.trim().trim_end_matches(';').to_owned(),
            cursor: self.cursor.clone(),
            cursor_set_by: self.cursor_set_by,
            lag: self.lag.unwrap_or(MARGIN).get(),
            key: self.key.clone(),
            money: self.money.clone(),
            tombstone: self.tombstone.clone(),
            types: self.types.clone(),
            clock: self.clock(),
        }
    }

    fn clock(&self) -> CursorClock {
        let usual = CursorClock::default();
        CursorClock {
            future: self.future,
            tolerance: self.future_tolerance.map_or(usual.tolerance, Span::get),
            zone: self.cursor_zone.clone(),
            counts: self.cursor_counts,
        }
    }

    /// The rules it breaks; `at` is its place among the feeds.
    pub(crate) fn broken(&self, at: usize, kind: DatabaseKind, seen: &mut BTreeSet<FeedName>) -> Vec<Broken> {
        let mut broken = Vec::new();
        let mut say =
            |key: &str, what: String, remedy: &str| broken.push(Broken::in_feed(at, key, what, remedy));
        if !seen.insert(self.name.clone()) {
            say(
                "name",
                format!("{:?} is taken by another feed", self.name.as_str()),
                "give each feed a name of its own",
            );
        }
        if !starts_like_a_query(&self.sql) {
            say(
                "sql",
                "does not begin with SELECT or WITH".to_owned(),
                "write one query over tables or views",
            );
        }
        if self.cursor.is_empty() {
            say(
                "cursor",
                "is empty".to_owned(),
                "name the columns that order the feed, ending in a unique key: [\"updated_at\", \"id\"]",
            );
        }
        if self.key.is_empty() {
            say(
                "key",
                "is empty".to_owned(),
                "name the columns that identify a row at the store",
            );
        }
        if self.recipients.is_empty() {
            say(
                "recipients",
                "is empty".to_owned(),
                "name at least one party that the feed is for",
            );
        }
        for (key, names) in [
            ("cursor", &self.cursor),
            ("key", &self.key),
            ("money", &self.money),
        ] {
            if names.iter().collect::<BTreeSet<_>>().len() != names.len() {
                say(key, "names a column twice".to_owned(), "name each column once");
            }
        }
        if self.recipients.iter().collect::<BTreeSet<_>>().len() != self.recipients.len() {
            say(
                "recipients",
                "names a party twice".to_owned(),
                "name each party once",
            );
        }
        match self.cursor_set_by {
            CursorSetBy::Application if self.lag.is_none_or(|lag| lag.get().is_zero()) => say(
                "lag",
                "is missing, and the application sets the cursor".to_owned(),
                "say how late a row may be committed after its cursor value was taken: lag = \"5s\"",
            ),
            CursorSetBy::Transaction | CursorSetBy::Statement if kind == DatabaseKind::Sqlite => say(
                "cursor_set_by",
                "names a fence that SQLite cannot give: it does not tell who has a transaction open"
                    .to_owned(),
                "use \"application\" with a lag, or \"sequence\" for an AUTOINCREMENT column",
            ),
            _ => {}
        }
        if let Some(zone) = &self.cursor_zone
            && jiff::tz::TimeZone::get(zone).is_err()
        {
            say(
                "cursor_zone",
                format!("{zone:?} is not a time zone that is known here"),
                "write a name such as \"Asia/Shanghai\"",
            );
        }
        for (column, name) in &self.types {
            if source::declared::parse(name).is_none() {
                let what = format!("gives column {column:?} the type {name:?}, which is not known");
                say(
                    "types",
                    what,
                    "use a type such as \"decimal(16,2)\", \"date\", \"timestamptz\", \"int8\" or \"text\"",
                );
            }
        }
        broken
    }
}

fn starts_like_a_query(sql: &str) -> bool {
    let first = sql
        .trim_start()
        .split(|c: char| !c.is_ascii_alphabetic())
        .next()
        .unwrap_or("");
    first.eq_ignore_ascii_case("select") || first.eq_ignore_ascii_case("with")
}
