//! What changes at the core, and how the receiver's tables follow: real processes, both stores.
//!
//! - `follows` new columns, wider types, tombstones; names and modes that the store's operator chose
//! - `asks` what could lose a value: seen on the status page, repaired with the documented command
//! - `ends` both databases of such a site, and what is read there

mod asks;
pub(crate) mod ends;
mod follows;
