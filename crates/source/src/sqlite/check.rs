//! Whether a feed can be served, before anything is read: each refusal says what to do.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _};
use tracing::{info, warn};

use schemas::column::{Column, ColumnType, RowSchema};

use super::key::{self, Proof};
use super::order::{self, Search};
use super::worker::Ticket;
use super::{collation, failure, numbers};
use crate::columns::{cursor_places, tombstone_fits};
use crate::cursor_form::CursorForm;
use crate::declared;
use crate::error::{Error, Result, refused};
use crate::feed::{CursorSetBy, FeedDefinition};
use crate::key_proof::not_unique;
use crate::keyset::{Bound, CursorColumn, Dialect, Keyset, bare, column, quote};
use crate::nulls;
use crate::select_list::SelectList;
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
    /// The first cursor column is the rowid, which holds integers alone.
    pub(super) by_rowid: bool,
    /// The refusal of a key that occurs twice in one read; none: the catalogue proves that none does.
    pub(super) key_repeated: Option<Error>,
    /// The table that numbers the cursor and keeps the last number.
    pub(super) numbered_by: Option<String>,
}

impl Checked {
    /// The declared type of the first cursor column.
    pub(super) fn first_kind(&self) -> Option<&ColumnType> {
        let place = self.cursor.first()?;
        self.schema.columns.get(*place).map(|column| &column.kind)
    }
}

/// A feed that was opened, with what is known of its rows.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) checked: Checked,
    /// The first cursor column's form; none: there is no row yet.
    pub(super) form: Option<CursorForm>,
    pub(super) search: Search,
    pub(super) proof: Proof,
}

/// How long the search for cursors of another form may take when a feed is opened; the rest is searched later.
const SEARCH: Duration = Duration::from_millis(50);

/// Checks a feed; `proof` is what an earlier opening proved of its key.
pub(super) fn open(
    connection: &Connection,
    ticket: &Ticket,
    feed: &FeedDefinition,
    proof: Option<Proof>,
) -> Result<Opened> {
    order::zone(feed)?;
    let mut checked = self::feed(connection, feed)?;
    let form = order::form(connection, feed, &checked, Timestamp::now())?;
    if let Some(form) = &form {
        checked.keep_to(form);
    }
    let mut proof = match (&checked.key_repeated, proof) {
        (None, _) => Proof::by_catalogue(),
        (Some(_), Some(known)) if !known.is_by_catalogue() => known,
        (Some(_), _) => Proof::by_reading(),
    };
    if proof.is_reading() {
        key::page(connection, feed, &checked, &mut proof)?;
    }
    let mut search = Search::default();
    if let Some(form) = form.as_ref().filter(|_| checked.keyset.only.is_some()) {
        search = search.go_on(connection, ticket, &checked, SEARCH)?;
        if search.is_over {
            search.judge(feed, form)?;
        }
    }
    Ok(Opened {
        checked,
        form,
        search,
        proof,
    })
}

impl Checked {
    /// Leaves rows of another form out of the order.
    pub(super) fn keep_to(&mut self, form: &CursorForm) {
        let first = self.keyset.cursor.first().filter(|_| !self.by_rowid);
        self.keyset.only = first.map(|first| form.sqlite(&column(&first.name)));
    }
}

fn feed(connection: &Connection, feed: &FeedDefinition) -> Result<Checked> {
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
    // An output may be called as a column of the table and be another one.
    let list = SelectList::of(&sql);
    let mut columns = Vec::new();
    for one in statement.columns() {
        let origin = list.origin(one.name());
        let never_null = |table: &Table| origin.as_ref().is_some_and(|name| table.never_null(name));
        let nullable = !table.as_ref().is_some_and(never_null);
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
    tombstone_fits(feed, &columns)?;
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
        only: None,
        own: 0,
        fence_zone: None,
    };
    unique(feed, table.as_ref(), &list)?;
    let is_unique = key::by_catalogue(feed, table.as_ref(), &list);
    let first = feed.cursor.first().and_then(|name| list.origin(name));
    let by_rowid = first
        .zip(table.as_ref())
        .is_some_and(|(name, table)| table.is_rowid(&name));
    let numbered_by = numbered_by(feed, table.as_ref(), by_rowid)?;
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
        by_rowid,
        key_repeated: (!is_unique).then(|| not_unique(feed)),
        numbered_by,
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
pub(super) struct Table {
    name: String,
    /// Its numbers are never used again.
    is_autoincrement: bool,
    /// Names in lower case, whether declared NOT NULL, and the place in the primary key from 1.
    columns: Vec<(String, bool, i64)>,
    /// The column that is the rowid.
    rowid: Option<String>,
    /// Columns of unique, whole indexes and of all indexes.
    pub(super) unique: Vec<Vec<String>>,
    indexes: Vec<Vec<String>>,
}

const ROWID: [&str; 3] = ["rowid", "oid", "_rowid_"];

impl Table {
    pub(super) fn is_rowid(&self, name: &str) -> bool {
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
        is_autoincrement: numbers::is_autoincrement(&sql),
        columns,
        rowid,
        unique,
        indexes,
    }))
}

/// The table that numbers the cursor, where it tells the last number. Of a cursor of a view or a join nothing is known.
fn numbered_by(feed: &FeedDefinition, table: Option<&Table>, by_rowid: bool) -> Result<Option<String>> {
    let Some(table) = table else { return Ok(None) };
    let is_numbered = by_rowid && table.is_autoincrement;
    if feed.cursor_set_by == CursorSetBy::Sequence && !is_numbered {
        return Err(numbers::used_again(&table.name));
    }
    Ok(is_numbered.then(|| table.name.clone()))
}

/// A cursor whose columns are all the table's must hold a unique index of it. Elsewhere nothing
/// is proven, and the reader compares neighbours.
fn unique(feed: &FeedDefinition, table: Option<&Table>, list: &SelectList) -> Result<()> {
    let Some(table) = table else {
        info!(feed = %feed.name, "the cursor's uniqueness cannot be proven from the catalogue; neighbouring rows are compared");
        return Ok(());
    };
    let origin = |name: &String| list.origin(name).unwrap_or_default();
    let cursor: Vec<String> = feed.cursor.iter().map(origin).collect();
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
