//! Whether a feed can be served, before anything is read: each refusal says what to do.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _};
use tracing::{info, warn};

use schemas::column::{Column, ColumnType, RowSchema};

use super::{collation, failure};
use crate::columns::cursor_places;
use crate::declared;
use crate::error::{Result, refused};
use crate::feed::{CursorSetBy, FeedDefinition};
use crate::keyset::{Bound, CursorColumn, Dialect, Keyset, bare, column, quote};
use crate::nulls;
use crate::shape::Shape;

/// A feed that can be served.
#[derive(Debug, Clone)]
pub(super) struct Checked {
    pub(super) schema: RowSchema,
    /// Places of the cursor columns in a row.
    pub(super) cursor: Vec<usize>,
    pub(super) keyset: Keyset,
    /// The catalogue proves that no cursor is null.
    pub(super) never_null: bool,
}

pub(super) fn feed(connection: &Connection, feed: &FeedDefinition) -> Result<Checked> {
    let fail = |error: rusqlite::Error| failure::of(&error);
    let sql = bare(&feed.sql).to_owned();
    let statement = connection.prepare(&sql).map_err(|error| match error {
        rusqlite::Error::MultipleStatement => {
            refused("the sql holds more than one statement", "write one SELECT")
        }
        other => failure::of(&other),
    })?;
    if !statement.readonly() || statement.column_count() == 0 || statement.parameter_count() > 0 {
        return Err(refused(
            "the sql is no SELECT without parameters",
            "write one SELECT",
        ));
    }
    let given = statement.column_names().collect::<Vec<_>>();
    let cursor = cursor_places(feed, &given)?;
    let table = table(connection, &Shape::of(&sql)).map_err(fail)?;
    let mut columns = Vec::new();
    for one in statement.columns() {
        let nullable = !table.as_ref().is_some_and(|table| table.never_null(one.name()));
        let kind = typed(&feed.types, one.name(), one.decl_type())?;
        columns.push(Column {
            name: one.name().to_owned(),
            kind,
            nullable,
        });
    }
    for (at, place) in cursor.iter().enumerate() {
        if let Some(one) = columns.get(*place) {
            fits(feed, one, at == 0)?;
        }
    }
    let keyset = Keyset {
        dialect: Dialect::Sqlite,
        sql,
        select: given.iter().map(|name| column(name)).collect(),
        cursor: feed
            .cursor
            .iter()
            .map(|name| CursorColumn {
                name: name.clone(),
                cast: String::new(),
            })
            .collect(),
        own: 0,
        fence_zone: None,
    };
    unique(feed, table.as_ref())?;
    connection
        .prepare(&keyset.read(true, Bound::UpTo))
        .map_err(fail)?;
    let never_null = cursor
        .iter()
        .all(|place| columns.get(*place).is_some_and(|one| !one.nullable));
    if !never_null {
        no_nulls(connection, feed, &keyset)?;
    }
    if let Some(table) = &table {
        collation::fold(connection, &table.name, &feed.key, &mut columns)?;
    }
    let schema = RowSchema {
        name: feed.name.to_string(),
        version: feed.version,
        columns,
        key: feed.key.clone(),
        tombstone: feed.tombstone.clone(),
    };
    Ok(Checked {
        schema,
        cursor,
        keyset,
        never_null,
    })
}

/// A column's type: as configured, or as its table declares it.
pub(super) fn typed(
    types: &BTreeMap<String, String>,
    name: &str,
    declared: Option<&str>,
) -> Result<ColumnType> {
    match types.get(name) {
        Some(text) => declared::parse(text).ok_or_else(|| {
            refused(
                format!("types.{name} = \"{text}\" is not a type"),
                "write for example int8, decimal(16,2), date, timestamp, text or bytea",
            )
        }),
        None => Ok(declared::sqlite(declared)),
    }
}

/// Whether rows can be ordered by a column exactly. `what` names the columns among which it is.
pub(super) fn orders(one: &Column, what: &str) -> Result<()> {
    use ColumnType as T;
    let other = matches!(
        one.kind,
        T::Text { .. } | T::Date | T::Time | T::TimeTz | T::Timestamp | T::TimestampTz | T::Uuid
    );
    if is_integer(one) || other {
        return Ok(());
    }
    Err(refused(
        format!(
            "{what} column {} has a type that cannot be gone by exactly in SQLite",
            one.name
        ),
        "use columns that are integers, text or times",
    ))
}

fn is_integer(one: &Column) -> bool {
    use ColumnType as T;
    matches!(one.kind, T::Int2 | T::Int4 | T::Int8 | T::Any)
}

fn fits(feed: &FeedDefinition, one: &Column, first: bool) -> Result<()> {
    orders(one, "cursor")?;
    let integer = is_integer(one);
    if first && feed.cursor_set_by == CursorSetBy::Sequence && !integer {
        return Err(refused(
            format!(
                "cursor column {} is no integer, but cursor_set_by = \"sequence\"",
                one.name
            ),
            "declare cursor_set_by = \"application\" with a lag",
        ));
    }
    Ok(())
}

/// The one table behind a plain SELECT.
struct Table {
    name: String,
    /// Names in lower case, whether declared NOT NULL, and the place in the primary key from 1.
    columns: Vec<(String, bool, i64)>,
    /// The column that is the rowid.
    rowid: Option<String>,
    /// Columns of unique, whole indexes and of all indexes.
    unique: Vec<Vec<String>>,
    indexes: Vec<Vec<String>>,
}

const ROWID: [&str; 3] = ["rowid", "oid", "_rowid_"];

impl Table {
    fn is_rowid(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        self.rowid.as_ref() == Some(&name)
            || (ROWID.contains(&name.as_str()) && !self.columns.iter().any(|(known, ..)| *known == name))
    }

    fn never_null(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        self.is_rowid(&name)
            || self
                .columns
                .iter()
                .any(|(known, not_null, _)| *known == name && *not_null)
    }
}

fn table(connection: &Connection, shape: &Shape) -> rusqlite::Result<Option<Table>> {
    let [parts] = shape.relations.as_slice() else {
        return Ok(None);
    };
    let (schema, name) = match parts.as_slice() {
        [name] => ("main", name),
        [schema, name] => (schema.as_str(), name),
        _ => return Ok(None),
    };
    if !shape.plain {
        return Ok(None);
    }
    let found: Option<String> = connection
        .query_row(
            &format!(
                "SELECT name FROM {}.sqlite_schema WHERE type = 'table' AND lower(name) = lower(?1)",
                quote(schema)
            ),
            [name],
            |row| row.get(0),
        )
        .optional()?;
    let Some(name) = found else { return Ok(None) };
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
    let mut list = connection.prepare("SELECT name, \"unique\", partial FROM pragma_index_list(?1, ?2)")?;
    let listed = list.query_map([name.as_str(), schema], |row| {
        Ok((
            row.get::<_, String>(0)?,
            row.get::<_, bool>(1)?,
            row.get::<_, bool>(2)?,
        ))
    })?;
    let (mut unique, mut indexes) = (Vec::new(), Vec::new());
    for index in listed {
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
    let columns = rows
        .into_iter()
        .map(|(name, not_null, place, _)| (name, not_null, place))
        .collect();
    Ok(Some(Table {
        name,
        columns,
        rowid,
        unique,
        indexes,
    }))
}

/// A cursor whose columns are all the table's must hold a unique index of it. Elsewhere nothing
/// is proven, and the reader compares neighbours.
fn unique(feed: &FeedDefinition, table: Option<&Table>) -> Result<()> {
    let Some(table) = table else {
        info!(feed = %feed.name, "the cursor's uniqueness cannot be proven from the catalogue; neighbouring rows are compared");
        return Ok(());
    };
    let cursor: Vec<String> = feed.cursor.iter().map(|name| name.to_lowercase()).collect();
    let known =
        |name: &String| table.is_rowid(name) || table.columns.iter().any(|(column, ..)| column == name);
    let covered = |columns: &Vec<String>| columns.iter().all(|column| cursor.contains(column));
    let proven = cursor.iter().any(|name| table.is_rowid(name)) || table.unique.iter().any(covered);
    if !proven && cursor.iter().all(known) {
        return Err(refused(
            format!(
                "cursor ({}) is not unique: {} has no unique index within these columns",
                feed.cursor.join(", "),
                table.name
            ),
            "end the cursor with the table's primary key",
        ));
    }
    let by_rowid = cursor.first().is_some_and(|name| table.is_rowid(name));
    // Every index of a table ends in its rowid.
    let serves = |columns: &Vec<String>| {
        columns.starts_with(&cursor)
            || (columns.len() + 1 == cursor.len()
                && cursor.starts_with(columns)
                && cursor.last().is_some_and(|name| table.is_rowid(name)))
    };
    if !by_rowid && !table.indexes.iter().any(serves) {
        let names: Vec<String> = feed.cursor.iter().map(|name| quote(name)).collect();
        warn!(
            feed = %feed.name,
            remedy = %format!("CREATE INDEX … ON {} ({});", quote(&table.name), names.join(", ")),
            "no index serves the cursor: each quantum sorts the table"
        );
    }
    Ok(())
}

/// Rows without a cursor would never be found.
pub(super) fn no_nulls(connection: &Connection, feed: &FeedDefinition, keyset: &Keyset) -> Result<()> {
    let look = || -> rusqlite::Result<bool> { connection.prepare_cached(&keyset.any_null())?.exists([]) };
    nulls::judged(feed, look().map_err(|error| failure::of(&error)))
}
