//! What can go wrong at a system of record.

use std::fmt;

/// An error with its kind, what and where, and the remedy.
#[derive(Debug, Clone)]
pub struct Error {
    /// What class of error it is.
    pub kind: ErrorKind,
    /// What is wrong and where: feed, column, relation. Never a row's value.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

/// The result of a verb.
pub type Result<T> = std::result::Result<T, Error>;

/// Classes of errors, each with one way to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// No connection, or it broke. Retry with back-off.
    Unreachable,
    /// A statement ran into its timeout or was cancelled by the server (recovery on a standby).
    /// Retry with a smaller quantum.
    TimedOut,
    /// The database refused for want of a privilege. The feed stops.
    Denied,
    /// The feed cannot be served as configured: bad SQL, missing table or column, cursor not
    /// unique or null, a fence that cannot be taken. The feed stops.
    Refused,
    /// The permit was revoked before there was anything to keep. No fault: go on under the next
    /// permit.
    Revoked,
    /// Anything else that the database answered. Retry with back-off.
    Database,
}

impl Error {
    /// An error of this kind.
    pub fn new(kind: ErrorKind, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into(),
            remedy: remedy.into(),
        }
    }

    /// The permit was revoked; nothing was lost.
    #[must_use]
    pub fn revoked() -> Self {
        Self::new(
            ErrorKind::Revoked,
            "the gate shut while the source was asked",
            "go on under the next permit",
        )
    }

    /// Whether the database refused to give rows that the account may not see.
    pub(crate) fn is_about_rows(&self) -> bool {
        self.kind == ErrorKind::Denied
            || (self.kind == ErrorKind::Refused && self.what.starts_with("row level security"))
    }

    /// The same error, with where it happened in front.
    #[must_use]
    pub fn at(mut self, place: &str) -> Self {
        self.what = format!("{place}: {}", self.what);
        self
    }
}

/// A feed or a question that cannot be served as it is.
pub(crate) fn refused(what: impl Into<String>, remedy: impl Into<String>) -> Error {
    Error::new(ErrorKind::Refused, what, remedy)
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.remedy)
    }
}

impl std::error::Error for Error {}
