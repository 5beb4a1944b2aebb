//! Numbers of rows: whether one is ever used again.
//!
//! SQLite gives a new row the greatest number and one, so the number of a deleted last row is given again, unless the
//! table is declared AUTOINCREMENT. Then it keeps the last number that it gave out.

use rusqlite::{Connection, OptionalExtension as _};

use super::failure;
use crate::error::{Error, Result, refused};

/// PURE: whether a table's definition says AUTOINCREMENT, outside of names, texts and comments.
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

/// A cursor of numbers that may be used again.
pub(super) fn used_again(table: &str) -> Error {
    refused(
        format!(
            "the cursor's numbers are used again: {table} is not declared AUTOINCREMENT, so a new row takes the number of \
             a deleted last one"
        ),
        "declare the column INTEGER PRIMARY KEY AUTOINCREMENT; or, where no row is ever deleted, declare \
         cursor_set_by = \"application\" with a lag",
    )
}

/// The last number that an AUTOINCREMENT table gave out; none: it gave none out.
pub(super) fn given_out(connection: &Connection, table: &str) -> Result<Option<i64>> {
    let fail = |error: rusqlite::Error| failure::of(&error);
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
    fn autoincrement_is_read_where_it_is_a_word_of_the_definition() {
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
