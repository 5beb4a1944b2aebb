//! PURE: which names may become schemas, tables and columns of the store.
//!
//! Names come from two parties: the bureau names feeds, kinds and columns; the insurer's configuration names schemas
//! and tables. Neither may select the store's bookkeeping or an object of the database system. The rules are the same
//! for PostgreSQL and SQLite. The name in the database, after every mapping, is checked.
//!
//! - [`table`], [`schema`], [`column()`] check one name
//! - [`verdict`] checks a lane's configuration
//!
//! [`crate::table::column_names`] checks the columns of a chunk.

use crate::layout::{Database, LaneTables};
use crate::refusal::Refusal;
use crate::sql_name::LONGEST;

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

/// Why a name cannot be used. Its text continues the name: `"a.b" holds a point`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It has no sign, or only blanks.
    #[error("is empty")]
    Empty,
    /// It has a blank at an end, or a control character.
    #[error("begins or ends with a blank, or holds a control character")]
    NotPlain,
    /// It is longer than a database allows.
    #[error("has {bytes} bytes, and a database takes {max}", max = LONGEST)]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// A table's name has a point.
    #[error("holds a point: a table is named without its schema or database")]
    Qualified,
    /// It is the schema of the bookkeeping.
    #[error("is reserved for Slacktide's bookkeeping")]
    Bookkeeping,
    /// It begins like names of Slacktide or of the database system.
    #[error("begins with {start:?}, which is reserved for {whose}")]
    Reserved {
        /// The reserved beginning.
        start: &'static str,
        /// Whose names begin so.
        whose: &'static str,
    },
    /// It is a schema of the database system.
    #[error("is reserved for the database system")]
    SystemSchema,
    /// It begins like Slacktide's own columns.
    #[error("begins with \"_slacktide\", which is reserved for Slacktide's own columns")]
    OwnColumn,
    /// Every table has a column of this name.
    #[error("is a system column of PostgreSQL or SQLite")]
    SystemColumn,
}

impl From<NameError> for String {
    fn from(error: NameError) -> Self {
        error.to_string()
    }
}

/// Checks the name of a table.
///
/// # Errors
/// The cause.
pub fn table(name: &str) -> Result<(), NameError> {
    plain(name)?;
    if name.contains('.') {
        return Err(NameError::Qualified);
    }
    let lower = name.to_ascii_lowercase();
    if lower == "slacktide" {
        return Err(NameError::Bookkeeping);
    }
    match RESERVED.iter().find(|(start, _)| lower.starts_with(start)) {
        Some((start, whose)) => Err(NameError::Reserved { start, whose }),
        None => Ok(()),
    }
}

/// Checks the name of a schema.
///
/// # Errors
/// The cause.
pub fn schema(name: &str) -> Result<(), NameError> {
    table(name)?;
    if name.eq_ignore_ascii_case("information_schema") {
        return Err(NameError::SystemSchema);
    }
    Ok(())
}

/// Checks the name of a column.
///
/// # Errors
/// The cause.
pub fn column(name: &str) -> Result<(), NameError> {
    plain(name)?;
    let lower = name.to_ascii_lowercase();
    if lower.starts_with("_slacktide") {
        return Err(NameError::OwnColumn);
    }
    if SYSTEM.contains(&lower.as_str()) {
        return Err(NameError::SystemColumn);
    }
    Ok(())
}

fn plain(name: &str) -> Result<(), NameError> {
    if name.trim().is_empty() {
        return Err(NameError::Empty);
    }
    if name.trim() != name || name.chars().any(char::is_control) {
        return Err(NameError::NotPlain);
    }
    if name.len() > LONGEST {
        return Err(NameError::TooLong { bytes: name.len() });
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

#[cfg(test)]
mod tests;
