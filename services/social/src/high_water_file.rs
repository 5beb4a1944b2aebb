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
    /// What is wrong with the file, and the remedy. An unreadable file is an error, not `None`.
    pub fn read(&self) -> Result<Option<RecordRef>, String> {
        let path = self.path.display();
        let read = fs::metadata(&self.path).and_then(|metadata| {
            if metadata.len() > MAX_BYTES {
                return Err(io::Error::other("it is too large"));
            }
            fs::read_to_string(&self.path)
        });
        let text = match read {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("{path}: {error}; make it readable for this process")),
        };
        let remedy = "check the orders with `slacktide hold list`, then remove the file";
        let content: Content =
            serde_json::from_str(&text).map_err(|error| format!("{path} is damaged ({error}); {remedy}"))?;
        if content.party != self.party {
            return Err(format!(
                "{path} is the file of party {}; give each party its own",
                content.party
            ));
        }
        Ok(Some(content.record))
    }

    /// Writes a record, unless the file holds a newer one or one that the record does not follow: that one is lost, and the file
    /// is the evidence.
    ///
    /// # Errors
    /// Why the file could not be written.
    pub fn record(&self, record: RecordRef, follows: impl Fn(RecordRef) -> bool) -> Result<(), String> {
        let is_kept = |noted: RecordRef| noted.number >= record.number || !follows(noted);
        if self.read()?.is_some_and(is_kept) {
            return Ok(());
        }
        let content = Content {
            party: self.party.clone(),
            record,
        };
        let text = serde_json::to_string(&content).map_err(|error| error.to_string())?;
        replace(&self.path, &text).map_err(|error| {
            format!(
                "{}: {error}; make its folder writable for this process",
                self.path.display()
            )
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
        assert_eq!(file.read(), Ok(None));
        for (noted, wanted) in [(3, 3), (2, 3), (4, 4)] {
            file.record(mark(noted), |_| true).unwrap();
            assert_eq!(file.read(), Ok(Some(mark(wanted))));
        }
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "another file is left in the folder"
        );
        let other = HighWaterFile::new(path.clone(), "other".parse().unwrap());
        assert!(other.read().is_err() && other.record(mark(9), |_| true).is_err());
        fs::write(&path, "{").unwrap();
        assert!(file.read().unwrap_err().contains("damaged"));
        assert!(
            file.record(mark(9), |_| true).is_err(),
            "a damaged file is not overwritten"
        );
    }
}
