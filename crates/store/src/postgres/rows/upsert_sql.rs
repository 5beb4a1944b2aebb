//! PURE: the store's names of the sent columns, and the SQL that moves rows from a staging table.

use schemas::column::RowSchema;
use schemas::key::has_canonical_form;
use schemas::name::Lane;

use super::traits::{Merge, Traits};
use crate::layout::Layout;
use crate::sql_name::{listed, quoted};
use crate::table::shape::ColumnMapping;
use crate::table::{EPOCH, KEY, NUMBER};

/// Options of the upsert.
#[derive(Debug, Clone, Copy)]
pub(super) struct UpsertOptions {
    /// The operator that compares the stored chunk number with the staged one.
    pub(super) older: &'static str,
    /// Whether new rows are counted.
    pub(super) is_counted: bool,
}

/// Column names of rows that share their columns.
pub(super) struct UpsertSql {
    /// The sent columns, in order.
    pub(super) sent: Vec<String>,
    /// Columns of the tables that are not sent.
    pub(super) missing: Vec<String>,
    /// The key.
    pub(super) key: Vec<String>,
    /// Columns of the key that another spelling of the same key may change.
    respelt: Vec<String>,
}

impl UpsertSql {
    /// Derives the names from a mapping.
    pub(super) fn of(schema: &RowSchema, layout: &Layout, mapping: ColumnMapping) -> Self {
        let named = |name: &String| layout.column(name).to_owned();
        let has_canonical_form = |name: &&String| {
            let at = schema.index_of(name).and_then(|at| schema.columns.get(at));
            at.is_some_and(|column| has_canonical_form(&column.kind))
        };
        Self {
            key: schema.key.iter().map(named).collect(),
            respelt: schema.key.iter().filter(has_canonical_form).map(named).collect(),
            sent: mapping.names,
            missing: mapping.missing,
        }
    }

    /// Returns the condition under which row `t` is another version of row `s` of the staging table.
    pub(super) fn same(&self, traits: &Traits) -> String {
        if traits.merge == Merge::Keyed {
            return format!("t.{KEY} = s.{KEY}");
        }
        let mut same: Vec<String> = self
            .key
            .iter()
            .map(|name| format!("t.{0} = s.{0}", quoted(name)))
            .collect();
        if traits.merge == Merge::Guarded {
            same.push(format!("(t.{KEY} IS NULL OR t.{KEY} = s.{KEY})"));
        }
        same.join(" AND ")
    }

    /// Sets the canonical key of rows that existed before and are found by their key columns.
    pub(super) fn claim(&self, table: &str, stage: &str) -> String {
        let same: Vec<String> = self
            .key
            .iter()
            .map(|name| format!("t.{0} = s.{0}", quoted(name)))
            .collect();
        format!(
            "UPDATE {table} t SET {KEY} = s.{KEY} FROM {stage} s WHERE t.{KEY} IS NULL AND {}",
            same.join(" AND ")
        )
    }

    /// Returns the upsert from the staging table of rows that are not older than the stored ones. Columns that are
    /// not sent become NULL: a version is complete. Computed columns are left out.
    ///
    /// `older` compares the stored chunk number: `<=` for a chunk, which may be stored again over rows that others
    /// changed, and `<` for a single row of a chunk. `is_counted` returns the number of new rows and of all written
    /// rows.
    pub(super) fn upsert(
        &self,
        table: &str,
        stage: &str,
        only: &str,
        options: UpsertOptions,
        traits: &Traits,
    ) -> String {
        let is_written = |name: &&str| !traits.generated.iter().any(|generated| generated == name);
        let names: Vec<&str> = (self.sent.iter().map(String::as_str).chain([EPOCH, NUMBER]))
            .filter(is_written)
            .collect();
        let missing: Vec<&str> = self
            .missing
            .iter()
            .map(String::as_str)
            .filter(is_written)
            .collect();
        let guard = (traits.merge != Merge::Typed).then_some(KEY);
        let is_set = |name: &&&str| match self.key.iter().any(|key| key == *name) {
            // Key columns find only the rows that their types equate.
            true => traits.merge != Merge::Typed && self.respelt.iter().any(|key| key == *name),
            false => true,
        };
        let sets: Vec<String> = names
            .iter()
            .chain(&missing)
            .chain(&guard)
            .filter(is_set)
            .filter(|name| !traits.identity.iter().any(|fixed| fixed == *name))
            .map(|name| format!("{0} = excluded.{0}", quoted(name)))
            .collect();
        let nulls = ", NULL".repeat(missing.len());
        let own = guard.map_or(String::new(), |key| format!(", {key}"));
        let (arbiter, guarded) = match traits.merge {
            Merge::Typed => (listed(self.key.iter().map(String::as_str)), String::new()),
            Merge::Guarded => (
                listed(self.key.iter().map(String::as_str)),
                format!(" AND (t.{KEY} IS NULL OR t.{KEY} = excluded.{KEY})"),
            ),
            Merge::Keyed => (KEY.to_owned(), String::new()),
        };
        let insert = format!(
            "INSERT INTO {table} AS t ({}) OVERRIDING SYSTEM VALUE SELECT {}{nulls}{own} FROM {stage} s {only} \
             ON CONFLICT ({arbiter}) DO UPDATE SET {} \
             WHERE (t.{EPOCH}, t.{NUMBER}) {} (excluded.{EPOCH}, excluded.{NUMBER}){guarded}",
            listed(names.iter().copied().chain(missing.iter().copied()).chain(guard)),
            listed(names.iter().copied()),
            sets.join(", "),
            options.older,
        );
        if options.is_counted {
            format!(
                "WITH done AS ({insert} RETURNING (t.xmax = 0) AS fresh) \
                 SELECT count(*) FILTER (WHERE fresh), count(*) FROM done"
            )
        } else {
            insert
        }
    }

    /// Returns the same with deletes: first tombstones, then the rows that they delete, then rows that no newer
    /// tombstone forbids.
    pub(super) fn upsert_past_tombstones(
        &self,
        lane: &Lane,
        table: &str,
        stage: &str,
        options: UpsertOptions,
        traits: &Traits,
    ) -> String {
        // Names of lanes contain no quote.
        let (recipient, feed) = (lane.recipient.as_str(), lane.feed.as_str());
        let only = format!("WHERE NOT s._slacktide_deleted AND NOT {}", passed(lane));
        let upsert = self.upsert(table, stage, &only, options, traits);
        format!(
            "INSERT INTO slacktide.tombstones SELECT '{recipient}', '{feed}', {KEY}, {EPOCH}, {NUMBER} \
             FROM {stage} WHERE _slacktide_deleted ON CONFLICT (recipient, feed, key) DO UPDATE \
             SET epoch = excluded.epoch, number = excluded.number \
             WHERE (tombstones.epoch, tombstones.number) < (excluded.epoch, excluded.number); \
             DELETE FROM {table} t USING {stage} s WHERE s._slacktide_deleted AND {} \
             AND (t.{EPOCH}, t.{NUMBER}) {} (s.{EPOCH}, s.{NUMBER}); {upsert}",
            self.same(traits),
            options.older,
        )
    }

    /// Returns a query that finds one staged row without its expected result: neither it nor a newer version is in
    /// the table, or the row that it deletes is. A stored row under the chunk's own number is as expected.
    pub(super) fn left_out(
        &self,
        lane: Option<&Lane>,
        table: &str,
        stage: &str,
        options: UpsertOptions,
        traits: &Traits,
    ) -> String {
        let existing = |compare: &str| {
            format!(
                "EXISTS (SELECT FROM {table} t WHERE {} AND (t.{EPOCH}, t.{NUMBER}) {compare} (s.{EPOCH}, s.{NUMBER}))",
                self.same(traits)
            )
        };
        let deleted = lane.map_or(String::new(), |lane| format!(" AND NOT {}", passed(lane)));
        format!(
            "SELECT 1 FROM {stage} s WHERE CASE WHEN s._slacktide_deleted THEN {} ELSE NOT {}{deleted} END LIMIT 1",
            existing(options.older),
            existing(">="),
        )
    }
}

/// Returns the condition that a tombstone as new as row `s` forbids it.
fn passed(lane: &Lane) -> String {
    let (recipient, feed) = (lane.recipient.as_str(), lane.feed.as_str());
    format!(
        "EXISTS (SELECT FROM slacktide.tombstones x WHERE x.recipient = '{recipient}' AND x.feed = '{feed}' \
         AND x.key = s.{KEY} AND (x.epoch, x.number) >= (s.{EPOCH}, s.{NUMBER}))"
    )
}
