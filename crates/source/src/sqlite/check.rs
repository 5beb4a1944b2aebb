//! Checks whether a feed can be served, before any row is read.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Connection;

use schemas::column::{Column, ColumnType, RowSchema};

use super::checked_feed::CheckedFeed;
use super::key::{self, Proof};
use super::order::{self, Search};
use super::table::Table;
use super::worker::JobToken;
use super::{collation, failure, index, key_type, row_numbers};
use crate::columns::{check_tombstone_column, cursor_indices};
use crate::cursor_format::CursorFormat;
use crate::declared;
use crate::error::{Result, refused};
use crate::feed::{CursorSetBy, FeedDefinition};
use crate::key_proof::refuse_duplicate_key;
use crate::keyset::{Bound, CursorColumn, Dialect, Keyset, column, strip_semicolon};
use crate::nulls;
use crate::select_list::SelectList;
use crate::shape::Shape;

/// An opened feed, with the evidence about its rows.
#[derive(Debug)]
pub(super) struct OpenedFeed {
    pub(super) checked: CheckedFeed,
    /// The first cursor column's format, or `None` if there is no row yet.
    pub(super) format: Option<CursorFormat>,
    pub(super) search: Search,
    pub(super) proof: Proof,
}

/// How long the search for cursors of another format may take when a feed is opened. It continues later.
const SEARCH: Duration = Duration::from_millis(50);

/// Checks a feed. `proof` is the key proof of an earlier reader.
pub(super) fn open(
    connection: &Connection,
    token: &JobToken,
    feed: &FeedDefinition,
    proof: Option<Proof>,
) -> Result<OpenedFeed> {
    order::zone(feed)?;
    let mut checked = self::feed(connection, feed)?;
    let format = order::detect_format(connection, feed, &checked, Timestamp::now())?;
    if let Some(format) = &format {
        checked.restrict_to(format);
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
    if let Some(format) = format.as_ref().filter(|_| checked.keyset.only.is_some()) {
        search = search.advance(connection, token, &checked, SEARCH)?;
        if search.is_complete {
            search.evaluate(feed, format)?;
        }
    }
    Ok(OpenedFeed {
        checked,
        format,
        search,
        proof,
    })
}

fn feed(connection: &Connection, feed: &FeedDefinition) -> Result<CheckedFeed> {
    let fail = |error: rusqlite::Error| failure::classify(&error);
    let sql = strip_semicolon(&feed.sql).to_owned();
    let statement = connection.prepare(&sql).map_err(|error| match error {
        rusqlite::Error::MultipleStatement => {
            refused("the sql holds more than one statement", "write one SELECT")
        }
        other => failure::classify(&other),
    })?;
    if !statement.readonly() || statement.column_count() == 0 || statement.parameter_count() > 0 {
        return Err(refused(
            "the sql is not a SELECT without parameters",
            "write one SELECT",
        ));
    }
    let given = statement.column_names().collect::<Vec<_>>();
    let cursor = cursor_indices(feed, &given)?;
    let table = Table::of_plain_select(connection, &Shape::parse(&sql)).map_err(fail)?;
    // An output column may have the name of another column of the table.
    let list = SelectList::parse(&sql);
    let (mut columns, mut declared) = (Vec::new(), Vec::new());
    for one in statement.columns() {
        declared.push(one.decl_type().map(str::to_owned));
        let origin = list.origin(one.name());
        let never_null = |table: &Table| origin.as_ref().is_some_and(|name| table.never_null(name));
        let nullable = !table.as_ref().is_some_and(never_null);
        let kind = resolve_type(&feed.types, one.name(), one.decl_type())?;
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
    check_tombstone_column(feed, &columns)?;
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
        own_parameters: 0,
        fence_zone: None,
    };
    let missing_index = index::missing_for_cursor(connection, feed, table.as_ref(), &list)?;
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
        collation::apply_collation(connection, &table.name, &list, &feed.key, &mut columns)?;
    }
    key_type::set_comparison_types(&feed.key, &declared, &mut columns);
    let schema = RowSchema {
        name: feed.name.to_string(),
        version: feed.version,
        columns,
        key: feed.key.clone(),
        tombstone: feed.tombstone.clone(),
    };
    Ok(CheckedFeed {
        schema,
        cursor,
        keyset,
        never_null,
        by_rowid,
        first_kind,
        key_repeated: (!is_unique).then(|| refuse_duplicate_key(feed)),
        numbered_by,
        missing_indexes: missing_index.into_iter().collect(),
    })
}

/// Returns a column's type: as configured, or as its table declares it.
pub(super) fn resolve_type(
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

/// Refuses a column that does not order rows exactly. `what` names the setting.
pub(super) fn check_orderable(one: &Column, what: &str) -> Result<()> {
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
            "{what} column {} has a type that SQLite does not order exactly",
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
    check_orderable(one, "cursor")?;
    let integer = is_integer(one);
    if first && feed.cursor_set_by == CursorSetBy::Sequence && !integer {
        return Err(refused(
            format!(
                "cursor column {} is not an integer, but cursor_set_by = \"sequence\"",
                one.name
            ),
            "declare cursor_set_by = \"application\" with a lag",
        ));
    }
    Ok(())
}

/// Returns the table that numbers the cursor, if it records the last number. `None` for a view or a join.
fn numbered_by(feed: &FeedDefinition, table: Option<&Table>, by_rowid: bool) -> Result<Option<String>> {
    let Some(table) = table else { return Ok(None) };
    let is_numbered = by_rowid && table.is_autoincrement;
    if feed.cursor_set_by == CursorSetBy::Sequence && !is_numbered {
        return Err(row_numbers::refuse_reused_numbers(&table.name));
    }
    Ok(is_numbered.then(|| table.name.clone()))
}

/// Refuses a feed with null cursors, which a keyset query never returns.
pub(super) fn no_nulls(connection: &Connection, feed: &FeedDefinition, keyset: &Keyset) -> Result<()> {
    let search = || -> rusqlite::Result<bool> { connection.prepare_cached(&keyset.any_null())?.exists([]) };
    nulls::check_null_search(feed, search().map_err(|error| failure::classify(&error)))
}
