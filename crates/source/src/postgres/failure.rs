//! PURE: the server's errors by kind, each with what to do.

use servers::cause;
use tokio_postgres::error::{DbError, ErrorPosition, SqlState};

use crate::error::{Error, ErrorKind};

/// Puts an error of the driver into its class. `sql` is the feed's own text, for the place of a
/// mistake in it.
pub(super) fn of(error: &tokio_postgres::Error, sql: Option<&str>) -> Error {
    match error.as_db_error() {
        Some(answer) => of_answer(answer, sql),
        None => Error::new(
            ErrorKind::Unreachable,
            format!("the database cannot be reached: {}", cause(error)),
            "check host, port and network; it is tried again",
        ),
    }
}

/// The feed's columns are others now. It is opened anew for it, so the error is one that passes.
pub(super) fn changed() -> Error {
    Error::new(
        ErrorKind::Database,
        "the feed's columns changed at the source",
        "it is opened anew with the columns that it has now",
    )
}

fn of_answer(answer: &DbError, sql: Option<&str>) -> Error {
    // A prepared statement whose columns have other types now. The code stands for much else as well; the
    // place in the server does not follow its language.
    if answer.routine() == Some("RevalidateCachedQuery") {
        return changed();
    }
    let code = answer.code().code();
    let said = answer.message();
    match answer.code() {
        &SqlState::QUERY_CANCELED | &SqlState::LOCK_NOT_AVAILABLE | &SqlState::T_R_SERIALIZATION_FAILURE => {
            Error::new(
                ErrorKind::TimedOut,
                format!("the database ended the statement: {said}"),
                "it is tried again; for good, make an index over the cursor columns or raise statement_timeout",
            )
        }
        &SqlState::INVALID_PASSWORD | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION => Error::new(
            ErrorKind::Denied,
            format!("the database refused the account: {said}"),
            "check user and password in the source's url, and pg_hba.conf",
        ),
        &SqlState::INSUFFICIENT_PRIVILEGE => Error::new(
            ErrorKind::Denied,
            said,
            "run `slacktide doctor`, which prints the exact GRANT statements",
        ),
        &SqlState::INVALID_CATALOG_NAME => Error::new(
            ErrorKind::Refused,
            said,
            "correct the database in the source's url",
        ),
        _ => match code.get(..2).unwrap_or_default() {
            "08" | "57" | "53" => Error::new(
                ErrorKind::Unreachable,
                format!("the database cannot serve: {said}"),
                "it is tried again",
            ),
            "42" | "3F" | "0A" => Error::new(
                ErrorKind::Refused,
                format!("{said}{}", place(answer, sql)),
                "correct the feed's sql",
            ),
            // Messages of data errors repeat the data.
            "22" | "23" | "P0" => Error::new(
                ErrorKind::Database,
                format!("the database could not compute a value (SQLSTATE {code})"),
                "guard the expression in the feed's sql against such values",
            ),
            _ => Error::new(
                ErrorKind::Database,
                format!("the database answered: {said} (SQLSTATE {code})"),
                "it is tried again; see the database's log",
            ),
        },
    }
}

/// Where in the feed's text.
fn place(answer: &DbError, sql: Option<&str>) -> String {
    let (Some(ErrorPosition::Original(position)), Some(sql)) = (answer.position(), sql) else {
        return String::new();
    };
    let before: Vec<char> = sql.chars().take((*position as usize).saturating_sub(1)).collect();
    let line = before.iter().filter(|c| **c == '\n').count() + 1;
    let column = before.iter().rev().take_while(|c| **c != '\n').count() + 1;
    format!(" (sql line {line}, column {column})")
}
