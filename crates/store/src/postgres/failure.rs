//! PURE: the server's errors by kind. Its texts may hold values of rows, and are never
//! passed on: codes and the names of columns and constraints tell enough.

use servers::{Answer, TlsError, Unreached, UrlError, cause};
use tokio_postgres::error::SqlState;

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
        Some(answer) => of_answer(Answer::of(answer)),
        None => Error::new(
            ErrorKind::Unreachable,
            format!("the store cannot be reached: {}", cause(error)),
            "check host, port and network; it is tried again",
        ),
    }
}

/// A URL that cannot be used.
pub(super) fn of_url(error: &UrlError) -> Error {
    Error::new(ErrorKind::Refused, format!("store: {error}"), error.remedy())
}

/// No server was reached.
pub(super) fn unreached(why: Unreached) -> Error {
    match why {
        Unreached::Refused(error) => of(&error),
        Unreached::Silent => unanswered(),
        Unreached::Tls(TlsError { what, remedy }) => Error::new(ErrorKind::Unreachable, what, remedy),
    }
}

/// Nothing came in time, not even a refusal.
pub(super) fn unanswered() -> Error {
    Error::new(
        ErrorKind::Unreachable,
        "the store does not answer",
        "it is connected anew and tried again; check the network, and the host of the database",
    )
}

fn of_answer(answer: Answer<'_>) -> Error {
    let told = |kind, remedy: &str| Error::new(kind, format!("the store answered: {answer}"), remedy);
    match answer.code() {
        &SqlState::T_R_DEADLOCK_DETECTED
        | &SqlState::T_R_SERIALIZATION_FAILURE
        | &SqlState::LOCK_NOT_AVAILABLE => told(ErrorKind::Contended, "it is tried again"),
        &SqlState::DISK_FULL => told(ErrorKind::Full, "make room; nothing is lost meanwhile"),
        &SqlState::READ_ONLY_SQL_TRANSACTION => told(
            ErrorKind::Full,
            "connect to the primary, or take default_transaction_read_only off the role and the database; nothing is \
             lost meanwhile",
        ),
        &SqlState::INSUFFICIENT_PRIVILEGE if answer.is_within_function() => told(
            ErrorKind::Denied,
            "grant the account what the function of the table's trigger uses, or make it SECURITY DEFINER",
        ),
        &SqlState::INSUFFICIENT_PRIVILEGE => told(
            ErrorKind::Denied,
            "grant the account CREATE on the database and on the target schema, or make the tables for it",
        ),
        &SqlState::INVALID_CATALOG_NAME => told(ErrorKind::Denied, "correct the database in the store's url"),
        _ => match answer.sqlstate().get(..2).unwrap_or_default() {
            "28" => told(
                ErrorKind::Denied,
                "check user, password, sslmode and sslcert in the store's url, and pg_hba.conf",
            ),
            "08" | "53" | "57" => told(ErrorKind::Unreachable, "it is tried again"),
            "42" | "3F" | "0A" => told(ErrorKind::Refused, remedy_of_table(answer.code())),
            _ if is_data(answer.code()) => Error::new(
                ErrorKind::Database,
                format!("the store refused a value: {answer}"),
                "see the constraint",
            ),
            _ => told(ErrorKind::Database, "it is tried again; see the database's log"),
        },
    }
}

/// PURE: what makes a table take rows again, by the code with which a statement of ours was refused.
fn remedy_of_table(code: &SqlState) -> &'static str {
    match *code {
        SqlState::UNDEFINED_TABLE => {
            "the table was dropped or renamed: put it back, or have `slacktide feed refill FEED --from start` make it again"
        }
        SqlState::UNDEFINED_COLUMN => {
            "a column of the table was dropped or renamed: put it back under its name"
        }
        SqlState::INVALID_COLUMN_REFERENCE => {
            "give the table a primary key or a unique index over the feed's key columns"
        }
        SqlState::INVALID_SCHEMA_NAME => "create the schema, or correct `schema` in [store]",
        SqlState::DATATYPE_MISMATCH => {
            "a column of the table has a type that does not take the feed's values: change its type"
        }
        SqlState::UNDEFINED_FUNCTION => {
            "a trigger, default or rule of the table calls a function that is not there: create it, or remove what calls it"
        }
        SqlState::WRONG_OBJECT_TYPE => {
            "what has the table's name is no table: rename it, or name another table in [store.feed.FEED]"
        }
        _ => {
            "the table, its triggers or its rules do not let the feed's rows be stored: see the database's log"
        }
    }
}

/// Why a row is not stored.
pub(super) struct Why {
    /// In words that hold no value.
    pub(super) reason: String,
    /// Its key was there before.
    pub(super) is_duplicate: bool,
    /// Another row may make room for it: what is unique moves, what is referred to comes.
    pub(super) waits: bool,
}

impl Why {
    /// For a reason that stays.
    pub(super) fn of(reason: String) -> Self {
        Self {
            reason,
            is_duplicate: false,
            waits: false,
        }
    }
}

/// Why the server refused a row, when it was the row's own fault. `columns` are names that may
/// be told.
pub(super) fn of_row(error: &tokio_postgres::Error, columns: &[&str]) -> Option<Why> {
    let answer = Answer::of(error.as_db_error()?);
    is_of_row(&answer).then(|| Why {
        reason: reason(&answer, columns),
        is_duplicate: answer.code() == &SqlState::UNIQUE_VIOLATION,
        waits: matches!(
            answer.code(),
            &SqlState::UNIQUE_VIOLATION | &SqlState::EXCLUSION_VIOLATION | &SqlState::FOREIGN_KEY_VIOLATION
        ),
    })
}

/// Whether an error is about a row: a value or a constraint, a policy for rows, or whatever a function of the
/// receiver raises or runs into while it handles the row. What is about the server, the account or other transactions
/// is not, wherever it is met.
fn is_of_row(answer: &Answer<'_>) -> bool {
    is_data(answer.code())
        || answer.is_policy()
        || answer.is_raised()
        || (answer.is_within_function() && !is_environment(answer.code()))
}

/// Data, constraints, limits of a value, and what a trigger of the receiver raises.
fn is_data(code: &SqlState) -> bool {
    let class = code.code().get(..2).unwrap_or_default();
    matches!(class, "21" | "22" | "23" | "44" | "54" | "P0")
}

/// The server, the account, the connection or other transactions; another server that a function asks.
fn is_environment(code: &SqlState) -> bool {
    let class = code.code().get(..2).unwrap_or_default();
    matches!(
        class,
        "08" | "25" | "28" | "3D" | "40" | "53" | "57" | "58" | "F0" | "HV" | "XX"
    ) || matches!(
        code,
        &SqlState::INSUFFICIENT_PRIVILEGE | &SqlState::LOCK_NOT_AVAILABLE
    )
}

fn reason(answer: &Answer<'_>, columns: &[&str]) -> String {
    // COPY names the column of a value that it cannot read in a text, and not in a field.
    match answer
        .column()
        .is_none()
        .then(|| answer.copied_column(columns))
        .flatten()
    {
        Some(column) => format!("{answer}, column {column:?}"),
        None => answer.to_string(),
    }
}
