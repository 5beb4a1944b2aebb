//! Recordings of every sample with its verdict and the row count, for replay.
//!
//! There is one file per UTC day, to which blocks of up to a minute are appended. A block is compressed, has a checksum
//! and starts with a magic number, so a torn or corrupt block is skipped and reported, and costs only its minute.
//! Readings are thousandths of their units, as in the evidence. Recordings serve `gate simulate` and `gate forecast`.
//! The evidence of a chunk is in its manifest, so a lost minute loses no evidence, and files are not synced to disk.
//!
//! - [`block`] PURE: columns of samples <-> bytes
//! - [`frame`] PURE: blocks in a file; torn ones are skipped
//! - [`mod@read`] reads files and folders of recordings
//! - [`archive`] writes the files and deletes expired ones
//! - [`recorder`] records a gate's samples without delaying the sampler

pub mod archive;
pub mod block;
pub mod frame;
pub mod read;
pub mod recorder;

pub use archive::SampleArchive;
pub use block::{Block, Row};
pub use read::{Records, read};
pub use recorder::{RowCounter, record};

#[cfg(test)]
mod tests;
