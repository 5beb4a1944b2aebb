//! Every sample, what the gate said to it, and what was moved: kept compactly, for replay.
//!
//! One file for each UTC day, blocks of up to a minute appended to it. A block is compressed,
//! carries a checksum and is found by a mark, so a torn or spoilt one is skipped, said, and
//! costs its minute alone. Readings are thousandths of their units, as in the evidence.
//! Recordings serve `gate simulate` and `gate forecast`; the evidence of a chunk is in its
//! manifest, so a lost minute is no lost evidence and nothing is synced to disk.
//!
//! - [`block`] PURE: columns of samples <-> bytes
//! - [`frame`] PURE: blocks in a file, torn ones skipped
//! - [`mod@read`] files and folders of recordings
//! - [`keeper`] files written, days thrown away
//! - [`recorder`] from the gate to the keeper, never in the sampler's way

pub mod block;
pub mod frame;
pub mod keeper;
pub mod read;
pub mod recorder;

pub use block::{Block, Row};
pub use keeper::Keeper;
pub use read::{Records, read};
pub use recorder::{Rows, record};

#[cfg(test)]
mod tests;
