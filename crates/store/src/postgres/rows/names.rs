//! PURE: the store's names of the columns that come, and the SQL that brings them from a staging table.

use schemas::column::RowSchema;
use schemas::key::is_respelt;
use schemas::name::Lane;

use super::traits::{Merge, Traits};
use crate::layout::Layout;
use crate::table::shape::Routes;
use crate::table::{EPOCH, KEY, NUMBER, listed, quoted};

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
    pub(super) key: Vec<String>,
    /// Of the key's columns that another spelling of the same key may change.
    respelt: Vec<String>,
}

impl Names {
    /// By where the values go.
    pub(super) fn of(schema: &RowSchema, layout: &Layout, routes: Routes) -> Self {
        let named = |name: &String| layout.column(name).to_owned();
        let is_respelt = |name: &&String| {
            let at = schema.index_of(name).and_then(|at| schema.columns.get(at));
            at.is_some_and(|column| is_respelt(&column.kind))
        };
        Self {
            key: schema.key.iter().map(named).collect(),
            respelt: schema.key.iter().filter(is_respelt).map(named).collect(),
            come: routes.names,
            missing: routes.missing,
        }
    }

    /// The condition under which row `t` is an older or newer version of row `s` of the staging table.
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

    /// Gives rows that were in the table before, and are found by the columns of the key, the key in its one form.
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

    /// From the staging table where nothing newer stands.
    /// What does not come is NULL afterwards: a version is whole, whatever stood there before.
    /// What the table computes is left out.
    ///
    /// `older` compares the place of what stands there: `<=` for a chunk, which may be stored again over rows that
    /// others changed, and `<` for a single row of one. `is_counted` selects how many rows are new, and how many were
    /// written in all.
    pub(super) fn upsert(&self, table: &str, stage: &str, only: &str, how: How, traits: &Traits) -> String {
        let is_written = |name: &&str| !traits.generated.iter().any(|generated| generated == name);
        let names: Vec<&str> = (self.come.iter().map(String::as_str).chain([EPOCH, NUMBER]))
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
            // By the columns of the key only what they take for the same is found.
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
            how.older,
        );
        if how.is_counted {
            format!(
                "WITH done AS ({insert} RETURNING (t.xmax = 0) AS fresh) \
                 SELECT count(*) FILTER (WHERE fresh), count(*) FROM done"
            )
        } else {
            insert
        }
    }

    /// The same, where rows may be deleted: tombstones first, then what they delete, then what no newer
    /// tombstone forbids.
    pub(super) fn upsert_past_tombstones(
        &self,
        lane: &Lane,
        table: &str,
        stage: &str,
        how: How,
        traits: &Traits,
    ) -> String {
        // Names of lanes hold no quote.
        let (recipient, feed) = (lane.recipient.as_str(), lane.feed.as_str());
        let only = format!("WHERE NOT s._slacktide_deleted AND NOT {}", passed(lane));
        let upsert = self.upsert(table, stage, &only, how, traits);
        format!(
            "INSERT INTO slacktide.tombstones SELECT '{recipient}', '{feed}', {KEY}, {EPOCH}, {NUMBER} \
             FROM {stage} WHERE _slacktide_deleted ON CONFLICT (recipient, feed, key) DO UPDATE \
             SET epoch = excluded.epoch, number = excluded.number \
             WHERE (tombstones.epoch, tombstones.number) < (excluded.epoch, excluded.number); \
             DELETE FROM {table} t USING {stage} s WHERE s._slacktide_deleted AND {} \
             AND (t.{EPOCH}, t.{NUMBER}) {} (s.{EPOCH}, s.{NUMBER}); {upsert}",
            self.same(traits),
            how.older,
        )
    }

    /// One row where a row of the staging table did not become what it is to be: it is not in the table, nor a newer
    /// one, or what it deletes still is. A row that stands there under the chunk's own place is what it is to be.
    pub(super) fn left_out(
        &self,
        lane: Option<&Lane>,
        table: &str,
        stage: &str,
        how: How,
        traits: &Traits,
    ) -> String {
        let there = |compare: &str| {
            format!(
                "EXISTS (SELECT FROM {table} t WHERE {} AND (t.{EPOCH}, t.{NUMBER}) {compare} (s.{EPOCH}, s.{NUMBER}))",
                self.same(traits)
            )
        };
        let deleted = lane.map_or(String::new(), |lane| format!(" AND NOT {}", passed(lane)));
        format!(
            "SELECT 1 FROM {stage} s WHERE CASE WHEN s._slacktide_deleted THEN {} ELSE NOT {}{deleted} END LIMIT 1",
            there(how.older),
            there(">="),
        )
    }
}

/// Whether a tombstone as new as row `s` forbids it.
fn passed(lane: &Lane) -> String {
    let (recipient, feed) = (lane.recipient.as_str(), lane.feed.as_str());
    format!(
        "EXISTS (SELECT FROM slacktide.tombstones x WHERE x.recipient = '{recipient}' AND x.feed = '{feed}' \
         AND x.key = s.{KEY} AND (x.epoch, x.number) >= (s.{EPOCH}, s.{NUMBER}))"
    )
}
