//! The column of the canonical key: what a table lacks, and how it is added.
//!
//! A table needs the column if its key columns may equate two keys or hold one key in two spellings; then also a
//! unique index, by which the older spelling is found. Tables of earlier versions and adopted tables get both.

use rusqlite::{Connection, OptionalExtension as _, params};
use schemas::column::{Column, ColumnType};
use schemas::key::{has_canonical_form, is_exact};

use super::super::traits::is_indexed;
use super::super::{failure, ownership};
use super::existing::{ExistingColumn, columns, find, run};
use crate::error::{Error, Result};
use crate::layout::{LaneTables, Role};
use crate::ownership::{FoundTable, mark};
use crate::sql_name::quoted;
use crate::table::shape::Shape;
use crate::table::{EPOCH, KEY};

/// Adds what the key of the table of newest versions needs.
///
/// # Errors
/// `Refused` if rows of an earlier version hold one key in several spellings.
pub(super) fn give(tx: &Connection, tables: &LaneTables, shape: &Shape) -> Result<()> {
    let layout = &tables.layout;
    let key = key_of(tables, shape);
    // A table that the store creates for such a key has the needed columns.
    let is_plain = !tables.adopts(Role::Current) && key.iter().all(|column| is_exact(&column.kind));
    if is_plain || !layout.mode.keeps_current() {
        return Ok(());
    }
    let Some(existing) = columns(tx, &layout.table)? else {
        return Ok(());
    };
    let declared = |column: &Column| {
        let declared = find(&existing, &column.name).map(|known| known.kind.to_ascii_uppercase());
        declared.unwrap_or_default()
    };
    let is_exact_here = |column: &Column| is_exact_here(&column.kind, &declared(column));
    if key.iter().all(is_exact_here) && is_binary(tx, &layout.table)? {
        return Ok(());
    }
    let fail = |error: rusqlite::Error| failure::of(&error);
    let table = quoted(&layout.table);
    let is_made = ownership::find_table(tx, tables, Role::Current, &layout.table)? == FoundTable::Created;
    let is_there = find(&existing, KEY).is_some();
    let respelt = || key.iter().filter(|column| has_canonical_form(&column.kind));
    if !is_there
        && respelt().any(|column| !is_by_value(&column.kind, &declared(column)))
        && holds_rows(tx, &table, &existing)?
    {
        return Err(Error::of_lane(
            &tables.lane,
            format!(
                "{table} was filled by an earlier version, which kept each spelling of a key as a row of its own, and which rows \
                 have one key is unknown"
            ),
            format!(
                "drop the table, then create and fill it again: slacktide feed refill {} --from start",
                tables.lane.feed
            ),
        ));
    }
    if !is_there {
        run(tx, &format!("ALTER TABLE {table} ADD COLUMN {KEY} BLOB"))?;
    }
    let wants_index = is_made || respelt().next().is_some();
    if !wants_index || is_indexed(tx, &layout.table).map_err(fail)? {
        return Ok(());
    }
    let mark = mark(tables, Role::Current);
    run(tx, &format!("CREATE UNIQUE INDEX {mark}_form ON {table} ({KEY})"))
}

/// Returns the key columns with the store's names.
fn key_of(tables: &LaneTables, shape: &Shape) -> Vec<Column> {
    let of = |name: &String| {
        let known = shape.known.columns.iter().find(|column| column.name == *name)?;
        Some(Column {
            name: tables.layout.column(name).to_owned(),
            ..known.clone()
        })
    };
    shape.known.key.iter().filter_map(of).collect()
}

/// Returns whether a column with this declared type keeps texts unchanged.
fn keeps_texts(declared: &str) -> bool {
    ["CHAR", "CLOB", "TEXT"]
        .iter()
        .any(|word| declared.contains(word))
        && !declared.contains("INT")
}

/// PURE: returns whether different values of a column are different keys, and each key has one value.
fn is_exact_here(kind: &ColumnType, declared: &str) -> bool {
    match kind {
        ColumnType::Bool => declared.contains("BOOL") || declared.contains("INT"),
        ColumnType::Int2 | ColumnType::Int4 | ColumnType::Int8 => declared.contains("INT"),
        ColumnType::Text { .. } => keeps_texts(declared),
        _ => false,
    }
}

/// PURE: returns whether a column equates all spellings of a key, because it compares numbers.
fn is_by_value(kind: &ColumnType, declared: &str) -> bool {
    match kind {
        ColumnType::Float4 | ColumnType::Float8 | ColumnType::Any => !keeps_texts(declared),
        _ => false,
    }
}

/// Returns whether all unique indexes of a table compare byte by byte.
fn is_binary(tx: &Connection, table: &str) -> Result<bool> {
    tx.query_row(
        "SELECT NOT EXISTS (SELECT 1 FROM pragma_index_list(?1) l JOIN pragma_index_xinfo(l.name) i \
         WHERE l.\"unique\" AND i.key AND i.coll <> 'BINARY')",
        [table],
        |row| row.get(0),
    )
    .map_err(|error| failure::of(&error))
}

/// Returns whether the table holds rows of a chunk.
fn holds_rows(tx: &Connection, table: &str, existing: &[ExistingColumn]) -> Result<bool> {
    if find(existing, EPOCH).is_none() {
        return Ok(false);
    }
    let sql = format!("SELECT 1 FROM {table} WHERE {EPOCH} > ?1 LIMIT 1");
    let found = tx.query_row(&sql, params![0], |_| Ok(())).optional();
    found
        .map(|found| found.is_some())
        .map_err(|error| failure::of(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_key_is_added_if_columns_equate_keys() {
        let decimal = ColumnType::Decimal {
            precision: None,
            scale: None,
        };
        let text = ColumnType::Text { max: None };
        for (kind, declared, exact) in [
            (&ColumnType::Int8, "INTEGER", true),
            (&text, "VARCHAR(20)", true),
            (&text, "", false),
            (&text, "NUMERIC", false),
            (&decimal, "DECIMAL_TEXT", false),
            (&ColumnType::Bytes, "BLOB", false),
        ] {
            assert_eq!(is_exact_here(kind, declared), exact, "{kind:?} {declared}");
        }
        assert!(is_by_value(&ColumnType::Any, "") && is_by_value(&ColumnType::Float8, "REAL"));
        assert!(!is_by_value(&decimal, "DECIMAL_TEXT") && !is_by_value(&ColumnType::Any, "TEXT"));
    }
}
