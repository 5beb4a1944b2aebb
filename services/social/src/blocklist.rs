//! The block list of a running agent: read from a file, and taken up anew when the file is replaced.
//!
//! The file is either the one that lists come in ([`requests::blocklist::file`]), or the one that is kept:
//! digests that only the bureau's signing key can make.
//!
//! It fails closed, for of a list that cannot be read nobody could tell who is on it. At the start it keeps the agent
//! from starting. While the agent runs, a list takes its place that answers nothing ([`BlockList::unread`]): feeds that
//! name persons and requests are held until a whole file is there. That is said once in the log, and stands in the
//! status and as the reason of each held lane.
//!
//! API: [`Keeper::start`] reads the list, [`Keeper::list`] is the [`ListWatch`] to ask, [`Keeper::status`] what is shown
//! of it, [`Keeper::run`] keeps it. An agent without a list asks [`nobody`].

mod keeper;
mod read;

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use requests::blocklist::{BlockList, OtherKey};
use schemas::digest::Digest;
use schemas::person::PersonKey;
use serde::Serialize;
use tokio::sync::watch;

pub use keeper::Keeper;
pub use read::{parse, read};

/// Where it is asked who is on the list.
pub type ListWatch = watch::Receiver<Arc<BlockList>>;

/// By this name stands what the list keeps back, beside the ids of holds.
pub const KEPT_BY: &str = "blocklist";

/// The list as an agent shows it. Nobody on it can be told from this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BlockListStatus {
    /// Persons on it.
    pub persons: usize,
    /// The day in its header.
    pub made: Date,
    /// Of what is in force; see [`digest`].
    pub digest: Digest,
    /// Since when this process has it in force.
    pub taken_at: Timestamp,
    /// Why the file as it is now cannot be used; everything that asks the list is held, and the other members tell of
    /// the list before.
    pub trouble: Option<String>,
}

/// A file that is no list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockListError {
    /// It cannot be read.
    #[error("the block list {path:?} cannot be read: {why}; put it there with `slacktide blocklist import`")]
    Unreadable {
        /// Where it should be.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// It can be read, and is not whole.
    #[error("the block list {path:?} is damaged: {why}; import it again with `slacktide blocklist import`")]
    Damaged {
        /// Where it is.
        path: PathBuf,
        /// What is wrong, without anybody's number.
        why: String,
    },
    /// Nobody here can tell whom it means.
    #[error("{path:?}: {source}")]
    OtherKey {
        /// Where it is.
        path: PathBuf,
        /// The two keys.
        source: OtherKey,
    },
}

/// A digest of a list. It is made of digests that only the bureau can make, so nobody can be guessed from it.
#[must_use]
pub fn digest(list: &BlockList) -> Digest {
    Digest::of(&[&serde_json::to_vec(list).unwrap_or_default()])
}

/// A list with nobody on it that never changes, for an agent that has none.
#[must_use]
pub fn nobody(key: &PersonKey) -> ListWatch {
    watch::channel(Arc::new(BlockList::new(Date::ZERO, key, Vec::new()))).1
}

#[cfg(test)]
mod tests;
