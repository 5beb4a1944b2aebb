//! Errors of a store.

use std::fmt;

use schemas::name::Lane;

use crate::layout::LaneTables;
use crate::naming::Refusal;

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

    /// Returns the refusal that blocks the lane until an operator acts; `None` if a retry may help, for example after
    /// a grant.
    pub(crate) fn refusal(&self, lane: &Lane) -> Option<Refusal> {
        (self.kind == ErrorKind::Refused).then(|| Refusal {
            shared: format!(
                "feed {}: the receiver's tables do not fit it, or are not configured for it",
                lane.feed
            ),
            what: self.what.clone(),
            remedy: self.remedy.clone(),
        })
    }

    /// Classifies an error of a statement that creates or changes a lane's tables. A retry meets the same error.
    pub(crate) fn of_tables(self, tables: &LaneTables) -> Self {
        if self.kind != ErrorKind::Database {
            return self;
        }
        Self::of_lane(
            &tables.lane,
            format!("its tables cannot be made or changed: {}", self.what),
            format!(
                "make them fit, or name another table: table = \"…\" under [store.feed.{}]",
                tables.key
            ),
        )
    }

    /// A new column has the name of a column that its table uses for something else.
    pub(crate) fn of_column(tables: &LaneTables, table: &str, column: &str) -> Self {
        let (key, name) = (&tables.key, column);
        let sql = tables.layout.sql(table);
        Self::of_lane(
            &tables.lane,
            format!(
                "{}: column {name:?} is new, and {sql} has one of this name already",
                tables.owner
            ),
            format!(
                "to store it there, name it: columns = {{ {name:?} = {name:?} }} under [store.feed.{key}]; otherwise give \
                 it another name there"
            ),
        )
    }

    /// The target does not fit the lane, so the lane stops.
    pub(crate) fn of_lane(lane: &Lane, what: impl fmt::Display, remedy: impl Into<String>) -> Self {
        Self::new(ErrorKind::Refused, format!("lane {lane}: {what}"), remedy)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.remedy)
    }
}

impl std::error::Error for Error {}
