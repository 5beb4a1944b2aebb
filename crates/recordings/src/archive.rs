//! Writes recordings and deletes expired ones.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::block::Block;
use crate::frame;
use crate::read::{EXTENSION, recordings};

/// Appends blocks to the file of their day, and deletes expired files.
#[derive(Debug, Clone)]
pub struct SampleArchive {
    dir: PathBuf,
    keep: Duration,
}

impl SampleArchive {
    /// Creates an archive in this folder; touches nothing yet.
    #[must_use]
    pub fn new(dir: &Path, keep: Duration) -> Self {
        Self {
            dir: dir.to_owned(),
            keep,
        }
    }

    /// Appends a block to the file of the day of its first sample.
    ///
    /// # Errors
    /// If the folder cannot be written or the disk is full.
    pub fn append(&self, block: &Block) -> io::Result<()> {
        let Some(first) = block.rows.first() else {
            return Ok(());
        };
        let bytes = block.encode().map_err(io::Error::other)?;
        fs::create_dir_all(&self.dir)?;
        let path = self.dir.join(format!("{}.{EXTENSION}", day(first.wall_ms)));
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        file.write_all(&frame::frame(&bytes))
    }

    /// Deletes files of days that ended longer ago than the retention; returns their number.
    ///
    /// # Errors
    /// If the folder cannot be read or a file cannot be deleted.
    pub fn delete_expired(&self, now: Timestamp) -> io::Result<usize> {
        let keep = SignedDuration::try_from(self.keep).unwrap_or(SignedDuration::MAX);
        let Ok(oldest) = now.checked_sub(keep) else {
            return Ok(0);
        };
        let oldest = oldest.to_zoned(TimeZone::UTC).date();
        let mut deleted = 0;
        for file in recordings(&self.dir)? {
            let date = file
                .file_stem()
                .and_then(|stem| stem.to_str()?.parse::<Date>().ok());
            if date.is_some_and(|date| date < oldest) {
                fs::remove_file(file)?;
                deleted += 1;
            }
        }
        Ok(deleted)
    }
}

/// Returns the UTC day of a time.
pub(crate) fn day(wall_ms: i64) -> Date {
    let at = Timestamp::from_millisecond(wall_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    at.to_zoned(TimeZone::UTC).date()
}
