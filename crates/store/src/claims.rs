//! PURE: whether a table may be made, written or changed for its owner.
//!
//! A name in a chunk never selects a table of the insurer's: a table is written only if the store created it for
//! this owner and marked it, or if the configuration names it. Every table has one owner. The stores keep the
//! marks in their bookkeeping (`tables`) and compare them with the table that stands under the name:
//!
//! - PostgreSQL: by the table's oid, under a lock that keeps the table from being renamed, dropped or replaced.
//!   A restored database has other oids; there the mark in a comment on the column `_slacktide_epoch` is compared, once.
//! - SQLite: by the name of a constraint in the table's own definition, which renaming, altering, `VACUUM` and a
//!   dump keep. The page of a table and the text of its definition change.

use schemas::digest::Digest;

use crate::error::{Error, Result};
use crate::layout::{LaneTables, Role};

/// What stands under the name of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing.
    Nothing,
    /// The owner's table, created by the store.
    Made,
    /// The owner's table, which was there before.
    Adopted,
    /// A table of another owner, or the owner's other table.
    Others(String),
    /// A table that the store knows nothing of.
    Foreign,
    /// Something that is not a table: which kind.
    NoTable(String),
}

/// A row of the bookkeeping that names a table.
pub(crate) struct Recorded {
    pub(crate) recipient: String,
    pub(crate) owner: String,
    pub(crate) role: String,
    pub(crate) origin: String,
}

impl Recorded {
    /// Whose table it is, seen from a lane and the role of the table there.
    pub(crate) fn found(&self, tables: &LaneTables, role: Role) -> Found {
        let owner = &tables.owner;
        let is_own = self.recipient == owner.recipient().as_str()
            && self.owner == owner.key()
            && self.role == role.word();
        match (is_own, self.origin.as_str()) {
            (true, "made") => Found::Made,
            (true, _) => Found::Adopted,
            (false, _) => Found::Others(owner_in_words(&self.recipient, &self.owner, &self.role)),
        }
    }
}

/// What is done to have a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Create it.
    Make,
    /// Use it: it is the owner's.
    Keep,
    /// Take it over: the configuration names it.
    Adopt,
}

/// Decides how a lane gets the table of a role.
pub(crate) fn claim(tables: &LaneTables, role: Role, table: &str, found: &Found) -> Result<Claim> {
    match found {
        Found::Nothing => Ok(Claim::Make),
        Found::Made => Ok(Claim::Keep),
        Found::Adopted if tables.adopts(role) => Ok(Claim::Keep),
        Found::Foreign if tables.adopts(role) => Ok(Claim::Adopt),
        other => Err(refused(tables, role, table, other)),
    }
}

/// Checks that a table is there and may be written; `false` where the configuration names it and it has to be
/// adopted first.
pub(crate) fn writable(tables: &LaneTables, role: Role, table: &str, found: &Found) -> Result<bool> {
    match claim(tables, role, table, found)? {
        Claim::Keep => Ok(true),
        Claim::Adopt => Ok(false),
        Claim::Make => Err(Error::of_lane(
            &tables.lane,
            format!(
                "its {} {} is not there any more",
                role.word(),
                shown(tables, table)
            ),
            format!(
                "put it back, from a backup or from the name that it has now; or have it made and filled again: \
                 slacktide feed refill {} --from start",
                tables.lane.feed
            ),
        )),
    }
}

fn shown(tables: &LaneTables, table: &str) -> String {
    tables.layout.sql(table)
}

fn refused(tables: &LaneTables, role: Role, table: &str, found: &Found) -> Error {
    let (owner, key, word) = (&tables.owner, &tables.key, role.word());
    let another = format!("name another one: {word} = \"…\" under [store.feed.{key}]");
    let sql = shown(tables, table);
    let (what, remedy) = match found {
        Found::Others(other) => (
            format!("{owner} would be stored in {sql}, which belongs to {other}: a table has one owner"),
            another,
        ),
        Found::NoTable(kind) => (
            format!("{owner} would be stored in {sql}, where a {kind} has that name"),
            another,
        ),
        Found::Adopted => (
            format!(
                "{sql} was taken over for {owner} because the configuration named it, and it does not any more"
            ),
            format!("name it again: {word} = {table:?} under [store.feed.{key}]; or name another one"),
        ),
        Found::Nothing | Found::Made | Found::Foreign => (
            format!("there is a table {sql} that Slacktide did not create for {owner}; it is left as it is"),
            format!(
                "to store the rows there, name it: {word} = {table:?} under [store.feed.{key}]; otherwise name another one"
            ),
        ),
    };
    Error::of_lane(&tables.lane, what, remedy)
}

/// Names the owner of a table as the bookkeeping keeps it.
pub(crate) fn owner_in_words(recipient: &str, owner: &str, role: &str) -> String {
    match role {
        "history" => format!("{owner} of {recipient}, as its history"),
        _ => format!("{owner} of {recipient}"),
    }
}

/// A new mark, different from all others.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{Database, FeedOptions, Options};
    use crate::samples::lane;

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
    fn claim_foreign_table_is_adopted_only_where_it_is_named() {
        let kinds = [
            (Found::Nothing, Some(Claim::Make), Some(Claim::Make)),
            (Found::Made, Some(Claim::Keep), Some(Claim::Keep)),
            (Found::Adopted, None, Some(Claim::Keep)),
            (Found::Foreign, None, Some(Claim::Adopt)),
            (Found::Others("feed visit of insurer-a".into()), None, None),
            (Found::NoTable("view".into()), None, None),
        ];
        for (found, unnamed, named) in kinds {
            for (is_named, wanted) in [(false, unnamed), (true, named)] {
                let tables = tables(is_named);
                let got = claim(&tables, Role::Current, "setl", &found);
                assert_eq!(got.as_ref().ok(), wanted.as_ref(), "{found:?}, named: {is_named}");
                let writable = writable(&tables, Role::Current, "setl", &found).ok();
                let may_be = match wanted {
                    Some(Claim::Keep) => Some(true),
                    Some(Claim::Adopt) => Some(false),
                    _ => None,
                };
                assert_eq!(writable, may_be, "{found:?}, named: {is_named}");
                if let Err(error) = got {
                    assert!(error.remedy.contains("under [store.feed.setl]"), "{error}");
                }
            }
            // The history has a key of its own.
            let history = claim(&tables(true), Role::History, "setl_history", &found);
            assert_eq!(history.ok(), unnamed, "{found:?}");
        }
    }

    #[test]
    fn claim_refusal_names_both_owners() {
        let found = Found::Others(owner_in_words("insurer-a", "feed visit", "table"));
        let error = claim(&tables(true), Role::Current, "setl", &found).unwrap_err();
        for name in ["feed setl of insurer-a", "feed visit of insurer-a"] {
            assert!(error.what.contains(name), "{error}");
        }
    }

    #[test]
    fn mark_of_each_table_differs() {
        let tables = tables(false);
        let marks = [
            mark(&tables, Role::Current),
            mark(&tables, Role::History),
            mark(&tables, Role::Current),
        ];
        assert!(marks[0] != marks[1] && marks[0] != marks[2], "{marks:?}");
    }
}
