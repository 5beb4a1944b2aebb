//! PURE: SQLite's errors by kind. Messages are passed on only if they consist of names: a trigger's `RAISE` and
//! errors of functions may contain computed values, including values of rows.

use std::path::Path;

use rusqlite::ErrorCode;
use rusqlite::ffi;

use crate::error::{Error, ErrorKind};

/// Returns the error of opening the file.
pub(super) fn at(path: &Path, error: &rusqlite::Error) -> Error {
    let mut error = of(error);
    error.what = format!("the store {}: {}", path.display(), error.what);
    error
}

/// Classifies an error.
pub(super) fn of(error: &rusqlite::Error) -> Error {
    let (kind, remedy) = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (
            ErrorKind::Contended,
            "it is retried; end what holds the file's lock",
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
        _ if message(error).contains("ON CONFLICT clause does not match") => (
            ErrorKind::Refused,
            "give the target table a primary key over the feed's key columns",
        ),
        _ => (ErrorKind::Database, "it is retried; see the message"),
    };
    Error::new(kind, format!("SQLite answered: {}", describe(error)), remedy)
}

/// Why a row is not stored.
#[derive(Debug, Clone)]
pub(super) struct RowRefusal {
    /// The reason, without a value.
    pub(super) reason: String,
    /// Whether another row may make room for it: a unique value moves, or a referenced row arrives.
    pub(super) is_retryable: bool,
}

impl RowRefusal {
    /// Creates a permanent refusal.
    pub(super) fn of(reason: &str) -> Self {
        Self {
            reason: reason.to_owned(),
            is_retryable: false,
        }
    }
}

/// Returns why a row was refused, if the row caused it: a constraint, a type, a length, or an error of a function
/// that a trigger, a check or a computed column uses.
pub(super) fn of_row(error: &rusqlite::Error) -> Option<RowRefusal> {
    let is_of_row = match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig) => true,
        // Errors of the statement itself are found when it is prepared.
        Some(ErrorCode::Unknown) => {
            !matches!(error, rusqlite::Error::SqlInputError { .. }) && !is_of_objects(error)
        }
        _ => false,
    };
    is_of_row.then(|| RowRefusal {
        reason: describe(error),
        is_retryable: error.sqlite_error().is_some_and(|failure| {
            matches!(
                failure.extended_code,
                ffi::SQLITE_CONSTRAINT_UNIQUE
                    | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
                    | ffi::SQLITE_CONSTRAINT_ROWID
                    | ffi::SQLITE_CONSTRAINT_FOREIGNKEY
            )
        }),
    })
}

/// Returns whether an object is missing or the schema does not fit a statement; a row never causes such an error.
fn is_of_objects(error: &rusqlite::Error) -> bool {
    let message = message(error);
    ["no such ", "ON CONFLICT clause does not match"]
        .iter()
        .any(|words| message.contains(words))
}

/// Returns the library's text. For decisions only.
fn message(error: &rusqlite::Error) -> &str {
    match error {
        rusqlite::Error::SqliteFailure(_, Some(message)) => message,
        rusqlite::Error::SqlInputError { msg, .. } => msg,
        _ => "",
    }
}

/// Describes an error without values.
fn describe(error: &rusqlite::Error) -> String {
    let Some(failure) = error.sqlite_error() else {
        return "a value does not have the type that is expected".to_owned();
    };
    // Only preparing a statement causes this error, not running it.
    if let rusqlite::Error::SqlInputError { msg, .. } = error {
        return msg.clone();
    }
    let (what, named) = match failure.extended_code {
        ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_ROWID => {
            ("a unique constraint is violated", true)
        }
        ffi::SQLITE_CONSTRAINT_NOTNULL => ("a null where none is allowed", true),
        ffi::SQLITE_CONSTRAINT_CHECK => ("a check constraint is violated", true),
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => ("a foreign key finds no row", false),
        ffi::SQLITE_CONSTRAINT_TRIGGER => ("a trigger raised an error", false),
        ffi::SQLITE_CONSTRAINT_DATATYPE | ffi::SQLITE_MISMATCH => {
            ("a value does not have its column's type", false)
        }
        ffi::SQLITE_TOOBIG => ("a value is too large", false),
        ffi::SQLITE_ERROR => {
            let message = message(error);
            let is_named = names(message).is_some();
            return if is_named {
                message
            } else {
                "the statement failed (SQLite 1)"
            }
            .to_owned();
        }
        _ => ("", false),
    };
    let code = failure.extended_code;
    let text = match what {
        "" => format!("{:?} (SQLite {code})", failure.code),
        what => format!("{what} (SQLite {code})"),
    };
    match named.then(|| names(message(error))).flatten() {
        Some(names) => format!("{text}: {names}"),
        None => text,
    }
}

/// Messages of the library that contain only names of objects.
const NAMING: &[&str] = &[
    "UNIQUE constraint failed: ",
    "NOT NULL constraint failed: ",
    "CHECK constraint failed: ",
    "no such table: ",
    "no such column: ",
    "no such index: ",
    "no such view: ",
];

/// Returns the names in a message. A check without a name shows its expression, which may contain values.
fn names(message: &str) -> Option<&str> {
    let names = NAMING.iter().find_map(|prefix| message.strip_prefix(prefix))?;
    let is_name = |sign: char| sign.is_alphanumeric() || "_.$, ".contains(sign);
    let single = |name: &str| !name.is_empty() && !name.contains(' ');
    (names.chars().all(is_name) && names.split(", ").all(single)).then_some(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    /// The database's text contains a value of the row wherever it can.
    #[test]
    fn failure_message_has_names_and_no_value() -> rusqlite::Result<()> {
        let database = Connection::open_in_memory()?;
        database.execute_batch(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT CONSTRAINT short CHECK (length(name) < 30), \
             other TEXT UNIQUE CHECK (other <> 'HUSH'), j TEXT NOT NULL);
             CREATE TRIGGER loud BEFORE INSERT ON t WHEN new.id > 90 BEGIN SELECT RAISE(ABORT, new.name); END;
             CREATE TRIGGER deep BEFORE INSERT ON t WHEN new.id = 80 BEGIN SELECT json_extract('{}', new.name); END;
             INSERT INTO t VALUES (1, 'a', 'HUSH-1', '')",
        )?;
        for (row, expected) in [
            (
                "1, 'HUSH', 'b', ''",
                "a unique constraint is violated (SQLite 1555): t.id",
            ),
            (
                "2, 'HUSH', 'HUSH-1', ''",
                "a unique constraint is violated (SQLite 2067): t.other",
            ),
            (
                "3, 'HUSH-HUSH-HUSH-HUSH-HUSH-HUSH-HUSH', 'b', ''",
                "a check constraint is violated (SQLite 275): short",
            ),
            (
                "4, 'a', 'HUSH', ''",
                "a check constraint is violated (SQLite 275)",
            ),
            (
                "5, 'HUSH', 'b', NULL",
                "a null where none is allowed (SQLite 1299): t.j",
            ),
            (
                "'HUSH', 'a', 'b', ''",
                "a value does not have its column's type (SQLite 20)",
            ),
            ("91, 'HUSH', 'b', ''", "a trigger raised an error (SQLite 1811)"),
            ("80, 'HUSH', 'b', ''", "the statement failed (SQLite 1)"),
        ] {
            let error = database.execute(&format!("INSERT INTO t VALUES ({row})"), []);
            let error = error.expect_err(row);
            assert_eq!(describe(&error), expected, "{row}: {error}");
            assert!(!of(&error).to_string().contains("HUSH"));
        }
        let missing = database.execute("INSERT INTO nowhere VALUES (1)", []);
        let missing = of(&missing.expect_err("no table")).what;
        assert!(missing.contains("no such table: nowhere"), "{missing}");
        Ok(())
    }
}
