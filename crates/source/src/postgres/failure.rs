//! PURE: the server's errors by kind, each with a remedy. The server's messages may contain values of rows and are never passed on.

use servers::{Answer, TlsError, Unreached, UrlError, cause};
use tokio_postgres::error::SqlState;

use crate::error::{Error, ErrorKind};

/// Classifies an error of the driver. `sql` is the feed's text, to locate a syntax error.
pub(super) fn classify(error: &tokio_postgres::Error, sql: Option<&str>) -> Error {
    match error.as_db_error() {
        Some(answer) => classify_answer(Answer::of(answer), sql),
        None => Error::new(
            ErrorKind::Unreachable,
            format!("the database cannot be reached: {}", cause(error)),
            "check host, port and network; it is retried",
        ),
    }
}

pub(super) fn invalid_url(error: &UrlError) -> Error {
    Error::new(ErrorKind::Refused, format!("source: {error}"), error.remedy())
}

pub(super) fn connect_error(why: Unreached) -> Error {
    match why {
        Unreached::Refused(error) => classify(&error, None),
        Unreached::Silent => no_response(),
        Unreached::Tls(TlsError { what, remedy }) => Error::new(ErrorKind::Unreachable, what, remedy),
    }
}

/// Creates the error of a server that does not respond.
pub(super) fn no_response() -> Error {
    Error::new(
        ErrorKind::Unreachable,
        "the database does not respond",
        "it is reconnected and retried; check the network, and the host of the database",
    )
}

/// Creates the error of a feed whose columns changed. It is temporary: the feed is opened again.
pub(super) fn changed() -> Error {
    Error::new(
        ErrorKind::Database,
        "the feed's columns changed at the source",
        "the feed is opened again with its current columns",
    )
}

fn classify_answer(answer: Answer<'_>, sql: Option<&str>) -> Error {
    if answer.columns_changed() {
        return changed();
    }
    if answer.rows_hidden() {
        return Error::new(
            ErrorKind::Refused,
            "row level security would hide rows from the account, which would then be missing in silence",
            "run as a superuser: ALTER ROLE … BYPASSRLS; for the account of the source's url",
        );
    }
    match answer.code() {
        &SqlState::QUERY_CANCELED | &SqlState::LOCK_NOT_AVAILABLE | &SqlState::T_R_SERIALIZATION_FAILURE => {
            Error::new(
                ErrorKind::TimedOut,
                format!("the database ended the statement: {answer}"),
                "it is retried; to fix it, create an index over the cursor columns or raise statement_timeout",
            )
        }
        &SqlState::INVALID_PASSWORD | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION => Error::new(
            ErrorKind::Denied,
            format!("the database refused the account: {answer}"),
            "check user, password, sslmode and sslcert in the source's url, and pg_hba.conf",
        ),
        &SqlState::INSUFFICIENT_PRIVILEGE => Error::new(
            ErrorKind::Denied,
            answer.to_string(),
            "run `slacktide doctor`, which prints the exact GRANT statements",
        ),
        &SqlState::INVALID_CATALOG_NAME => Error::new(
            ErrorKind::Refused,
            answer.to_string(),
            "correct the database in the source's url",
        ),
        _ => match answer.sqlstate().get(..2).unwrap_or_default() {
            "08" | "57" | "53" => Error::new(
                ErrorKind::Unreachable,
                format!("the database cannot serve: {answer}"),
                "it is retried",
            ),
            "42" | "3F" | "0A" => Error::new(
                ErrorKind::Refused,
                format!("{answer}{}", place(&answer, sql)),
                "correct the feed's sql",
            ),
            "22" | "23" | "P0" => Error::new(
                ErrorKind::Database,
                format!("the database could not compute a value: {answer}"),
                "guard the expression in the feed's sql against such values",
            ),
            _ => Error::new(
                ErrorKind::Database,
                format!("the database answered: {answer}"),
                "it is retried; see the database's log",
            ),
        },
    }
}

/// Locates an error in the feed's text, with the name at that position, which is the configuration's own.
fn place(answer: &Answer<'_>, sql: Option<&str>) -> String {
    let (Some(position), Some(sql)) = (answer.position(), sql) else {
        return String::new();
    };
    let before: Vec<char> = sql.chars().take(position.saturating_sub(1)).collect();
    let line = before.iter().filter(|c| **c == '\n').count() + 1;
    let column = before.iter().rev().take_while(|c| **c != '\n').count() + 1;
    format!("{} (sql line {line}, column {column})", word(sql, before.len()))
}

/// Returns the name at an offset of a text.
fn word(sql: &str, at: usize) -> String {
    let mut quoted = false;
    let name: String = sql
        .chars()
        .skip(at)
        .take_while(|sign| {
            quoted ^= *sign == '"';
            quoted || sign.is_alphanumeric() || "_.$\"".contains(*sign)
        })
        .collect();
    if name.is_empty() {
        return name;
    }
    format!(": {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_name_is_as_written() {
        let sql = "SELECT amout, \"a b\".\"C\" FROM claims WHERE x = 'secret'";
        for (at, expected) in [
            (7, ": amout"),
            (14, ": \"a b\".\"C\""),
            (29, ": claims"),
            (46, ""),
            (900, ""),
        ] {
            assert_eq!(word(sql, at), expected, "{at}");
        }
    }
}
