//! Errors of a system of record.

use std::fmt;

/// An error with its kind, cause, location and remedy.
#[derive(Debug, Clone)]
pub struct Error {
    /// The class of the error.
    pub kind: ErrorKind,
    /// What failed and where: feed, column, relation. Never contains a row's value.
    pub what: String,
    /// The remedy.
    pub remedy: String,
}

/// The result of a source operation.
pub type Result<T> = std::result::Result<T, Error>;

/// Classes of errors. Each has one way to continue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The connection failed or was lost. Retry with back-off.
    Unreachable,
    /// A statement timed out or was cancelled by the server (recovery on a standby). Retry with a smaller quantum.
    TimedOut,
    /// The database denied a privilege. The feed stops.
    Denied,
    /// The feed cannot be served as configured: invalid SQL, missing table or column, cursor not unique or null, no fence possible.
    /// The feed stops.
    Refused,
    /// The permit was revoked before any row was read. Not a failure: continue under the next permit.
    Revoked,
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

    /// Creates the error of a revoked permit.
    #[must_use]
    pub fn revoked() -> Self {
        Self::new(
            ErrorKind::Revoked,
            "the gate closed during the read",
            "continue under the next permit",
        )
    }

    /// Whether the database refused rows that the account may not see.
    pub(crate) fn is_about_rows(&self) -> bool {
        self.kind == ErrorKind::Denied
            || (self.kind == ErrorKind::Refused && self.what.starts_with("row level security"))
    }

    /// Adds where the error happened.
    #[must_use]
    pub fn at(mut self, place: &str) -> Self {
        self.what = format!("{place}: {}", self.what);
        self
    }
}

/// Creates an error of a feed or query that cannot be served as configured.
pub(crate) fn refused(what: impl Into<String>, remedy: impl Into<String>) -> Error {
    Error::new(ErrorKind::Refused, what, remedy)
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.remedy)
    }
}

impl std::error::Error for Error {}
