//! The local file with the newest control record that this host has seen in force.
//!
//! It detects a whole exchange that was restored to a copy from before an order, whose messages are consistent with each other.
//! The file is evidence only: without it nothing stops.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use runtime::replace::replace;
use schemas::heads::RecordRef;
use schemas::name::PartyName;
use serde::{Deserialize, Serialize};

/// The file.
#[derive(Debug, Clone)]
pub struct HighWaterFile {
    path: PathBuf,
    party: PartyName,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    party: PartyName,
    record: RecordRef,
}

/// Why the file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum HighWaterError {
    /// The file exists and could not be read.
    #[error("{}: {error}; make it readable for this process", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        error: io::Error,
    },
    /// The file has another content.
    #[error(
        "{} is damaged ({error}); check the orders with `slacktide hold list`, then remove the file",
        .path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The cause.
        error: serde_json::Error,
    },
    /// The file is another party's.
    #[error("{} is the file of party {party}; give each party its own", .path.display())]
    OtherParty {
        /// The file.
        path: PathBuf,
        /// The party.
        party: PartyName,
    },
    /// The record could not be encoded.
    #[error(transparent)]
    Encode(#[from] serde_json::Error),
    /// The file could not be written.
    #[error("{}: {error}; make its folder writable for this process", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        error: io::Error,
    },
}

/// The maximum size of the file.
const MAX_BYTES: u64 = 4_096;

impl HighWaterFile {
    /// Names the file of a party.
    #[must_use]
    pub fn new(path: PathBuf, party: PartyName) -> Self {
        Self { path, party }
    }

    /// Returns the path, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the record; `None` if there is no file yet.
    ///
    /// # Errors
    /// [`HighWaterError`]. An unreadable file is an error, not `None`.
    pub fn read(&self) -> Result<Option<RecordRef>, HighWaterError> {
        let path = || self.path.clone();
        let read = fs::metadata(&self.path).and_then(|metadata| {
            if metadata.len() > MAX_BYTES {
                return Err(io::Error::other("it is too large"));
            }
            fs::read_to_string(&self.path)
        });
        let text = match read {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(HighWaterError::Read { path: path(), error }),
        };
        let content: Content =
            serde_json::from_str(&text).map_err(|error| HighWaterError::Damaged { path: path(), error })?;
        if content.party != self.party {
            return Err(HighWaterError::OtherParty {
                path: path(),
                party: content.party,
            });
        }
        Ok(Some(content.record))
    }

    /// Writes a record, unless the file holds a newer one or one that the record does not follow: that one is lost, and the file
    /// is the evidence.
    ///
    /// # Errors
    /// [`HighWaterError`].
    pub fn record(
        &self,
        record: RecordRef,
        follows: impl Fn(RecordRef) -> bool,
    ) -> Result<(), HighWaterError> {
        let is_kept = |noted: RecordRef| noted.number >= record.number || !follows(noted);
        if self.read()?.is_some_and(is_kept) {
            return Ok(());
        }
        let content = Content {
            party: self.party.clone(),
            record,
        };
        let text = serde_json::to_string(&content)?;
        replace(&self.path, &text).map_err(|error| HighWaterError::Write {
            path: self.path.clone(),
            error,
        })
    }
}

#[cfg(test)]
mod tests {
    use schemas::digest::Digest;

    use super::*;

    fn mark(number: u64) -> RecordRef {
        RecordRef {
            number,
            digest: Digest::of(&[b"x"]),
        }
    }

    #[test]
    fn high_water_only_rises_and_a_damaged_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders.high-water");
        let file = HighWaterFile::new(path.clone(), "bureau".parse().unwrap());
        assert_eq!(file.read().unwrap(), None);
        for (noted, wanted) in [(3, 3), (2, 3), (4, 4)] {
            file.record(mark(noted), |_| true).unwrap();
            assert_eq!(file.read().unwrap(), Some(mark(wanted)));
        }
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "another file is left in the folder"
        );
        let other = HighWaterFile::new(path.clone(), "other".parse().unwrap());
        assert!(other.read().is_err() && other.record(mark(9), |_| true).is_err());
        fs::write(&path, "{").unwrap();
        assert!(file.read().unwrap_err().to_string().contains("damaged"));
        assert!(
            file.record(mark(9), |_| true).is_err(),
            "a damaged file is not overwritten"
        );
    }
}
