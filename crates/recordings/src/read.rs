//! Reads files and folders of recordings.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::block::Block;
use crate::frame;

/// The file extension.
pub const EXTENSION: &str = "samples";

/// The contents of a file or a folder.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Records {
    /// All blocks, sorted by file name and position.
    pub blocks: Vec<Block>,
    /// Number of files read.
    pub files: usize,
    /// Bytes of torn or corrupt blocks.
    pub skipped: u64,
}

impl Records {
    /// Returns the number of samples in all blocks.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.blocks.iter().map(|block| block.rows.len()).sum()
    }
}

/// Reads a file, or all recordings in a folder.
///
/// # Errors
/// If it cannot be read. Torn and corrupt blocks are counted, not errors.
pub fn read(path: &Path) -> io::Result<Records> {
    let files = if path.is_dir() {
        recordings(path)?
    } else {
        vec![path.to_owned()]
    };
    let mut records = Records::default();
    for file in files {
        let found = frame::find(&fs::read(file)?);
        records.files += 1;
        records.skipped += found.skipped;
        records.blocks.extend(found.blocks);
    }
    Ok(records)
}

/// Returns the recordings in a folder, oldest day first.
pub(crate) fn recordings(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == EXTENSION) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
