//! Collations of a key's columns: which texts SQLite takes as one key.

use rusqlite::Connection;

use schemas::column::{Column, ColumnType};
use schemas::key::NOCASE;

use super::failure;
use crate::error::{Result, refused};
use crate::select_list::SelectList;

/// Sets a case-insensitive type on text columns of the key if a unique index that proves the key ignores case, so that the receiver
/// does as well. Another collation is refused: only SQLite can apply it.
pub(super) fn apply_collation(
    connection: &Connection,
    table: &str,
    list: &SelectList,
    key: &[String],
    columns: &mut [Column],
) -> Result<()> {
    let read = || {
        connection
            .prepare(
                "SELECT l.name, lower(i.name), upper(i.coll) FROM pragma_index_list(?1) l JOIN pragma_index_xinfo(l.name) i \
                 WHERE l.\"unique\" AND NOT l.partial AND i.key ORDER BY l.name",
            )?
            .query_map([table], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect::<rusqlite::Result<Vec<(String, Option<String>, String)>>>()
    };
    let found = read().map_err(|error| failure::classify(&error))?;
    let origins: Vec<String> = key.iter().filter_map(|name| list.origin(name)).collect();
    // An index with further columns proves nothing about the key: it may contain both spellings.
    let proves = |index: &String| {
        let mut columns = found.iter().filter(|(name, ..)| name == index);
        columns.all(|(_, column, _)| column.as_ref().is_some_and(|column| origins.contains(column)))
    };
    for column in columns.iter_mut().filter(|column| key.contains(&column.name)) {
        let Some(origin) = list.origin(&column.name) else {
            continue;
        };
        let Some((.., collation)) = found.iter().find(|(index, name, collation)| {
            name.as_ref() == Some(&origin) && collation != "BINARY" && proves(index)
        }) else {
            continue;
        };
        match (&column.kind, collation.as_str()) {
            (ColumnType::Text { .. }, "NOCASE") => {
                column.kind = ColumnType::Other {
                    native: NOCASE.to_owned(),
                };
            }
            (ColumnType::Text { .. } | ColumnType::Any, _) => {
                return Err(refused(
                    format!(
                        "key column {} has the collation {collation}, under which several texts are one key",
                        column.name
                    ),
                    "give the feed a key of other columns, such as a number",
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collation_of_a_key_becomes_its_type() {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch(
                "CREATE TABLE t (Id TEXT PRIMARY KEY COLLATE NOCASE, name TEXT COLLATE NOCASE, r TEXT UNIQUE COLLATE RTRIM)",
            )
            .unwrap();
        let columns = || {
            ["Id", "name", "r"].map(|name| Column {
                name: name.to_owned(),
                kind: ColumnType::Text { max: None },
                nullable: true,
            })
        };
        let list = SelectList::parse("SELECT * FROM t");
        let mut folded = columns();
        apply_collation(&connection, "t", &list, &["Id".to_owned()], &mut folded).unwrap();
        let native = NOCASE.to_owned();
        assert_eq!(folded[0].kind, ColumnType::Other { native });
        assert_eq!(folded[1..], columns()[1..]);
        let error = apply_collation(&connection, "t", &list, &["r".to_owned()], &mut columns()).unwrap_err();
        assert!(error.to_string().contains("RTRIM"), "{error}");
        // The output column of this name is another column.
        let renamed = SelectList::parse("SELECT name AS Id, Id AS name, r FROM t");
        let mut swapped = columns();
        apply_collation(&connection, "t", &renamed, &["Id".to_owned()], &mut swapped).unwrap();
        assert_eq!(swapped, columns());
    }

    /// Regression: `A` and `a` are two keys of the table; an index with a further column contains both.
    #[test]
    fn collation_of_a_wider_index_proves_nothing() {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch(
                "CREATE TABLE t (id TEXT NOT NULL PRIMARY KEY, line INTEGER); CREATE UNIQUE INDEX u ON t (id COLLATE NOCASE, line)",
            )
            .unwrap();
        let column = Column {
            name: "id".to_owned(),
            kind: ColumnType::Text { max: None },
            nullable: true,
        };
        let list = SelectList::parse("SELECT * FROM t");
        let mut columns = [column.clone()];
        apply_collation(&connection, "t", &list, &["id".to_owned()], &mut columns).unwrap();
        assert_eq!(columns[0], column);
    }
}
