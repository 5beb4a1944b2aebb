//! Schema changes at the core, and how the receiver's tables change: real processes, both kinds of store.
//!
//! - `applied` new columns, wider types, tombstones; names and modes that the store's operator chose
//! - `approval` changes that could lose data: shown in status, approved with the documented command
//! - `databases` both databases of such a site

mod applied;
mod approval;
pub(crate) mod databases;
