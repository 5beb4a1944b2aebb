//! What is done to a lane's tables, each step within the transaction that notes it.
//!
//! SQLite's types are affinities: an integer column holds any integer, a text column any text,
//! so most types follow by themselves. Two do not. An integer that became a decimal needs a
//! column of texts, or the digits behind the point would become a float: the column is made anew.
//! A date that became a time is written as its midnight.

use rusqlite::{OptionalExtension, Transaction, params};
use schemas::column::{Column, ColumnType};
use schemas::name::Lane;

use super::failure;
use super::native::declared;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{Layout, with_suffix};
use crate::table::shape::{Change, Shape, Step};
use crate::table::{DELETED, EPOCH, NUMBER, ORDINAL, STORED_AT, SUPERSEDED, listed, quoted};

/// Takes the steps of a change; `before` is what was known.
pub(super) fn apply(
    tx: &Transaction<'_>,
    layout: &Layout,
    lane: &Lane,
    before: Option<&Shape>,
    change: &Change,
) -> Result<()> {
    for step in &change.steps {
        match step {
            Step::Make => make(tx, layout, lane, &change.shape)?,
            Step::Add(column) => {
                for table in layout.tables() {
                    if let Some(there) = columns(tx, table)? {
                        add(tx, table, &there, column)?;
                    }
                }
            }
            Step::Retype { name, from, to } => {
                for table in layout.tables() {
                    retype(tx, lane, table, name, (from, to))?;
                }
            }
            Step::Rename { from, to } => {
                for table in layout.tables() {
                    if columns(tx, table)?.is_some_and(|there| find(&there, from).is_some()) {
                        let (table, from, to) = (quoted(table), quoted(from), quoted(to));
                        run(tx, &format!("ALTER TABLE {table} RENAME COLUMN {from} TO {to}"))?;
                    }
                }
            }
            Step::Moved(old) => moved(tx, old, layout, lane, &change.shape)?,
            Step::SetAside { suffix } => {
                let there = before.and_then(|shape| shape.layout.as_ref()).unwrap_or(layout);
                set_aside(tx, there, lane, suffix)?;
            }
        }
    }
    Ok(())
}

fn run(tx: &Transaction<'_>, sql: &str) -> Result<()> {
    tx.execute_batch(sql).map_err(|error| failure::of(&error))
}

/// A column of a table that is there.
struct There {
    name: String,
    kind: String,
    bound: bool,
    in_key: bool,
}

/// None where there is no such table.
fn columns(tx: &Transaction<'_>, table: &str) -> Result<Option<Vec<There>>> {
    let read = || {
        tx.prepare(
            "SELECT name, type, \"notnull\" OR dflt_value IS NOT NULL, pk > 0 FROM pragma_table_info(?1)",
        )?
        .query_map([table], |row| {
            Ok(There {
                name: row.get(0)?,
                kind: row.get(1)?,
                bound: row.get(2)?,
                in_key: row.get(3)?,
            })
        })?
        .collect::<rusqlite::Result<Vec<There>>>()
    };
    let found = read().map_err(|error| failure::of(&error))?;
    Ok((!found.is_empty()).then_some(found))
}

fn find<'a>(there: &'a [There], name: &str) -> Option<&'a There> {
    there.iter().find(|known| known.name.eq_ignore_ascii_case(name))
}

fn add(tx: &Transaction<'_>, table: &str, there: &[There], column: &Column) -> Result<()> {
    if find(there, &column.name).is_some() {
        return Ok(());
    }
    let (table, name, kind) = (quoted(table), quoted(&column.name), declared(&column.kind));
    run(tx, &format!("ALTER TABLE {table} ADD COLUMN {name} {kind}"))
}

fn make(tx: &Transaction<'_>, layout: &Layout, lane: &Lane, shape: &Shape) -> Result<()> {
    let key: Vec<&str> = shape.known.key.iter().map(|name| layout.column(name)).collect();
    let wanted = shape.columns(layout);
    let typed = |key: &[&str]| -> String {
        let one = |column: &Column| {
            let bound = if key.contains(&column.name.as_str()) {
                " NOT NULL"
            } else {
                ""
            };
            format!("{} {}{bound}", quoted(&column.name), declared(&column.kind))
        };
        wanted.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    let keyed = listed(key.iter().copied());
    let place = format!("{EPOCH} INTEGER NOT NULL, {NUMBER} INTEGER NOT NULL");
    if layout.mode.keeps_current() {
        let table = quoted(&layout.table);
        match columns(tx, &layout.table)? {
            None => {
                let columns = typed(&key);
                run(
                    tx,
                    &format!("CREATE TABLE {table} ({columns}, {place}, PRIMARY KEY ({keyed}))"),
                )?;
            }
            Some(there) => take_over(tx, layout, lane, (&key, &wanted, &there))?,
        }
    }
    if layout.mode.keeps_history() {
        let table = quoted(&layout.history);
        match columns(tx, &layout.history)? {
            None => {
                let index = quoted(&with_suffix(&layout.history, "_by_key"));
                let columns = typed(&[]);
                run(
                    tx,
                    &format!(
                        "CREATE TABLE {table} ({columns}, {place}, {ORDINAL} INTEGER NOT NULL, {DELETED} BOOLEAN NOT NULL, \
                         {STORED_AT} TIMESTAMPTZ_TEXT NOT NULL, {SUPERSEDED} BOOLEAN NOT NULL DEFAULT 0, \
                         PRIMARY KEY ({EPOCH}, {NUMBER}, {ORDINAL})); \
                         CREATE INDEX IF NOT EXISTS {index} ON {table} ({keyed}, {EPOCH}, {NUMBER})"
                    ),
                )?;
            }
            Some(there) if find(&there, ORDINAL).is_some() => {
                for column in &wanted {
                    add(tx, &layout.history, &there, column)?;
                }
            }
            Some(_) => {
                return Err(refused(
                    lane,
                    format!("there is a table {table} that is no history of slacktide's"),
                    "name another one: history = \"…\" under [store.feed]",
                ));
            }
        }
    }
    Ok(())
}

/// Goes on with a table that is there: one of ours gets what it lacks, another's must have it.
fn take_over(
    tx: &Transaction<'_>,
    layout: &Layout,
    lane: &Lane,
    (key, wanted, there): (&[&str], &[Column], &[There]),
) -> Result<()> {
    if find(there, EPOCH).is_some() {
        for column in wanted {
            add(tx, &layout.table, there, column)?;
        }
    } else {
        of_others(tx, layout, lane, (key, wanted, there))?;
    }
    for name in [EPOCH, NUMBER] {
        if find(there, name).is_none() {
            let table = quoted(&layout.table);
            run(
                tx,
                &format!("ALTER TABLE {table} ADD COLUMN {name} INTEGER NOT NULL DEFAULT 0"),
            )?;
        }
    }
    Ok(())
}

/// A table that its owner made: taken when rows can be found in it by the feed's key and every
/// column has its place. Types and constraints are the owner's.
fn of_others(
    tx: &Transaction<'_>,
    layout: &Layout,
    lane: &Lane,
    (key, wanted, there): (&[&str], &[Column], &[There]),
) -> Result<()> {
    let table = quoted(&layout.table);
    let names = wanted.iter().map(|column| column.name.as_str());
    let missing: Vec<&str> = names.filter(|name| find(there, name).is_none()).collect();
    if !missing.is_empty() {
        return Err(refused(
            lane,
            format!("the table {table} was there before and lacks {}", listed(missing)),
            "add the columns, say under columns in [store.feed] what they are called there, or name another table",
        ));
    }
    let same = |mut found: Vec<String>| {
        let mut wanted: Vec<String> = key.iter().map(|name| name.to_ascii_lowercase()).collect();
        found.iter_mut().for_each(|name| name.make_ascii_lowercase());
        found.sort();
        wanted.sort();
        found == wanted
    };
    let primary = there
        .iter()
        .filter(|column| column.in_key)
        .map(|column| column.name.clone());
    if same(primary.collect()) || unique_keys(tx, &layout.table)?.into_iter().any(same) {
        return Ok(());
    }
    let key = listed(key.iter().copied());
    Err(refused(
        lane,
        format!("the table {table} was there before and has no unique key over ({key})"),
        format!("run CREATE UNIQUE INDEX … ON {table} ({key}), or name another table under [store.feed]"),
    ))
}

fn unique_keys(tx: &Transaction<'_>, table: &str) -> Result<Vec<Vec<String>>> {
    let read = || -> rusqlite::Result<Vec<Vec<String>>> {
        let names = tx
            .prepare("SELECT name FROM pragma_index_list(?1) WHERE \"unique\" AND NOT partial")?
            .query_map([table], |row| row.get::<_, String>(0))?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        let mut keys = Vec::new();
        for name in names {
            let columns = tx
                .prepare("SELECT coalesce(name, '') FROM pragma_index_info(?1)")?
                .query_map([name], |row| row.get(0))?
                .collect::<rusqlite::Result<Vec<String>>>()?;
            keys.push(columns);
        }
        Ok(keys)
    };
    read().map_err(|error| failure::of(&error))
}

fn retype(
    tx: &Transaction<'_>,
    lane: &Lane,
    table: &str,
    name: &str,
    (from, to): (&ColumnType, &ColumnType),
) -> Result<()> {
    let there = columns(tx, table)?.unwrap_or_default();
    let Some(column) = find(&there, name) else {
        return Ok(());
    };
    let (sql_table, sql_name) = (quoted(table), quoted(name));
    match (from, to) {
        (ColumnType::Date, ColumnType::Timestamp) => run(
            tx,
            &format!(
                "UPDATE {sql_table} SET {sql_name} = CASE WHEN {sql_name} LIKE '% BC' \
                 THEN substr({sql_name}, 1, length({sql_name}) - 3) || ' 00:00:00 BC' ELSE {sql_name} || ' 00:00:00' END \
                 WHERE {sql_name} IS NOT NULL AND {sql_name} NOT LIKE '%infinity' AND {sql_name} NOT LIKE '%:%'"
            ),
        ),
        // The owner may have chosen another type, and keeps it.
        (ColumnType::Int2 | ColumnType::Int4 | ColumnType::Int8, ColumnType::Decimal { .. })
            if column.kind.to_ascii_uppercase().contains("INT") =>
        {
            if column.bound || has_constraints(tx, table)? {
                return Err(refused(
                    lane,
                    format!(
                        "column {sql_name} of {sql_table} became a decimal and cannot follow: the table has constraints of its own"
                    ),
                    format!(
                        "make the table anew with {sql_name} DECIMAL_TEXT and copy its rows; it is tried again"
                    ),
                ));
            }
            anew(tx, table, name, &declared(to)).map_err(|error| {
                refused(
                    lane,
                    format!("column {sql_name} of {sql_table} became a decimal and cannot follow: {}", error.what),
                    "drop the view, trigger or constraint that uses the column and make it again afterwards; it is tried \
                     again",
                )
            })
        }
        _ => Ok(()),
    }
}

/// Whether the table's own words hold constraints, which a column that is made anew would lose.
fn has_constraints(tx: &Transaction<'_>, table: &str) -> Result<bool> {
    let words: Option<String> = tx
        .query_row(
            "SELECT upper(sql) FROM sqlite_master WHERE type = 'table' AND name = ?1 COLLATE NOCASE",
            [table],
            |row| row.get(0),
        )
        .optional()
        .map_err(|error| failure::of(&error))?;
    let words = words.unwrap_or_default();
    Ok(["CHECK", "REFERENCES", "GENERATED", "COLLATE", "UNIQUE"]
        .iter()
        .any(|word| words.contains(word)))
}

/// Makes a column anew with another declared type; its indexes are made again.
fn anew(tx: &Transaction<'_>, table: &str, name: &str, kind: &str) -> Result<()> {
    let indexes = || -> rusqlite::Result<Vec<(String, String)>> {
        tx.prepare(
            "SELECT m.name, m.sql FROM sqlite_master m WHERE m.type = 'index' AND m.tbl_name = ?1 COLLATE NOCASE \
             AND m.sql IS NOT NULL AND (EXISTS (SELECT 1 FROM pragma_index_xinfo(m.name) i \
             WHERE i.name = ?2 COLLATE NOCASE OR i.cid = -2) OR m.sql LIKE '%WHERE%')",
        )?
        .query_map(params![table, name], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
    };
    let indexes = indexes().map_err(|error| failure::of(&error))?;
    let (table, name) = (quoted(table), quoted(name));
    for (index, _) in &indexes {
        run(tx, &format!("DROP INDEX {}", quoted(index)))?;
    }
    run(
        tx,
        &format!(
            "ALTER TABLE {table} ADD COLUMN _slacktide_anew {kind}; \
             UPDATE {table} SET _slacktide_anew = CAST({name} AS TEXT); \
             ALTER TABLE {table} DROP COLUMN {name}; \
             ALTER TABLE {table} RENAME COLUMN _slacktide_anew TO {name}"
        ),
    )?;
    for (_, sql) in &indexes {
        run(tx, sql)?;
    }
    Ok(())
}

/// The configuration names other tables or columns than those that hold the rows: right once they
/// were renamed.
fn moved(tx: &Transaction<'_>, old: &Layout, new: &Layout, lane: &Lane, shape: &Shape) -> Result<()> {
    let pairs = [
        (old.mode.keeps_current(), &old.table, &new.table),
        (old.mode.keeps_history(), &old.history, &new.history),
    ];
    for (_, was, is) in pairs.into_iter().filter(|(kept, ..)| *kept) {
        if was != is && columns(tx, was)?.is_some() {
            return Err(refused(
                lane,
                format!("its rows are in {was:?}, and the configuration says {is:?}"),
                "stop the agents, run ALTER TABLE … RENAME TO and start them again, or put the old name back",
            ));
        }
    }
    for table in new.tables() {
        let Some(there) = columns(tx, table)? else {
            continue;
        };
        for column in &shape.known.columns {
            let (was, is) = (old.column(&column.name), new.column(&column.name));
            if was != is && find(&there, was).is_some() {
                return Err(refused(
                    lane,
                    format!("column {was:?} of {table:?} is called {is:?} in the configuration"),
                    format!(
                        "stop the agents, run ALTER TABLE {} RENAME COLUMN {} TO {} and start them again, or put the old \
                         name back",
                        quoted(table),
                        quoted(was),
                        quoted(is)
                    ),
                ));
            }
        }
    }
    Ok(())
}

fn set_aside(tx: &Transaction<'_>, layout: &Layout, lane: &Lane, suffix: &str) -> Result<()> {
    for table in layout.tables() {
        if columns(tx, table)?.is_some() {
            // The name of its index is wanted for the new one.
            let index = quoted(&with_suffix(table, "_by_key"));
            let (from, to) = (quoted(table), quoted(&with_suffix(table, suffix)));
            run(
                tx,
                &format!("DROP INDEX IF EXISTS {index}; ALTER TABLE {from} RENAME TO {to}"),
            )?;
        }
    }
    tx.execute(
        "DELETE FROM slacktide_tombstones WHERE recipient = ?1 AND feed = ?2",
        params![lane.recipient.as_str(), lane.feed.as_str()],
    )
    .map(|_| ())
    .map_err(|error| failure::of(&error))
}

fn refused(lane: &Lane, what: impl std::fmt::Display, remedy: impl Into<String>) -> Error {
    Error::new(ErrorKind::Refused, format!("lane {lane}: {what}"), remedy)
}
