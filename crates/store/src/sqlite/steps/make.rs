//! Makes tables, or goes on with those that are there.

use rusqlite::Transaction;
use schemas::column::Column;
use schemas::key::is_exact;

use super::super::native::declared;
use super::super::{claims, failure};
use super::form;
use super::there::{There, add, columns, find, run};
use crate::claims::{Claim, mark};
use crate::error::{Error, Result};
use crate::layout::{LaneTables, Role};
use crate::table::shape::Shape;
use crate::table::{DELETED, EPOCH, KEY, NUMBER, ORDINAL, STORED_AT, SUPERSEDED, listed, quoted};

/// The tables of a lane, with all columns: created and marked, the lane's own, or one that the configuration names.
pub(super) fn make(tx: &Transaction<'_>, tables: &LaneTables, shape: &Shape) -> Result<()> {
    let layout = &tables.layout;
    let key: Vec<&str> = shape.known.key.iter().map(|name| layout.column(name)).collect();
    let wanted = shape.columns(layout);
    for (role, table) in tables.roles() {
        let mark = mark(tables, role);
        match claims::decide(tx, tables, role, table)? {
            Claim::Make => {
                create(tx, (role, table), &mark, &key, &wanted)?;
                claims::record(tx, tables, (role, table), "made", &mark)?;
            }
            Claim::Keep => {
                let there = columns(tx, table)?.unwrap_or_default();
                for column in &wanted {
                    add(tx, table, &there, column)?;
                }
                claims::rename(tx, tables, (role, table))?;
            }
            Claim::Adopt => {
                let there = columns(tx, table)?.unwrap_or_default();
                match role {
                    Role::Current => take_over(tx, tables, shape, (&key, &wanted, &there))?,
                    Role::History => take_over_history(tx, tables, &wanted, &there)?,
                }
                claims::record(tx, tables, (role, table), "adopted", &mark)?;
            }
        }
    }
    Ok(())
}

fn create(
    tx: &Transaction<'_>,
    (role, table): (Role, &str),
    mark: &str,
    key: &[&str],
    wanted: &[Column],
) -> Result<()> {
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
    let is_key = |column: &&Column| key.contains(&column.name.as_str());
    let is_plain = wanted.iter().filter(is_key).all(|column| is_exact(&column.kind));
    let keyed = listed(key.iter().copied());
    let place = format!("{EPOCH} INTEGER CONSTRAINT {mark} NOT NULL, {NUMBER} INTEGER NOT NULL");
    let table = quoted(table);
    let made = match role {
        Role::Current if !is_plain => format!(
            "CREATE TABLE {table} ({}, {place}, {KEY} BLOB, PRIMARY KEY ({keyed})); \
             CREATE UNIQUE INDEX {mark}_form ON {table} ({KEY})",
            typed(key)
        ),
        Role::Current => format!(
            "CREATE TABLE {table} ({}, {place}, PRIMARY KEY ({keyed}))",
            typed(key)
        ),
        // The index has the mark's name: it takes nobody's name, and goes with the table.
        Role::History => format!(
            "CREATE TABLE {table} ({}, {place}, {ORDINAL} INTEGER NOT NULL, {DELETED} BOOLEAN NOT NULL, \
             {STORED_AT} TIMESTAMPTZ_TEXT NOT NULL, {SUPERSEDED} BOOLEAN NOT NULL DEFAULT 0, \
             PRIMARY KEY ({EPOCH}, {NUMBER}, {ORDINAL})); \
             CREATE INDEX {mark}_by_key ON {table} ({keyed}, {EPOCH}, {NUMBER})",
            typed(&[])
        ),
    };
    run(tx, &made)
}

/// Goes on with a history that is there and that the configuration names.
fn take_over_history(
    tx: &Transaction<'_>,
    tables: &LaneTables,
    wanted: &[Column],
    there: &[There],
) -> Result<()> {
    let table = &tables.layout.history;
    if find(there, ORDINAL).is_none() {
        return Err(Error::of_lane(
            &tables.lane,
            format!(
                "there is a table {} that is no history of Slacktide's",
                quoted(table)
            ),
            format!(
                "name another one: history = \"…\" under [store.feed.{}]",
                tables.key
            ),
        ));
    }
    for column in wanted {
        add(tx, table, there, column)?;
    }
    Ok(())
}

/// Goes on with a table that is there and that the configuration names. It must have the columns and the key; one
/// that held rows of Slacktide's before gets the columns that it lacks.
fn take_over(
    tx: &Transaction<'_>,
    tables: &LaneTables,
    shape: &Shape,
    (key, wanted, there): (&[&str], &[Column], &[There]),
) -> Result<()> {
    let layout = &tables.layout;
    if find(there, EPOCH).is_some() {
        for column in wanted {
            add(tx, &layout.table, there, column)?;
        }
    } else {
        has_all(tables, wanted, there)?;
    }
    has_key(tx, tables, key, there)?;
    if let Some(name) = key
        .iter()
        .find(|name| find(there, name).is_some_and(|known| known.is_generated))
    {
        return Err(Error::of_lane(
            &tables.lane,
            format!(
                "{} computes {name:?} by itself, which is of the feed's key",
                quoted(&layout.table)
            ),
            format!(
                "give the key a column of its own: columns = {{ … }} under [store.feed.{}]",
                tables.key
            ),
        ));
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
    form::give(tx, tables, shape)
}

/// Every column has its place in a table that its owner made. Types and constraints are the owner's.
fn has_all(tables: &LaneTables, wanted: &[Column], there: &[There]) -> Result<()> {
    let table = quoted(&tables.layout.table);
    let names = wanted.iter().map(|column| column.name.as_str());
    let missing: Vec<&str> = names.filter(|name| find(there, name).is_none()).collect();
    if !missing.is_empty() {
        return Err(Error::of_lane(
            &tables.lane,
            format!("the table {table} was there before and lacks {}", listed(missing)),
            "add the columns, say under columns in [store.feed] what they are called there, or name another table",
        ));
    }
    Ok(())
}

/// Rows can be found in a table that its owner made by the feed's key.
fn has_key(tx: &Transaction<'_>, tables: &LaneTables, key: &[&str], there: &[There]) -> Result<()> {
    let (layout, table) = (&tables.layout, quoted(&tables.layout.table));
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
        &tables.lane,
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
