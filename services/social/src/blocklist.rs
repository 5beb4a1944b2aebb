//! The block list of a running agent: read from a file, and again when the file is replaced.
//!
//! The file is either an exchanged list ([`disclosure::blocklist::file`]) or the imported form: digests that only the bureau's
//! signing key can make.
//!
//! It fails closed. An unreadable list at the start keeps the agent from starting. While the agent runs, it is replaced by a list
//! that answers nothing ([`BlockList::unreadable`]): feeds that name persons and requests are held until a whole file is there.
//! The log, the status and the reason of each held lane show it.
//!
//! API: [`Keeper::start`] reads the list, [`Keeper::list`] is the [`ListWatch`] for lookups, [`Keeper::status`] its status,
//! [`Keeper::run`] keeps it current. An agent without a list uses [`empty`].

mod keeper;
mod read;

use std::path::PathBuf;
use std::sync::Arc;

use disclosure::blocklist::{BlockList, KeyMismatch};
use jiff::Timestamp;
use jiff::civil::Date;
use schemas::digest::Digest;
use schemas::person::PersonKey;
use serde::Serialize;
use tokio::sync::watch;

pub use keeper::Keeper;
pub use read::{parse, read};

/// Publishes the current list.
pub type ListWatch = watch::Receiver<Arc<BlockList>>;

/// The status of the list. It identifies no person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BlockListStatus {
    /// The number of persons on it.
    pub persons: usize,
    /// The day in its header.
    pub made: Date,
    /// The digest of the list in force; see [`digest`].
    pub digest: Digest,
    /// When this process put it in force.
    pub taken_at: Timestamp,
    /// Why the current file cannot be used. Everything that needs the list is held, and the other fields describe the previous
    /// list.
    pub error: Option<String>,
}

/// Why a file is not a usable list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockListError {
    /// It cannot be read.
    #[error("the block list {path:?} cannot be read: {why}; put it there with `slacktide blocklist import`")]
    Unreadable {
        /// Where it should be.
        path: PathBuf,
        /// The system's error.
        why: String,
    },
    /// It is not complete.
    #[error("the block list {path:?} is damaged: {why}; import it again with `slacktide blocklist import`")]
    Damaged {
        /// Where it is.
        path: PathBuf,
        /// What is wrong, without a person's number.
        why: String,
    },
    /// It was made with another key.
    #[error("{path:?}: {source}")]
    KeyMismatch {
        /// Where it is.
        path: PathBuf,
        /// The two keys.
        source: KeyMismatch,
    },
}

/// Returns a digest of a list. It identifies no person, because only the bureau can make the digests of persons.
#[must_use]
pub fn digest(list: &BlockList) -> Digest {
    Digest::of(&[&serde_json::to_vec(list).unwrap_or_default()])
}

/// Returns an empty list that never changes, for an agent without one.
#[must_use]
pub fn empty(key: &PersonKey) -> ListWatch {
    watch::channel(Arc::new(BlockList::new(Date::ZERO, key, Vec::new()))).1
}

#[cfg(test)]
mod tests;
