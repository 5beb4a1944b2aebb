//! What is kept aside, with the real binary, and its way out.
//!
//! - `rows` rows that a constraint refused: retried, killed in the middle, beside newer versions
//! - `messages` a message that nobody can read, and one that nobody trusts
//! - `trusted` a key that is trusted later
//! - `sqlite` the same commands over a SQLite store
//! - `told` what the commands print; `forge` a chunk signed by another key

mod forge;
mod messages;
mod rows;
mod sqlite;
pub(crate) mod told;
mod trusted;
