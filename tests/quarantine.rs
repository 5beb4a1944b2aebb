//! The quarantine and the ways out of it, with the real binary.
//!
//! - `rows` rows that a constraint refused: retried, killed in the middle, next to newer versions
//! - `messages` an unreadable message and an untrusted one
//! - `trusted` a key that is trusted later
//! - `sqlite` the same commands over a SQLite store
//! - `commands` output of the commands; `forged_chunk` a chunk signed by another key

pub(crate) mod commands;
mod forged_chunk;
mod messages;
mod rows;
mod sqlite;
mod trusted;
