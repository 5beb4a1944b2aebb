//! PURE: the server's errors by kind. Its messages about data repeat the data, and are never
//! passed on: codes and the names of columns and constraints say enough.

use servers::cause;
use tokio_postgres::error::{DbError, SqlState};

use crate::error::{Error, ErrorKind};

/// Lost too many races.
pub(super) fn contended() -> Error {
    Error::new(
        ErrorKind::Contended,
        "other pollers stored the same chunks again and again",
        "it is tried again",
    )
}

/// Puts an error into its class.
pub(super) fn of(error: &tokio_postgres::Error) -> Error {
    match error.as_db_error() {
        Some(answer) => of_answer(answer),
        None => Error::new(
            ErrorKind::Unreachable,
            format!("the store cannot be reached: {}", cause(error)),
            "check host, port and network; it is tried again",
        ),
    }
}

fn of_answer(answer: &DbError) -> Error {
    let code = answer.code().code();
    let said = answer.message();
    let told = |kind, remedy: &str| {
        Error::new(
            kind,
            format!("the store answered: {said} (SQLSTATE {code})"),
            remedy,
        )
    };
    match answer.code() {
        &SqlState::T_R_DEADLOCK_DETECTED
        | &SqlState::T_R_SERIALIZATION_FAILURE
        | &SqlState::LOCK_NOT_AVAILABLE => told(ErrorKind::Contended, "it is tried again"),
        &SqlState::DISK_FULL | &SqlState::READ_ONLY_SQL_TRANSACTION => told(
            ErrorKind::Full,
            "make room, or connect to the primary; nothing is lost meanwhile",
        ),
        &SqlState::INSUFFICIENT_PRIVILEGE => told(
            ErrorKind::Denied,
            "grant the account CREATE on the database and on the target schema, or make the tables for it",
        ),
        &SqlState::INVALID_CATALOG_NAME => told(ErrorKind::Denied, "correct the database in the store's url"),
        _ => match code.get(..2).unwrap_or_default() {
            "28" => told(
                ErrorKind::Denied,
                "check user and password in the store's url, and pg_hba.conf",
            ),
            "08" | "53" | "57" => told(ErrorKind::Unreachable, "it is tried again"),
            "42" | "3F" | "0A" => told(
                ErrorKind::Refused,
                "make the target table fit: a primary key over the feed's key, and its columns",
            ),
            _ if is_data(answer.code()) => Error::new(
                ErrorKind::Database,
                format!("the store refused a value: {}", reason(answer, &[])),
                "see the constraint",
            ),
            _ => told(ErrorKind::Database, "it is tried again; see the database's log"),
        },
    }
}

/// Why the server refused a row, when it was the row's own fault. `columns` are names that may
/// be told.
pub(super) fn of_row(error: &tokio_postgres::Error, columns: &[&str]) -> Option<String> {
    let answer = error.as_db_error()?;
    is_data(answer.code()).then(|| reason(answer, columns))
}

/// Whether it was a duplicate key.
pub(super) fn is_duplicate(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::UNIQUE_VIOLATION)
}

/// Data, constraints, limits of a value, and what a trigger of the receiver raises.
fn is_data(code: &SqlState) -> bool {
    let class = code.code().get(..2).unwrap_or_default();
    matches!(class, "21" | "22" | "23" | "44" | "54" | "P0")
}

fn reason(answer: &DbError, columns: &[&str]) -> String {
    let what = match answer.code().code() {
        "23502" => "a null where none is allowed",
        "23503" => "a foreign key finds no row",
        "23505" => "a unique constraint is broken",
        "23514" => "a check is broken",
        "23P01" => "an exclusion constraint is broken",
        "22001" => "a text is too long",
        "22003" => "a number is out of range",
        "22021" | "22P05" => "a character that the database cannot hold",
        "22P02" | "22007" | "22008" => "a text does not read as the column's type",
        "54000" => "a value is too large for its index",
        _ => "the database refused a value",
    };
    let column = answer.column().or_else(|| {
        // COPY names the column in front of the value: `COPY t, line 1, column c: "value"`.
        let place = answer.where_()?.split_once(", column ")?.1;
        columns
            .iter()
            .copied()
            .filter(|name| place.starts_with(name))
            .max_by_key(|name| name.len())
    });
    let mut text = format!("{what} (SQLSTATE {})", answer.code().code());
    if let Some(column) = column {
        text.push_str(&format!(", column {column:?}"));
    }
    if let Some(constraint) = answer.constraint() {
        text.push_str(&format!(", constraint {constraint:?}"));
    }
    text
}
