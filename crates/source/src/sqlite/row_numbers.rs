//! Whether row numbers are reused.
//!
//! SQLite gives a new row the greatest number plus one, so the number of a deleted last row is reused. A table declared
//! AUTOINCREMENT records the last number that it assigned.

use rusqlite::{Connection, OptionalExtension as _};

use super::failure;
use crate::error::{Error, Result, refused};

/// PURE: whether a table's definition contains AUTOINCREMENT, outside of names, texts and comments.
pub(super) fn is_autoincrement(sql: &str) -> bool {
    let mut signs = sql.chars().peekable();
    let mut word = String::new();
    let mut found = false;
    while let Some(sign) = signs.next() {
        if sign.is_alphanumeric() || sign == '_' {
            word.push(sign.to_ascii_lowercase());
            continue;
        }
        found |= std::mem::take(&mut word) == "autoincrement";
        let next = signs.peek().copied();
        match (sign, next) {
            ('\'' | '"' | '`', _) => while signs.next().is_some_and(|other| other != sign) {},
            ('[', _) => while signs.next().is_some_and(|other| other != ']') {},
            ('-', Some('-')) => while signs.next().is_some_and(|other| other != '\n') {},
            ('/', Some('*')) => {
                let mut last = ' ';
                signs.next();
                for other in signs.by_ref() {
                    if (last, other) == ('*', '/') {
                        break;
                    }
                    last = other;
                }
            }
            _ => {}
        }
    }
    found || word == "autoincrement"
}

/// Creates the error of a cursor whose numbers may be reused.
pub(super) fn refuse_reused_numbers(table: &str) -> Error {
    refused(
        format!(
            "the cursor's numbers are reused: {table} is not declared AUTOINCREMENT, so a new row takes the number of \
             a deleted last one"
        ),
        "declare the column INTEGER PRIMARY KEY AUTOINCREMENT; or, where no row is ever deleted, declare \
         cursor_set_by = \"application\" with a lag",
    )
}

/// Returns the last number that an AUTOINCREMENT table assigned, or `None` if it assigned none.
pub(super) fn last_assigned(connection: &Connection, table: &str) -> Result<Option<i64>> {
    let fail = |error: rusqlite::Error| failure::classify(&error);
    let mut asked = connection
        .prepare_cached("SELECT seq FROM sqlite_sequence WHERE lower(name) = lower(?1)")
        .map_err(fail)?;
    asked
        .query_row([table], |row| row.get(0))
        .optional()
        .map_err(fail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn autoincrement_is_read_outside_names_and_comments() {
        for (sql, wanted) in [
            ("CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, x)", true),
            ("create table t(id integer primary key autoincrement)", true),
            ("CREATE TABLE t (id INTEGER PRIMARY KEY)", false),
            (
                "CREATE TABLE t (id INTEGER PRIMARY KEY, \"autoincrement\" TEXT)",
                false,
            ),
            (
                "CREATE TABLE t (id INTEGER PRIMARY KEY, [autoincrement] TEXT, x DEFAULT 'autoincrement')",
                false,
            ),
            (
                "CREATE TABLE t (id INTEGER PRIMARY KEY -- no autoincrement\n, autoincrement_at TEXT)",
                false,
            ),
            (
                "CREATE TABLE t (id INTEGER PRIMARY KEY /* AUTOINCREMENT */)",
                false,
            ),
            (
                "CREATE TABLE t (/**/ id INTEGER PRIMARY KEY /* * */ AUTOINCREMENT)",
                true,
            ),
        ] {
            assert_eq!(is_autoincrement(sql), wanted, "{sql}");
        }
    }
}
