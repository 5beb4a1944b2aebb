//! A reference to a control record, by a signed message or a file.

use std::fmt;

use schemas::heads::RecordRef;

/// A control record and what names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordReference {
    /// The record.
    pub mark: RecordRef,
    /// What names it, for messages.
    pub by: String,
}

impl fmt::Display for RecordReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} names control record {}", self.by, self.mark)
    }
}
