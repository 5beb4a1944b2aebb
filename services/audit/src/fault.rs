//! A fault that a verification located.

use serde::Serialize;

/// The first fault of a chain, with its position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Subject of the message.
    pub subject: String,
    /// Its sequence in the stream; 0 if a message is missing.
    pub sequence: u64,
    /// The epoch and number that it claims, if it is a readable chunk.
    pub chunk: Option<(u32, u64)>,
    /// What is wrong.
    pub what: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at sequence {}", self.subject, self.sequence)?;
        if let Some((epoch, number)) = self.chunk {
            write!(f, " (epoch {epoch} number {number})")?;
        }
        write!(f, ": {}", self.what)
    }
}
