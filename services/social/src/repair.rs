//! PURE: repairs of single rows: what was read for one, and the blocks that are published.
//!
//! A request names keys by digests. The responder reads the feed's table by key and collects the rows of these keys, and the keys
//! that are gone. The lane's own worker publishes them, at its position. Rows that the feed published since the reading began are
//! newer than what was read: their keys are left out ([`ChangedKeys`]).

/// The writer of the audit chain with repairs.
pub(crate) const WRITER: &str = "repairs";

mod changed;
mod rows;

pub use changed::ChangedKeys;
pub use rows::{Collected, RepairDraft, RepairRows};

#[cfg(test)]
mod tests;
