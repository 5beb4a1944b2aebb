//! PURE: an entry of the ledger.

use schemas::digest::Digest;
use serde::{Deserialize, Serialize};

/// The prefix of the reason of every stop by a fork.
pub const REWRITTEN: &str = "exchange restored or rewritten";

/// The state of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryState {
    /// Verified and stored, except for rows that constraints refused.
    Stored,
    /// Verified, and superseded by a later epoch; its rows are not stored.
    Superseded,
    /// The message could not be opened. Its claimed chunk number is kept and not trusted.
    Quarantined,
    /// Stored before; an operator ordered to fetch and store it again. The frontier does not pass it.
    Awaited,
}

impl EntryState {
    /// Returns the word in the `ledger` table.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Superseded => "superseded",
            Self::Quarantined => "quarantined",
            Self::Awaited => "awaited",
        }
    }

    /// Reads the word; an unknown word is not trusted.
    #[must_use]
    pub fn of_word(word: &str) -> Self {
        match word {
            "stored" => Self::Stored,
            "superseded" => Self::Superseded,
            "awaited" => Self::Awaited,
            _ => Self::Quarantined,
        }
    }
}

/// A ledger entry, as needed to check links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The chunk's digest.
    pub digest: Digest,
    /// The digest of the previous chunk, as the chunk names it.
    pub previous: Option<Digest>,
    /// The state of the entry.
    pub state: EntryState,
}

impl Entry {
    pub(crate) fn trusted(&self) -> bool {
        self.state != EntryState::Quarantined
    }

    /// Returns whether the chunk is to be stored again.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        self.state == EntryState::Awaited
    }

    /// Returns whether nothing of the chunk is to be stored any more.
    pub(crate) fn is_settled(&self) -> bool {
        matches!(self.state, EntryState::Stored | EntryState::Superseded)
    }
}
