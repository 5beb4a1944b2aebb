//! PURE: the library's errors by kind, each with a remedy. A message is passed on only if it consists of names: errors of functions
//! contain computed values, including values of rows.

use rusqlite::ErrorCode;

use crate::error::{Error, ErrorKind};

pub(super) fn classify(error: &rusqlite::Error) -> Error {
    match error {
        // Only preparing a statement causes this error, not running it.
        rusqlite::Error::SqlInputError { msg, sql, offset, .. } => Error::new(
            ErrorKind::Refused,
            format!("{msg}{}", place(sql, *offset)),
            "correct the feed's sql",
        ),
        rusqlite::Error::SqliteFailure(failure, message) => {
            classify_code(failure.code, message.as_deref().unwrap_or(""))
        }
        // These contain numbers and texts of rows.
        _ => Error::new(
            ErrorKind::Database,
            "SQLite: a value does not have the type that is expected",
            "it is retried",
        ),
    }
}

fn classify_code(code: ErrorCode, message: &str) -> Error {
    match code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Error::new(
            ErrorKind::TimedOut,
            "the database is locked by another connection",
            "it is retried",
        ),
        ErrorCode::OperationInterrupted => Error::new(
            ErrorKind::TimedOut,
            "the statement ran into its timeout",
            "it is retried; to fix it, create an index over the cursor columns or raise statement_timeout",
        ),
        ErrorCode::NotADatabase => Error::new(
            ErrorKind::Refused,
            "the source's path is not a SQLite database",
            "correct the path in the source's configuration",
        ),
        ErrorCode::CannotOpen => Error::new(
            ErrorKind::Unreachable,
            "the database cannot be opened",
            "check that the account may read the file and, in WAL mode, write its folder",
        ),
        ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied | ErrorCode::ReadOnly => {
            Error::new(
                ErrorKind::Denied,
                format!("the database refused: {code:?}"),
                "check the permissions of the file and, in WAL mode, of its folder",
            )
        }
        ErrorCode::Unknown => Error::new(
            ErrorKind::Refused,
            named(message).unwrap_or("the statement failed (SQLite 1)"),
            "correct the feed's sql",
        ),
        _ => Error::new(
            ErrorKind::Database,
            format!("SQLite answered {code:?}"),
            "it is retried; check the file with `PRAGMA integrity_check`",
        ),
    }
}

/// Messages that contain only a name.
const NAMING: &[&str] = &[
    "no such table: ",
    "no such column: ",
    "no such function: ",
    "ambiguous column name: ",
];

/// Returns the message if it only contains a name.
fn named(message: &str) -> Option<&str> {
    let name = NAMING.iter().find_map(|prefix| message.strip_prefix(prefix))?;
    let is_name = |sign: char| sign.is_alphanumeric() || "_.$".contains(sign);
    name.chars().all(is_name).then_some(message)
}

fn place(sql: &str, offset: i32) -> String {
    let Some(before) = usize::try_from(offset).ok().and_then(|offset| sql.get(..offset)) else {
        return String::new();
    };
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    format!(" (sql line {line}, column {column})")
}

/// Returns the error of a row that exceeds the size of a message.
pub(super) fn row_too_long() -> Error {
    Error::new(
        ErrorKind::Database,
        "a row is too long to be sent",
        "exclude its long columns from the feed's sql",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    #[test]
    fn failure_message_has_names_and_no_value() -> rusqlite::Result<()> {
        let core = Connection::open_in_memory()?;
        core.execute_batch("CREATE TABLE t (name TEXT); INSERT INTO t VALUES ('HUSH')")?;
        let failed = |sql: &str| {
            let read = core.query_row(sql, [], |row| row.get::<_, i64>(0));
            classify(&read.expect_err(sql)).to_string()
        };
        for sql in [
            "SELECT json_extract('{}', name) FROM t",
            "SELECT json(name) FROM t",
            "SELECT name FROM t",
            "SELECT abs(-9223372036854775808), name FROM t",
        ] {
            assert!(!failed(sql).contains("HUSH"), "{}", failed(sql));
        }
        assert!(failed("SELECT * FROM nowhere").contains("no such table: nowhere"));
        let missing = failed("SELECT absent FROM t");
        assert!(
            missing.contains("no such column: absent (sql line 1, column 8)"),
            "{missing}"
        );
        Ok(())
    }
}
