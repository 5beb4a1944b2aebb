//! PURE: which names may become schemas, tables and columns of the store.
//!
//! Names come from two parties: the bureau names feeds, kinds and columns; the insurer's configuration names schemas
//! and tables. Neither may select the store's bookkeeping or an object of the database system. The rules are the same
//! for PostgreSQL and SQLite. The name in the database, after every mapping, is checked.
//!
//! - [`table`], [`schema`], [`column()`] check one name
//! - [`verdict`] checks a lane's configuration; [`columns`] checks its columns

use std::collections::BTreeMap;
use std::fmt;

use schemas::column::RowSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};
use crate::layout::{Database, LaneTables, Owner};
use crate::requests::answer::{REQUEST, ROW_NUMBER};
use crate::table::shape::Shape;

/// PostgreSQL truncates longer names without an error, so two names could become one.
pub const LONGEST: usize = 63;

/// Prefixes of table and schema names that are reserved for Slacktide or the database system.
const RESERVED: [(&str, &str); 4] = [
    ("slacktide_", "Slacktide's bookkeeping"),
    ("_slacktide", "Slacktide's bookkeeping"),
    ("sqlite_", "SQLite"),
    ("pg_", "PostgreSQL"),
];

/// Columns that every PostgreSQL or SQLite table has implicitly.
const SYSTEM: [&str; 9] = [
    "ctid", "xmin", "xmax", "cmin", "cmax", "tableoid", "oid", "rowid", "_rowid_",
];

/// Why nothing of a lane is stored until an operator acts. Contains names and no value of a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The text for the sender: it names nothing of this side's database.
    pub shared: String,
    /// The cause.
    pub what: String,
    /// The remedy.
    pub remedy: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.remedy)
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::new(ErrorKind::Refused, refusal.what, refusal.remedy)
    }
}

/// Checks the name of a table.
///
/// # Errors
/// The cause, to be appended to the name.
pub fn table(name: &str) -> Result<(), String> {
    plain(name)?;
    if name.contains('.') {
        return Err("holds a point: a table is named without its schema or database".to_owned());
    }
    let lower = name.to_ascii_lowercase();
    if lower == "slacktide" {
        return Err("is reserved for Slacktide's bookkeeping".to_owned());
    }
    match RESERVED.iter().find(|(start, _)| lower.starts_with(start)) {
        Some((start, whose)) => Err(format!("begins with {start:?}, which is reserved for {whose}")),
        None => Ok(()),
    }
}

/// Checks the name of a schema.
///
/// # Errors
/// The cause, to be appended to the name.
pub fn schema(name: &str) -> Result<(), String> {
    table(name)?;
    if name.eq_ignore_ascii_case("information_schema") {
        return Err("is reserved for the database system".to_owned());
    }
    Ok(())
}

/// Checks the name of a column.
///
/// # Errors
/// The cause, to be appended to the name.
pub fn column(name: &str) -> Result<(), String> {
    plain(name)?;
    let lower = name.to_ascii_lowercase();
    if lower.starts_with("_slacktide") {
        return Err("begins with \"_slacktide\", which is reserved for Slacktide's own columns".to_owned());
    }
    if SYSTEM.contains(&lower.as_str()) {
        return Err("is a system column of PostgreSQL or SQLite".to_owned());
    }
    Ok(())
}

fn plain(name: &str) -> Result<(), String> {
    if name.trim().is_empty() {
        return Err("is empty".to_owned());
    }
    if name.trim() != name || name.chars().any(char::is_control) {
        return Err("begins or ends with a blank, or holds a control character".to_owned());
    }
    if name.len() > LONGEST {
        return Err(format!(
            "has {} bytes, and a database takes {LONGEST}",
            name.len()
        ));
    }
    Ok(())
}

/// Returns a name as the database compares it.
#[must_use]
pub fn folded(database: Database, name: &str) -> String {
    match database {
        Database::Postgres => name.to_owned(),
        Database::Sqlite => name.to_ascii_lowercase(),
    }
}

/// Checks everything that is known of a lane before its first chunk: whether its feed is listed, and the names of its
/// tables.
///
/// # Errors
/// Why nothing of it is stored.
pub fn verdict(tables: &LaneTables) -> Result<(), Refusal> {
    let owner = &tables.owner;
    if !tables.is_listed {
        return Err(Refusal {
            shared: format!("{owner}: the receiver has not listed this feed as one that it takes"),
            what: format!("{owner}: the feed is not in feeds of [commercial], so its chunks wait at the exchange"),
            remedy: "add it there, and restart the agent, if it is to be stored; or ask the bureau to send it no more"
                .to_owned(),
        });
    }
    let (layout, key) = (&tables.layout, &tables.key);
    let mut names = Vec::new();
    if let Some(name) = &layout.schema {
        names.push((schema(name), "schema", name));
    }
    let history = layout.mode.keeps_history().then_some(&layout.history);
    names.push((table(&layout.table), "table", &layout.table));
    names.extend(history.map(|name| (table(name), "history", name)));
    for (checked, place, name) in names {
        checked.map_err(|why| Refusal {
            shared: format!("{owner}: its name, or what the receiver's configuration makes of it, is not allowed at the receiver"),
            what: format!("{owner}: the {place} would be called {name:?}, which {why}"),
            remedy: match place {
                "schema" => format!("name another schema, under [store] or [store.feed.{key}]"),
                _ => format!("name another one: {place} = \"…\" under [store.feed.{key}]"),
            },
        })?;
    }
    let fold = |name: &str| folded(tables.database, name);
    if let Some(history) = history
        && layout.mode.keeps_current()
        && fold(history) == fold(&layout.table)
    {
        return Err(Refusal {
            shared: format!("{owner}: the receiver's configuration gives it the same table twice"),
            what: format!("{owner}: {history:?} would be its table and its history"),
            remedy: format!("name another one: history = \"…\" under [store.feed.{key}]"),
        });
    }
    Ok(())
}

/// Checks the column names of a chunk together with those of the tables.
///
/// # Errors
/// Why rows with these columns are not stored.
pub fn columns(tables: &LaneTables, shape: Option<&Shape>, given: &RowSchema) -> Result<(), Refusal> {
    let (owner, layout, key) = (&tables.owner, &tables.layout, &tables.key);
    let refuse = |name: &str, what: String| Refusal {
        shared: format!("{owner}: column {name:?} cannot be stored under its name at the receiver"),
        what: format!("{owner}: {what}"),
        remedy: format!(
            "give it another name here: columns = {{ {name:?} = \"…\" }} under [store.feed.{key}]; or ask the bureau to \
             rename it"
        ),
    };
    let is_own = |name: &str| matches!(owner, Owner::Kind { .. }) && [REQUEST, ROW_NUMBER].contains(&name);
    for column in given.columns.iter().filter(|column| !is_own(&column.name)) {
        let name = layout.column(&column.name);
        self::column(name).map_err(|why| {
            refuse(
                &column.name,
                format!("column {:?} would be called {name:?}, which {why}", column.name),
            )
        })?;
    }
    let mut taken: BTreeMap<String, &str> = BTreeMap::new();
    if let Some(shape) = shape {
        for known in &shape.known.columns {
            taken.insert(folded(tables.database, layout.column(&known.name)), &known.name);
        }
        for retired_columns in &shape.retired_columns {
            // No column of a feed has an empty name, so this entry belongs to no column.
            taken.insert(folded(tables.database, &retired_columns.name), "");
        }
    }
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for column in &given.columns {
        let name = layout.column(&column.name);
        let fold = folded(tables.database, name);
        let other = taken.get(&fold).filter(|other| **other != column.name).copied();
        let twice = seen.insert(fold, &column.name);
        if let Some(other) = twice.or(other) {
            let what = match other {
                "" => format!(
                    "column {:?} would be called {name:?}, which holds older values of another column",
                    column.name
                ),
                _ => format!(
                    "columns {other:?} and {:?} would both be called {name:?}",
                    column.name
                ),
            };
            return Err(refuse(&column.name, what));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
