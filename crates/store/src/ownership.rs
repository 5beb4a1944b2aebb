//! PURE: whether a table may be created, written or changed for its owner.
//!
//! A name in a chunk never selects a table of the insurer. A table is written only if the store created and marked it
//! for this owner, or if the configuration names it. Every table has one owner. The stores keep the marks in `tables`
//! and compare them with the table that has the name now:
//!
//! - PostgreSQL: by the table's oid, under a lock that prevents renaming, dropping and replacing. A restored database
//!   has other oids; there the mark in a comment on the column `_slacktide_epoch` is compared once.
//! - SQLite: by the name of a constraint in the table's definition. Renaming, altering, `VACUUM` and a dump keep it;
//!   they change the table's root page and the text of its definition.

use schemas::digest::Digest;

use crate::error::{Error, ErrorKind, Result};
use crate::layout::{LaneTables, Role};

/// The object under a table name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FoundTable {
    /// No object.
    Missing,
    /// The owner's table, created by the store.
    Created,
    /// The owner's table, which existed before and was adopted.
    Adopted,
    /// A table of another owner, or the owner's other table. Contains its description.
    OtherOwner(String),
    /// A table that the store does not know.
    Foreign,
    /// An object that is not a table. Contains its kind.
    NotTable(String),
}

/// A row of `tables`.
pub(crate) struct TableRecord {
    pub(crate) recipient: String,
    pub(crate) owner: String,
    pub(crate) role: String,
    pub(crate) origin: String,
}

impl TableRecord {
    /// Returns what this row means for a lane and a role of its tables.
    pub(crate) fn found(&self, tables: &LaneTables, role: Role) -> FoundTable {
        let owner = &tables.owner;
        let is_own = self.recipient == owner.recipient().as_str()
            && self.owner == owner.key()
            && self.role == role.word();
        match (is_own, self.origin.as_str()) {
            (true, "created") => FoundTable::Created,
            (true, _) => FoundTable::Adopted,
            (false, _) => FoundTable::OtherOwner(describe_owner(&self.recipient, &self.owner, &self.role)),
        }
    }
}

/// How a lane gets a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Create the table.
    Make,
    /// Use the owner's table.
    Use,
    /// Adopt the table that the configuration names.
    Adopt,
}

/// Decides how a lane gets the table of a role.
pub(crate) fn claim(tables: &LaneTables, role: Role, table: &str, found: &FoundTable) -> Result<Claim> {
    match found {
        FoundTable::Missing => Ok(Claim::Make),
        FoundTable::Created => Ok(Claim::Use),
        FoundTable::Adopted if tables.adopts(role) => Ok(Claim::Use),
        FoundTable::Foreign if tables.adopts(role) => Ok(Claim::Adopt),
        other => Err(refused(tables, role, table, other)),
    }
}

/// Checks that a table exists and may be written; `false` if the configuration names it and it must be adopted first.
pub(crate) fn writable(tables: &LaneTables, role: Role, table: &str, found: &FoundTable) -> Result<bool> {
    match claim(tables, role, table, found)? {
        Claim::Use => Ok(true),
        Claim::Adopt => Ok(false),
        Claim::Make => Err(Error::of_lane(
            &tables.lane,
            format!("its {} {} no longer exists", role.word(), shown(tables, table)),
            format!(
                "restore it from a backup, or rename it back; or create and fill it again: \
                 slacktide feed refill {} --from start",
                tables.lane.feed
            ),
        )),
    }
}

fn shown(tables: &LaneTables, table: &str) -> String {
    tables.layout.sql(table)
}

fn refused(tables: &LaneTables, role: Role, table: &str, found: &FoundTable) -> Error {
    let (owner, key, word) = (&tables.owner, &tables.key, role.word());
    let another = format!("name another one: {word} = \"…\" under [store.feed.{key}]");
    let sql = shown(tables, table);
    let (what, remedy) = match found {
        FoundTable::OtherOwner(other) => (
            format!("{owner} would be stored in {sql}, which belongs to {other}: a table has one owner"),
            another,
        ),
        FoundTable::NotTable(kind) => (
            format!("{owner} would be stored in {sql}, where a {kind} has that name"),
            another,
        ),
        FoundTable::Adopted => (
            format!(
                "{sql} was taken over for {owner} because the configuration named it, and it no longer does"
            ),
            format!("name it again: {word} = {table:?} under [store.feed.{key}]; or name another one"),
        ),
        FoundTable::Missing | FoundTable::Created | FoundTable::Foreign => (
            format!("there is a table {sql} that Slacktide did not create for {owner}; it is left unchanged"),
            format!(
                "to store the rows there, name it: {word} = {table:?} under [store.feed.{key}]; otherwise name another one"
            ),
        ),
    };
    Error::of_lane(&tables.lane, what, remedy)
}

/// Describes the owner of a table.
pub(crate) fn describe_owner(recipient: &str, owner: &str, role: &str) -> String {
    match role {
        "history" => format!("{owner} of {recipient}, as its history"),
        _ => format!("{owner} of {recipient}"),
    }
}

/// Returns a new unique mark.
pub(crate) fn mark(tables: &LaneTables, role: Role) -> String {
    let now = jiff::Timestamp::now().as_nanosecond().to_string();
    let process = std::process::id().to_string();
    let owner = tables.owner.key();
    let parts = [
        tables.owner.recipient().as_str(),
        &owner,
        role.word(),
        &now,
        &process,
    ];
    let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
    let digest = Digest::of(&parts).to_string();
    format!("slacktide_mark_{}", digest.get(..24).unwrap_or_default())
}

impl Error {
    /// Classifies an error of a statement that creates or changes a lane's tables. A retry meets the same error.
    pub(crate) fn of_tables(self, tables: &LaneTables) -> Self {
        if self.kind != ErrorKind::Database {
            return self;
        }
        Self::of_lane(
            &tables.lane,
            format!("its tables cannot be made or changed: {}", self.what),
            format!(
                "make them fit, or name another table: table = \"…\" under [store.feed.{}]",
                tables.key
            ),
        )
    }

    /// A new column has the name of a column that its table uses for something else.
    pub(crate) fn of_column(tables: &LaneTables, table: &str, column: &str) -> Self {
        let (key, name) = (&tables.key, column);
        let sql = tables.layout.sql(table);
        Self::of_lane(
            &tables.lane,
            format!(
                "{}: column {name:?} is new, and {sql} has one of this name already",
                tables.owner
            ),
            format!(
                "to store it there, name it: columns = {{ {name:?} = {name:?} }} under [store.feed.{key}]; otherwise give \
                 it another name there"
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{Database, FeedOptions, Options};
    use store_testing::samples::lane;

    fn tables(named: bool) -> LaneTables {
        let mut options = Options::default();
        if named {
            let own = FeedOptions {
                table: Some("setl".into()),
                ..FeedOptions::default()
            };
            options.feeds.insert(lane().feed, own);
        }
        options.tables(Database::Postgres, &lane())
    }

    #[test]
    fn ownership_foreign_table_is_adopted_only_if_named() {
        let kinds = [
            (FoundTable::Missing, Some(Claim::Make), Some(Claim::Make)),
            (FoundTable::Created, Some(Claim::Use), Some(Claim::Use)),
            (FoundTable::Adopted, None, Some(Claim::Use)),
            (FoundTable::Foreign, None, Some(Claim::Adopt)),
            (
                FoundTable::OtherOwner("feed visit of insurer-a".into()),
                None,
                None,
            ),
            (FoundTable::NotTable("view".into()), None, None),
        ];
        for (found, unnamed, named) in kinds {
            for (is_named, wanted) in [(false, unnamed), (true, named)] {
                let tables = tables(is_named);
                let got = claim(&tables, Role::Current, "setl", &found);
                assert_eq!(got.as_ref().ok(), wanted.as_ref(), "{found:?}, named: {is_named}");
                let writable = writable(&tables, Role::Current, "setl", &found).ok();
                let may_be = match wanted {
                    Some(Claim::Use) => Some(true),
                    Some(Claim::Adopt) => Some(false),
                    _ => None,
                };
                assert_eq!(writable, may_be, "{found:?}, named: {is_named}");
                if let Err(error) = got {
                    assert!(error.remedy.contains("under [store.feed.setl]"), "{error}");
                }
            }
            // The history has its own configuration key.
            let history = claim(&tables(true), Role::History, "setl_history", &found);
            assert_eq!(history.ok(), unnamed, "{found:?}");
        }
    }

    #[test]
    fn ownership_refusal_names_both_owners() {
        let found = FoundTable::OtherOwner(describe_owner("insurer-a", "feed visit", "table"));
        let error = claim(&tables(true), Role::Current, "setl", &found).unwrap_err();
        for name in ["feed setl of insurer-a", "feed visit of insurer-a"] {
            assert!(error.what.contains(name), "{error}");
        }
    }

    #[test]
    fn ownership_mark_of_each_table_differs() {
        let tables = tables(false);
        let marks = [
            mark(&tables, Role::Current),
            mark(&tables, Role::History),
            mark(&tables, Role::Current),
        ];
        assert!(marks[0] != marks[1] && marks[0] != marks[2], "{marks:?}");
    }
}
