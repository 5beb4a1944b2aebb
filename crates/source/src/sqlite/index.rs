//! Indexes over a cursor and over a query's arguments: those that prove uniqueness, and those that are missing.

use rusqlite::{Connection, OptionalExtension as _};
use tracing::{info, warn};

use super::failure;
use super::table::Table;
use crate::error::{Result, refused};
use crate::feed::FeedDefinition;
use crate::keyset::quote;
use crate::missing_index::{ComparedColumn, MissingIndex, compared, missing_index_columns, quoted_list};
use crate::select_list::SelectList;
use crate::shape::Shape;

/// Refuses a cursor without a unique index, if all its columns are the table's. Otherwise nothing is proven, and the reader
/// compares neighbours. Returns the index that the cursor needs, if none serves it.
pub(super) fn missing_for_cursor(
    connection: &Connection,
    feed: &FeedDefinition,
    table: Option<&Table>,
    list: &SelectList,
) -> Result<Option<MissingIndex>> {
    let Some(table) = table else {
        info!(feed = %feed.name, "cursor uniqueness not proven by the schema, comparing neighbouring rows");
        return Ok(None);
    };
    let origin = |name: &String| list.origin(name).unwrap_or_default();
    let cursor: Vec<String> = feed.cursor.iter().map(origin).collect();
    let covered = |columns: &Vec<String>| columns.iter().all(|column| cursor.contains(column));
    let proven = cursor.iter().any(|name| table.is_rowid(name)) || table.unique.iter().any(covered);
    if !proven && cursor.iter().all(|name| table.has(name)) {
        return Err(refused(
            format!(
                "cursor ({}) is not unique: {} has no unique index within these columns",
                feed.cursor.join(", "),
                table.name
            ),
            "end the cursor with the table's primary key",
        ));
    }
    let missing = missing_for_order(connection, table, &feed.cursor, &cursor)?;
    if let Some(missing) = &missing {
        warn!(feed = %feed.name, remedy = %missing.remedy, "no index serves the cursor, each quantum sorts the table");
    }
    Ok(missing)
}

/// Returns the index that an order by these columns needs, if none serves it. `names` are the output names.
fn missing_for_order(
    connection: &Connection,
    table: &Table,
    names: &[String],
    columns: &[String],
) -> Result<Option<MissingIndex>> {
    let Some(first) = columns.first() else {
        return Ok(None);
    };
    // Every index of a table ends with its rowid.
    let serves = |index: &Vec<String>| {
        index.starts_with(columns)
            || (index.len() + 1 == columns.len()
                && columns.starts_with(index)
                && columns.last().is_some_and(|name| table.is_rowid(name)))
    };
    if table.is_rowid(first) || table.indexes.iter().any(serves) {
        return Ok(None);
    }
    if !columns.iter().all(|name| table.has(name)) {
        return Ok(Some(MissingIndex::for_order(names, None)));
    }
    let indexed: Vec<String> = columns
        .iter()
        .take_while(|name| !table.is_rowid(name))
        .cloned()
        .collect();
    let statement = statement(connection, &table.name, &indexed)?;
    Ok(Some(MissingIndex::for_order(names, Some(statement))))
}

/// Returns the indexes that a query needs: over the columns that its arguments are compared with, or over its order.
pub(super) fn missing_for_query(
    connection: &Connection,
    sql: &str,
    arguments: usize,
    order: &[String],
) -> Result<Vec<MissingIndex>> {
    let fail = |error: rusqlite::Error| failure::classify(&error);
    let shape = Shape::parse(sql);
    let compared = compared(&sql.to_lowercase(), arguments);
    if compared.is_empty() {
        let list = SelectList::parse(sql);
        let columns: Vec<String> = order
            .iter()
            .map(|name| list.origin(name).unwrap_or_default())
            .collect();
        let Some(table) = Table::of_plain_select(connection, &shape).map_err(fail)? else {
            return Ok(Vec::new());
        };
        let missing = missing_for_order(connection, &table, order, &columns)?;
        return Ok(missing.into_iter().collect());
    }
    // A name after FROM need not be a table.
    let found = |parts: &Vec<String>| Table::find(connection, parts).ok().flatten();
    let tables: Vec<Table> = shape.relations.iter().filter_map(found).collect();
    let mut missing = Vec::new();
    for table in &tables {
        // A column name in several tables refers to the qualified one.
        let is_of = |one: &&ComparedColumn| {
            let others = tables.iter().filter(|other| other.has(&one.column)).count();
            let is_named = one.table.as_ref() == Some(&table.name.to_lowercase());
            table.has(&one.column) && (others == 1 || is_named)
        };
        let of_table: Vec<&ComparedColumn> = compared.iter().filter(is_of).collect();
        let is_by_rowid = of_table.iter().any(|one| table.is_rowid(&one.column));
        match missing_index_columns(&of_table, &table.indexes).filter(|_| !is_by_rowid) {
            Some(columns) => {
                let statement = statement(connection, &table.name, &columns)?;
                missing.push(MissingIndex::for_arguments(
                    &quote(&table.name),
                    &columns,
                    &statement,
                ));
            }
            // One table that an index searches leads to the rows of the others.
            None if !of_table.is_empty() => return Ok(Vec::new()),
            None => {}
        }
    }
    Ok(missing)
}

/// Returns the statement that creates an index, under an unused name.
fn statement(connection: &Connection, table: &str, columns: &[String]) -> Result<String> {
    let base = format!("{table}_by_{}", columns.join("_"));
    let (mut name, mut tries) = (base.clone(), 1_u32);
    while is_taken(connection, &name)? {
        tries += 1;
        name = format!("{base}_{tries}");
    }
    Ok(format!(
        "CREATE INDEX {} ON {} ({});",
        quote(&name),
        quote(table),
        quoted_list(columns)
    ))
}

fn is_taken(connection: &Connection, name: &str) -> Result<bool> {
    let sql = "SELECT 1 FROM sqlite_schema WHERE name = ?1 COLLATE NOCASE";
    let found = connection.query_row(sql, [name], |_| Ok(())).optional();
    found
        .map(|found| found.is_some())
        .map_err(|error| failure::classify(&error))
}
