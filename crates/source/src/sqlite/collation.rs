//! Collations of a key's columns: which texts SQLite takes for one key.

use rusqlite::Connection;

use schemas::column::{Column, ColumnType};
use schemas::key::NOCASE;

use super::failure;
use crate::error::{Result, refused};

/// Gives text columns of the key a type of their own where a unique index of the table does not tell the cases of letters
/// apart, so that the receiver does not either. Another collation is refused: nobody else can tell what it compares.
pub(super) fn fold(
    connection: &Connection,
    table: &str,
    key: &[String],
    columns: &mut [Column],
) -> Result<()> {
    let read = || {
        connection
            .prepare(
                "SELECT lower(i.name), upper(i.coll) FROM pragma_index_list(?1) l JOIN pragma_index_xinfo(l.name) i \
                 WHERE l.\"unique\" AND i.key AND i.name IS NOT NULL AND i.coll <> 'BINARY' COLLATE NOCASE",
            )?
            .query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<Vec<(String, String)>>>()
    };
    let found = read().map_err(|error| failure::of(&error))?;
    for column in columns.iter_mut().filter(|column| key.contains(&column.name)) {
        let name = column.name.to_lowercase();
        let Some((_, collation)) = found.iter().find(|(known, _)| *known == name) else {
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
        let mut folded = columns();
        fold(&connection, "t", &["Id".to_owned()], &mut folded).unwrap();
        let native = NOCASE.to_owned();
        assert_eq!(folded[0].kind, ColumnType::Other { native });
        assert_eq!(folded[1..], columns()[1..]);
        let error = fold(&connection, "t", &["r".to_owned()], &mut columns()).unwrap_err();
        assert!(error.to_string().contains("RTRIM"), "{error}");
    }
}
