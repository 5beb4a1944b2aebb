//! Files and folders of recordings.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::block::Block;
use super::frame;

/// How the files end.
pub const EXTENSION: &str = "samples";

/// What was found in a file or a folder.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Records {
    /// All blocks, by the order of the files' names and within each file.
    pub blocks: Vec<Block>,
    /// How many files were read.
    pub files: usize,
    /// Bytes that were no whole block.
    pub skipped: u64,
}

impl Records {
    /// Samples in all blocks.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.blocks.iter().map(|block| block.rows.len()).sum()
    }
}

/// Reads a file, or all recordings of a folder.
///
/// # Errors
/// When it cannot be read. Torn and spoilt blocks are no error; they are counted.
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

/// The recordings of a folder, oldest day first.
pub(super) fn recordings(folder: &Path) -> io::Result<Vec<PathBuf>> {
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
