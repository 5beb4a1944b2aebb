//! Errors of a store.

use std::fmt;

/// An error with kind, cause and remedy.
#[derive(Debug, Clone)]
pub struct Error {
    /// The class of the error.
    pub kind: ErrorKind,
    /// The cause with lane, table and column. Never a value of a row.
    pub what: String,
    /// The remedy.
    pub remedy: String,
}

/// The result of a store operation.
pub type Result<T> = std::result::Result<T, Error>;

/// Classes of errors, each with one reaction. None of them quarantines: a row that a constraint refuses is an
/// outcome, not an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The store is unreachable or the connection broke. Retry with back-off.
    Unreachable,
    /// Deadlock or serialisation failure that persisted over retries. Retry.
    Contended,
    /// The disk or quota is full, or the database is read-only. Wait and alert the operator.
    Full,
    /// A privilege is missing. Stop: only an operator can help.
    Denied,
    /// The target table does not fit the feed, for example its key or a type differs. The lane stops.
    Refused,
    /// Any other error of the database. Retry with back-off.
    Database,
}

impl Error {
    /// Creates an error.
    pub fn new(kind: ErrorKind, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.remedy)
    }
}

impl std::error::Error for Error {}
