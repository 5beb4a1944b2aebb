//! Makes tables, or goes on with those that are there.

use rusqlite::Transaction;
use schemas::column::Column;
use schemas::name::Lane;

use super::super::failure;
use super::super::native::declared;
use super::there::{There, add, columns, find, run};
use crate::error::{Error, Result};
use crate::layout::{Layout, with_suffix};
use crate::table::shape::Shape;
use crate::table::{DELETED, EPOCH, NUMBER, ORDINAL, STORED_AT, SUPERSEDED, listed, quoted};

/// The tables of a lane, with all columns.
pub(super) fn make(tx: &Transaction<'_>, layout: &Layout, lane: &Lane, shape: &Shape) -> Result<()> {
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
                return Err(Error::of_lane(
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
        return Err(Error::of_lane(
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
    Err(Error::of_lane(
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
