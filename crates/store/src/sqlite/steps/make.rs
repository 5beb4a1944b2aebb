//! Creates tables, or uses existing ones.

use rusqlite::Connection;
use schemas::column::Column;
use schemas::key::is_exact;

use super::super::native::declared;
use super::super::{failure, ownership};
use super::canonical_key;
use super::existing::{ExistingColumn, add, columns, find, run};
use crate::error::{Error, Result};
use crate::layout::{LaneTables, Role};
use crate::ownership::{Claim, mark};
use crate::sql_name::{listed, quoted};
use crate::table::shape::Shape;
use crate::table::{DELETED, EPOCH, KEY, NUMBER, ORDINAL, STORED_AT, SUPERSEDED};

/// Provides a lane's tables with all columns: created and marked ones, its own ones, or ones that the configuration
/// names.
pub(super) fn make(tx: &Connection, tables: &LaneTables, shape: &Shape) -> Result<()> {
    let layout = &tables.layout;
    let key: Vec<&str> = shape.known.key.iter().map(|name| layout.column(name)).collect();
    let wanted = shape.columns(layout);
    for (role, table) in tables.roles() {
        let mark = mark(tables, role);
        match ownership::decide(tx, tables, role, table)? {
            Claim::Make => {
                create(tx, (role, table), &mark, &key, &wanted)?;
                ownership::record(tx, tables, (role, table), "created", &mark)?;
            }
            Claim::Use => {
                let existing = columns(tx, table)?.unwrap_or_default();
                for column in &wanted {
                    add(tx, table, &existing, column)?;
                }
                ownership::rename(tx, tables, (role, table))?;
            }
            Claim::Adopt => {
                let existing = columns(tx, table)?.unwrap_or_default();
                match role {
                    Role::Current => take_over(tx, tables, shape, (&key, &wanted, &existing))?,
                    Role::History => take_over_history(tx, tables, &wanted, &existing)?,
                }
                ownership::record(tx, tables, (role, table), "adopted", &mark)?;
            }
        }
    }
    Ok(())
}

fn create(
    tx: &Connection,
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
    let chunk_number = format!("{EPOCH} INTEGER CONSTRAINT {mark} NOT NULL, {NUMBER} INTEGER NOT NULL");
    let table = quoted(table);
    let made = match role {
        Role::Current if !is_plain => format!(
            "CREATE TABLE {table} ({}, {chunk_number}, {KEY} BLOB, PRIMARY KEY ({keyed})); \
             CREATE UNIQUE INDEX {mark}_form ON {table} ({KEY})",
            typed(key)
        ),
        Role::Current => format!(
            "CREATE TABLE {table} ({}, {chunk_number}, PRIMARY KEY ({keyed}))",
            typed(key)
        ),
        // The index has the mark's name, which no other object has, and is dropped with the table.
        Role::History => format!(
            "CREATE TABLE {table} ({}, {chunk_number}, {ORDINAL} INTEGER NOT NULL, {DELETED} BOOLEAN NOT NULL, \
             {STORED_AT} TIMESTAMPTZ_TEXT NOT NULL, {SUPERSEDED} BOOLEAN NOT NULL DEFAULT 0, \
             PRIMARY KEY ({EPOCH}, {NUMBER}, {ORDINAL})); \
             CREATE INDEX {mark}_by_key ON {table} ({keyed}, {EPOCH}, {NUMBER})",
            typed(&[])
        ),
    };
    run(tx, &made)
}

/// Adopts an existing history that the configuration names.
fn take_over_history(
    tx: &Connection,
    tables: &LaneTables,
    wanted: &[Column],
    existing: &[ExistingColumn],
) -> Result<()> {
    let table = &tables.layout.history;
    if find(existing, ORDINAL).is_none() {
        return Err(Error::of_lane(
            &tables.lane,
            format!(
                "there is a table {} that is not a history of Slacktide",
                quoted(table)
            ),
            format!(
                "name another one: history = \"…\" under [store.feed.{}]",
                tables.key
            ),
        ));
    }
    for column in wanted {
        add(tx, table, existing, column)?;
    }
    Ok(())
}

/// Adopts an existing table that the configuration names. It must have the columns and the key; one with rows of
/// Slacktide gets its missing columns.
fn take_over(
    tx: &Connection,
    tables: &LaneTables,
    shape: &Shape,
    (key, wanted, existing): (&[&str], &[Column], &[ExistingColumn]),
) -> Result<()> {
    let layout = &tables.layout;
    if find(existing, EPOCH).is_some() {
        for column in wanted {
            add(tx, &layout.table, existing, column)?;
        }
    } else {
        has_all(tables, wanted, existing)?;
    }
    has_key(tx, tables, key, existing)?;
    if let Some(name) = key
        .iter()
        .find(|name| find(existing, name).is_some_and(|known| known.is_generated))
    {
        return Err(Error::of_lane(
            &tables.lane,
            format!(
                "{} computes {name:?}, which is part of the feed's key",
                quoted(&layout.table)
            ),
            format!(
                "give the key a column of its own: columns = {{ … }} under [store.feed.{}]",
                tables.key
            ),
        ));
    }
    for name in [EPOCH, NUMBER] {
        if find(existing, name).is_none() {
            let table = quoted(&layout.table);
            run(
                tx,
                &format!("ALTER TABLE {table} ADD COLUMN {name} INTEGER NOT NULL DEFAULT 0"),
            )?;
        }
    }
    canonical_key::give(tx, tables, shape)
}

/// Checks that an adopted table has every column. Types and constraints are the owner's.
fn has_all(tables: &LaneTables, wanted: &[Column], existing: &[ExistingColumn]) -> Result<()> {
    let table = quoted(&tables.layout.table);
    let names = wanted.iter().map(|column| column.name.as_str());
    let missing: Vec<&str> = names.filter(|name| find(existing, name).is_none()).collect();
    if !missing.is_empty() {
        return Err(Error::of_lane(
            &tables.lane,
            format!("the table {table} was there before and lacks {}", listed(missing)),
            "add the columns, map their names under columns in [store.feed], or name another table",
        ));
    }
    Ok(())
}

/// Checks that rows of an adopted table can be found by the feed's key.
fn has_key(tx: &Connection, tables: &LaneTables, key: &[&str], existing: &[ExistingColumn]) -> Result<()> {
    let (layout, table) = (&tables.layout, quoted(&tables.layout.table));
    let same = |mut found: Vec<String>| {
        let mut wanted: Vec<String> = key.iter().map(|name| name.to_ascii_lowercase()).collect();
        found.iter_mut().for_each(|name| name.make_ascii_lowercase());
        found.sort();
        wanted.sort();
        found == wanted
    };
    let primary = existing
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

fn unique_keys(tx: &Connection, table: &str) -> Result<Vec<Vec<String>>> {
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
