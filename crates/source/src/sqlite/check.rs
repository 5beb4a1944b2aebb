//! Whether a feed can be served, before anything is read: each refusal says what to do.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Connection;

use schemas::column::{Column, ColumnType, RowSchema};

use super::key::{self, Proof};
use super::order::{self, Search};
use super::table::Table;
use super::worker::Ticket;
use super::{collation, failure, index, key_type, numbers};
use crate::columns::{cursor_places, tombstone_fits};
use crate::cursor_form::CursorForm;
use crate::declared;
use crate::error::{Error, Result, refused};
use crate::feed::{CursorSetBy, FeedDefinition};
use crate::key_proof::not_unique;
use crate::keyset::{Bound, CursorColumn, Dialect, Keyset, bare, column};
use crate::missing_index::MissingIndex;
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
    /// The declared type of the first cursor column. As part of the key it may travel as another one.
    pub(super) first_kind: Option<ColumnType>,
    /// The refusal of a key that occurs twice in one read; none: the catalogue proves that none does.
    pub(super) key_repeated: Option<Error>,
    /// The table that numbers the cursor and keeps the last number.
    pub(super) numbered_by: Option<String>,
    /// Indexes that would serve it.
    pub(super) missing_indexes: Vec<MissingIndex>,
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
    let table = Table::of_plain(connection, &Shape::of(&sql)).map_err(fail)?;
    // An output may be called as a column of the table and be another one.
    let list = SelectList::of(&sql);
    let (mut columns, mut declared) = (Vec::new(), Vec::new());
    for one in statement.columns() {
        declared.push(one.decl_type().map(str::to_owned));
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
    let missing_index = index::of_cursor(connection, feed, table.as_ref(), &list)?;
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
    let first_kind = cursor.first().and_then(|place| columns.get(*place));
    let first_kind = first_kind.map(|column| column.kind.clone());
    if let Some(table) = &table {
        collation::fold(connection, &table.name, &list, &feed.key, &mut columns)?;
    }
    key_type::keep_apart(&feed.key, &declared, &mut columns);
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
        first_kind,
        key_repeated: (!is_unique).then(|| not_unique(feed)),
        numbered_by,
        missing_indexes: missing_index.into_iter().collect(),
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

/// The table that numbers the cursor, where it tells the last number. Of a cursor of a view or a join nothing is known.
fn numbered_by(feed: &FeedDefinition, table: Option<&Table>, by_rowid: bool) -> Result<Option<String>> {
    let Some(table) = table else { return Ok(None) };
    let is_numbered = by_rowid && table.is_autoincrement;
    if feed.cursor_set_by == CursorSetBy::Sequence && !is_numbered {
        return Err(numbers::used_again(&table.name));
    }
    Ok(is_numbered.then(|| table.name.clone()))
}

/// Rows without a cursor would never be found.
pub(super) fn no_nulls(connection: &Connection, feed: &FeedDefinition, keyset: &Keyset) -> Result<()> {
    let look = || -> rusqlite::Result<bool> { connection.prepare_cached(&keyset.any_null())?.exists([]) };
    nulls::judged(feed, look().map_err(|error| failure::of(&error)))
}
