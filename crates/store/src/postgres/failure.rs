//! PURE: server errors by kind. Error texts may contain values of rows and are never passed on; codes and the names
//! of columns and constraints are.

use servers::{Answer, TlsError, Unreached, UrlError, cause};
use tokio_postgres::error::SqlState;

use crate::error::{Error, ErrorKind};

/// Returns the error of a transaction that lost too many races.
pub(super) fn contended() -> Error {
    Error::new(
        ErrorKind::Contended,
        "other pollers stored the same chunks again and again",
        "it is retried",
    )
}

/// Classifies an error.
pub(super) fn of(error: &tokio_postgres::Error) -> Error {
    match error.as_db_error() {
        Some(answer) => of_answer(Answer::of(answer)),
        None => Error::new(
            ErrorKind::Unreachable,
            format!("the store cannot be reached: {}", cause(error)),
            "check host, port and network; it is retried",
        ),
    }
}

/// Returns the error of an unusable URL.
pub(super) fn of_url(error: &UrlError) -> Error {
    Error::new(ErrorKind::Refused, format!("store: {error}"), error.remedy())
}

/// Returns the error of an unreachable server.
pub(super) fn unreached(why: Unreached) -> Error {
    match why {
        Unreached::Refused(error) => of(&error),
        Unreached::Silent => unanswered(),
        Unreached::Tls(TlsError { what, remedy }) => Error::new(ErrorKind::Unreachable, what, remedy),
    }
}

/// Returns the error of a server that does not respond in time.
pub(super) fn unanswered() -> Error {
    Error::new(
        ErrorKind::Unreachable,
        "the store does not respond",
        "it is connected again and retried; check the network, and the host of the database",
    )
}

fn of_answer(answer: Answer<'_>) -> Error {
    let error = |kind, remedy: &str| Error::new(kind, format!("the store answered: {answer}"), remedy);
    match answer.code() {
        &SqlState::T_R_DEADLOCK_DETECTED
        | &SqlState::T_R_SERIALIZATION_FAILURE
        | &SqlState::LOCK_NOT_AVAILABLE => error(ErrorKind::Contended, "it is retried"),
        &SqlState::DISK_FULL => error(ErrorKind::Full, "make room; nothing is lost meanwhile"),
        &SqlState::READ_ONLY_SQL_TRANSACTION => error(
            ErrorKind::Full,
            "connect to the primary, or take default_transaction_read_only off the role and the database; nothing is \
             lost meanwhile",
        ),
        &SqlState::INSUFFICIENT_PRIVILEGE if answer.is_within_function() => error(
            ErrorKind::Denied,
            "grant the account what the function of the table's trigger uses, or make it SECURITY DEFINER",
        ),
        &SqlState::INSUFFICIENT_PRIVILEGE => error(
            ErrorKind::Denied,
            "grant the account CREATE on the database and on the target schema, or make the tables for it",
        ),
        &SqlState::INVALID_CATALOG_NAME => {
            error(ErrorKind::Denied, "correct the database in the store's url")
        }
        _ => match answer.sqlstate().get(..2).unwrap_or_default() {
            "28" => error(
                ErrorKind::Denied,
                "check user, password, sslmode and sslcert in the store's url, and pg_hba.conf",
            ),
            "08" | "53" | "57" => error(ErrorKind::Unreachable, "it is retried"),
            "42" | "3F" | "0A" => error(ErrorKind::Refused, remedy_of_table(answer.code())),
            _ if is_data(answer.code()) => Error::new(
                ErrorKind::Database,
                format!("the store refused a value: {answer}"),
                "see the constraint",
            ),
            _ => error(ErrorKind::Database, "it is retried; see the database's log"),
        },
    }
}

/// PURE: returns how the table can take rows again, by the SQLSTATE of the refused statement.
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
            "the object with the table's name is not a table: rename it, or name another table in [store.feed.FEED]"
        }
        _ => {
            "the table, its triggers or its rules do not let the feed's rows be stored: see the database's log"
        }
    }
}

/// Why a row is not stored.
pub(super) struct RowRefusal {
    /// The reason, without a value.
    pub(super) reason: String,
    /// Whether its key exists already.
    pub(super) is_duplicate: bool,
    /// Whether another row may make room for it: a unique value moves, or a referenced row arrives.
    pub(super) is_retryable: bool,
}

impl RowRefusal {
    /// Creates a permanent refusal.
    pub(super) fn of(reason: String) -> Self {
        Self {
            reason,
            is_duplicate: false,
            is_retryable: false,
        }
    }
}

/// Returns why the server refused a row, if the row caused it. `columns` are the names that may be shown.
pub(super) fn of_row(error: &tokio_postgres::Error, columns: &[&str]) -> Option<RowRefusal> {
    let answer = Answer::of(error.as_db_error()?);
    is_of_row(&answer).then(|| RowRefusal {
        reason: reason(&answer, columns),
        is_duplicate: answer.code() == &SqlState::UNIQUE_VIOLATION,
        is_retryable: matches!(
            answer.code(),
            &SqlState::UNIQUE_VIOLATION | &SqlState::EXCLUSION_VIOLATION | &SqlState::FOREIGN_KEY_VIOLATION
        ),
    })
}

/// Returns whether a row caused an error: a value, a constraint, a row policy, or an error that a function of the
/// receiver raised while it handled the row. Errors of the server, the account or other transactions are never caused
/// by a row.
fn is_of_row(answer: &Answer<'_>) -> bool {
    is_data(answer.code())
        || answer.is_policy()
        || answer.is_raised()
        || (answer.is_within_function() && !is_environment(answer.code()))
}

/// Returns whether it is a data error: a value, a constraint, a limit, or an exception of a trigger.
fn is_data(code: &SqlState) -> bool {
    let class = code.code().get(..2).unwrap_or_default();
    matches!(class, "21" | "22" | "23" | "44" | "54" | "P0")
}

/// Returns whether it is an error of the server, the account, the connection or another transaction, including
/// another server that a function uses.
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
    // COPY names the column of an unreadable value only in its text, not in a field.
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
