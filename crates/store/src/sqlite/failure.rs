//! PURE: SQLite's errors by kind. Its messages name tables and columns, and no values.

use std::path::Path;

use rusqlite::ErrorCode;

use crate::error::{Error, ErrorKind};

/// Of opening the file.
pub(super) fn at(path: &Path, error: &rusqlite::Error) -> Error {
    let mut error = of(error);
    error.what = format!("the store {}: {}", path.display(), error.what);
    error
}

/// Puts an error into its class.
pub(super) fn of(error: &rusqlite::Error) -> Error {
    let said = error.to_string();
    let (kind, remedy) = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (
            ErrorKind::Contended,
            "it is tried again; end what holds the file's lock",
        ),
        Some(ErrorCode::DiskFull) => (
            ErrorKind::Full,
            "make room on the store's disk; nothing is lost meanwhile",
        ),
        Some(ErrorCode::ReadOnly) => (
            ErrorKind::Full,
            "let the agent's user write the file and its folder",
        ),
        Some(ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied) => (
            ErrorKind::Denied,
            "let the agent's user write the file and its folder",
        ),
        Some(ErrorCode::CannotOpen) => (ErrorKind::Unreachable, "check the path and its folder's rights"),
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => (
            ErrorKind::Denied,
            "give the path of a SQLite file, or restore it from a backup",
        ),
        _ if said.contains("ON CONFLICT clause does not match") => (
            ErrorKind::Refused,
            "give the target table a primary key over the feed's key columns",
        ),
        _ => (ErrorKind::Database, "it is tried again; see the message"),
    };
    Error::new(kind, format!("SQLite answered: {said}"), remedy)
}

/// Why a row was refused, when it was the row's own fault: a constraint, a type, a length.
pub(super) fn of_row(error: &rusqlite::Error) -> Option<String> {
    match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig) => {
            Some(error.to_string())
        }
        _ => None,
    }
}
