//! What can go wrong at a receiver.

use std::fmt;

use schemas::name::Lane;

use crate::layout::LaneTables;
use crate::naming::Refusal;

/// An error with its kind, what and where, and the remedy.
#[derive(Debug, Clone)]
pub struct Error {
    /// What class of error it is.
    pub kind: ErrorKind,
    /// What is wrong and where: lane, table, column. Never a row's value.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

/// The result of a verb.
pub type Result<T> = std::result::Result<T, Error>;

/// Classes of errors, each with one way to go on. None of them quarantines: a row that the
/// receiver's constraints refuse is an outcome, not an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// No connection, or it broke. Retry with back-off.
    Unreachable,
    /// Deadlock or serialisation failure that its own retries did not outlast. Retry.
    Contended,
    /// Disk or quota full, or read-only. Wait; tell the operator.
    Full,
    /// A privilege is missing. Stop: only an operator can help.
    Denied,
    /// The target table does not fit the feed: a key or type differs. The lane stops.
    Refused,
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

    /// Returns why nothing of the lane is stored until somebody acts; `None` where repeating may help, as with rights
    /// that are granted again.
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

    /// A statement that makes or changes a lane's tables failed: what the database answers to it stays the same.
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

    /// A column that comes new has the name of one that its table has for something else.
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

    /// The target does not fit: the lane stops.
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
