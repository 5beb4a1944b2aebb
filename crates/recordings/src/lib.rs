//! Recordings of a gate's samples, and what is computed from them.
//!
//! Every sample is recorded with its verdict and the row count. There is one file per UTC day, to which blocks of up to
//! a minute are appended. A block is compressed, has a checksum and starts with a magic number, so a torn or corrupt
//! block is skipped and reported, and costs only its minute. Readings are thousandths of their units, as in the
//! evidence. Recordings serve `gate simulate`, `gate forecast` and the estimates of data requests. The evidence of a
//! chunk is in its manifest, so a lost minute loses no evidence, and files are not synced to disk.
//!
//! - [`block`] PURE: columns of samples <-> bytes
//! - [`frame`] PURE: blocks in a file; torn ones are skipped
//! - [`mod@read`] reads files and folders of recordings
//! - [`archive`] writes the files and deletes expired ones
//! - [`recorder`] records a gate's samples without delaying the sampler
//! - [`mod@simulate`] PURE: another policy over recorded samples
//! - [`mod@forecast`] PURE: when a backlog will be finished

pub mod archive;
pub mod block;
pub mod forecast;
pub mod frame;
pub mod read;
pub mod recorder;
pub mod simulate;

pub use archive::SampleArchive;
pub use block::{Block, Row};
pub use read::{Records, read};
pub use recorder::{RowCounter, record};

#[cfg(test)]
mod tests;
