//! PURE: the library's errors by kind, each with what to do.

use rusqlite::ErrorCode;

use crate::error::{Error, ErrorKind};

/// Puts an error into its class. Messages that could repeat a value are left out.
pub(super) fn of(error: &rusqlite::Error) -> Error {
    match error {
        rusqlite::Error::SqlInputError { msg, sql, offset, .. } => Error::new(
            ErrorKind::Refused,
            format!("{msg}{}", place(sql, *offset)),
            "correct the feed's sql",
        ),
        rusqlite::Error::SqliteFailure(failure, said) => of_code(failure.code, said.as_deref().unwrap_or("")),
        other => Error::new(
            ErrorKind::Database,
            format!("SQLite: {other}"),
            "it is tried again",
        ),
    }
}

fn of_code(code: ErrorCode, said: &str) -> Error {
    match code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Error::new(
            ErrorKind::TimedOut,
            "the database is locked by another connection",
            "it is tried again",
        ),
        ErrorCode::OperationInterrupted => Error::new(
            ErrorKind::TimedOut,
            "the statement ran into its timeout",
            "it is tried again; for good, make an index over the cursor columns or raise statement_timeout",
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
        ErrorCode::Unknown => Error::new(ErrorKind::Refused, said, "correct the feed's sql"),
        _ => Error::new(
            ErrorKind::Database,
            format!("SQLite answered {code:?}"),
            "it is tried again; check the file with `PRAGMA integrity_check`",
        ),
    }
}

fn place(sql: &str, offset: i32) -> String {
    let Some(before) = usize::try_from(offset).ok().and_then(|offset| sql.get(..offset)) else {
        return String::new();
    };
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    format!(" (sql line {line}, column {column})")
}
