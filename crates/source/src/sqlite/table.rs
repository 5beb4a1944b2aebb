//! The schema of one table: its columns, its keys and its indexes.

use rusqlite::{Connection, OptionalExtension as _};

use super::row_numbers;
use crate::keyset::quote;
use crate::shape::Shape;

pub(super) struct Table {
    pub(super) name: String,
    /// Whether its row numbers are never reused.
    pub(super) is_autoincrement: bool,
    /// Names in lower case, whether declared NOT NULL, and the position in the primary key from 1.
    columns: Vec<(String, bool, i64)>,
    /// The column that is an alias of the rowid.
    rowid: Option<String>,
    /// Columns of unique, non-partial indexes and of all non-partial indexes.
    pub(super) unique: Vec<Vec<String>>,
    pub(super) indexes: Vec<Vec<String>>,
}

const ROWID: [&str; 3] = ["rowid", "oid", "_rowid_"];

impl Table {
    /// Returns the one table of a plain SELECT, or `None` if it reads anything else.
    pub(super) fn of_plain_select(connection: &Connection, shape: &Shape) -> rusqlite::Result<Option<Self>> {
        match shape.relations.as_slice() {
            [parts] if shape.plain => Self::find(connection, parts),
            _ => Ok(None),
        }
    }

    /// Returns the table of a name, optionally qualified by schema, or `None` if there is no such table.
    pub(super) fn find(connection: &Connection, parts: &[String]) -> rusqlite::Result<Option<Self>> {
        let (schema, name) = match parts {
            [name] => ("main", name),
            [schema, name] => (schema.as_str(), name),
            _ => return Ok(None),
        };
        let found: Option<(String, String)> = connection
            .query_row(
                &format!(
                    "SELECT name, sql FROM {}.sqlite_schema WHERE type = 'table' AND lower(name) = lower(?1)",
                    quote(schema)
                ),
                [name],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()?;
        let Some((name, sql)) = found else { return Ok(None) };
        let mut info = connection
            .prepare("SELECT lower(name), \"notnull\", pk, lower(type) FROM pragma_table_info(?1, ?2)")?;
        let rows = info.query_map([name.as_str(), schema], |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, bool>(1)?,
                row.get::<_, i64>(2)?,
                row.get::<_, String>(3)?,
            ))
        })?;
        let rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        let keys: Vec<_> = rows.iter().filter(|(_, _, place, _)| *place > 0).collect();
        let rowid = match keys.as_slice() {
            [(column, _, _, kind)] if kind == "integer" => Some(column.clone()),
            _ => None,
        };
        let (unique, indexes) = indexes(connection, &name, schema)?;
        let columns = rows
            .into_iter()
            .map(|(name, not_null, place, _)| (name, not_null, place))
            .collect();
        Ok(Some(Self {
            name,
            is_autoincrement: row_numbers::is_autoincrement(&sql),
            columns,
            rowid,
            unique,
            indexes,
        }))
    }

    pub(super) fn is_rowid(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        self.rowid.as_ref() == Some(&name)
            || (ROWID.contains(&name.as_str()) && !self.columns.iter().any(|(known, ..)| *known == name))
    }

    /// Whether it has a column of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        self.is_rowid(&name) || self.columns.iter().any(|(known, ..)| *known == name)
    }

    /// Whether the schema proves that a column is never null.
    pub(super) fn never_null(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        self.is_rowid(&name)
            || self
                .columns
                .iter()
                .any(|(known, not_null, _)| *known == name && *not_null)
    }
}

type Indexes = (Vec<Vec<String>>, Vec<Vec<String>>);

/// Returns the columns of unique, non-partial indexes and of all non-partial indexes.
fn indexes(connection: &Connection, table: &str, schema: &str) -> rusqlite::Result<Indexes> {
    let mut list = connection.prepare("SELECT name, \"unique\", partial FROM pragma_index_list(?1, ?2)")?;
    let quoted_list = list.query_map([table, schema], |row| {
        Ok((
            row.get::<_, String>(0)?,
            row.get::<_, bool>(1)?,
            row.get::<_, bool>(2)?,
        ))
    })?;
    let (mut unique, mut indexes) = (Vec::new(), Vec::new());
    for index in quoted_list {
        let (index, is_unique, partial) = index?;
        let mut parts =
            connection.prepare_cached("SELECT lower(name) FROM pragma_index_info(?1, ?2) ORDER BY seqno")?;
        let parts = parts.query_map([index.as_str(), schema], |row| row.get::<_, Option<String>>(0))?;
        let parts = parts.collect::<rusqlite::Result<Vec<_>>>()?;
        let Some(columns) = parts.into_iter().collect::<Option<Vec<_>>>() else {
            continue;
        };
        if partial {
            continue;
        }
        if is_unique {
            unique.push(columns.clone());
        }
        indexes.push(columns);
    }
    Ok((unique, indexes))
}
