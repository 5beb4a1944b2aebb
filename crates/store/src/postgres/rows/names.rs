//! PURE: the store's names of the columns that come, and the SQL that brings them from a staging table.

use schemas::column::RowSchema;
use schemas::name::Lane;

use crate::layout::Layout;
use crate::table::shape::Routes;
use crate::table::{EPOCH, NUMBER, listed, quoted};

/// How rows come from a staging table.
#[derive(Debug, Clone, Copy)]
pub(super) struct How {
    /// Compares the place of a row that stands there with the one that comes.
    pub(super) older: &'static str,
    /// Whether the rows that are new are counted.
    pub(super) is_counted: bool,
}

/// The store's names of rows that share their columns.
pub(super) struct Names {
    /// Of the columns, in their order.
    pub(super) come: Vec<String>,
    /// Of columns of the tables that do not come.
    pub(super) missing: Vec<String>,
    /// Of the key.
    key: Vec<String>,
}

impl Names {
    /// By where the values go.
    pub(super) fn of(schema: &RowSchema, layout: &Layout, routes: Routes) -> Self {
        let key = schema.key.iter().map(|name| layout.column(name).to_owned());
        Self {
            key: key.collect(),
            come: routes.names,
            missing: routes.missing,
        }
    }

    /// From the staging table where nothing newer stands.
    /// What does not come is NULL afterwards: a version is whole, whatever stood there before.
    ///
    /// `older` compares the place of what stands there: `<=` for a chunk, which may be stored again over rows that
    /// others changed, and `<` for a single row of one. `is_counted` selects how many rows are new.
    pub(super) fn upsert(&self, table: &str, stage: &str, only: &str, how: How) -> String {
        let names = || self.come.iter().map(String::as_str).chain([EPOCH, NUMBER]);
        let missing = || self.missing.iter().map(String::as_str);
        let sets: Vec<String> = names()
            .chain(missing())
            .filter(|name| !self.key.iter().any(|key| key == name))
            .map(|name| format!("{0} = excluded.{0}", quoted(name)))
            .collect();
        let nulls = ", NULL".repeat(self.missing.len());
        let insert = format!(
            "INSERT INTO {table} AS t ({}) SELECT {}{nulls} FROM {stage} s {only} ON CONFLICT ({}) DO UPDATE SET {} \
             WHERE (t.{EPOCH}, t.{NUMBER}) {} (excluded.{EPOCH}, excluded.{NUMBER})",
            listed(names().chain(missing())),
            listed(names()),
            listed(self.key.iter().map(String::as_str)),
            sets.join(", "),
            how.older,
        );
        if how.is_counted {
            format!(
                "WITH done AS ({insert} RETURNING (t.xmax = 0) AS fresh) SELECT count(*) FILTER (WHERE fresh) FROM done"
            )
        } else {
            insert
        }
    }

    /// The same, where rows may be deleted: tombstones first, then what they delete, then what no newer
    /// tombstone forbids.
    pub(super) fn upsert_past_tombstones(&self, lane: &Lane, table: &str, stage: &str, how: How) -> String {
        // Names of lanes hold no quote.
        let (recipient, feed) = (lane.recipient.as_str(), lane.feed.as_str());
        let same: Vec<String> = self
            .key
            .iter()
            .map(|name| format!("t.{0} = s.{0}", quoted(name)))
            .collect();
        let only = format!(
            "WHERE NOT s._slacktide_deleted AND NOT EXISTS (SELECT FROM slacktide.tombstones x \
             WHERE x.recipient = '{recipient}' AND x.feed = '{feed}' AND x.key = s._slacktide_key \
             AND (x.epoch, x.number) >= (s.{EPOCH}, s.{NUMBER}))"
        );
        let upsert = self.upsert(table, stage, &only, how);
        format!(
            "INSERT INTO slacktide.tombstones SELECT '{recipient}', '{feed}', _slacktide_key, {EPOCH}, {NUMBER} \
             FROM {stage} WHERE _slacktide_deleted ON CONFLICT (recipient, feed, key) DO UPDATE \
             SET epoch = excluded.epoch, number = excluded.number \
             WHERE (tombstones.epoch, tombstones.number) < (excluded.epoch, excluded.number); \
             DELETE FROM {table} t USING {stage} s WHERE s._slacktide_deleted AND {} \
             AND (t.{EPOCH}, t.{NUMBER}) {} (s.{EPOCH}, s.{NUMBER}); {upsert}",
            same.join(" AND "),
            how.older,
        )
    }
}
