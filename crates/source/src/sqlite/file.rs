//! The identity of the database file, to detect that another file has its name.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::UNIX_EPOCH;

use schemas::source::fingerprint;

/// A file's identity. A moved or vacuumed file keeps it; a copy has another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileMark {
    inode: u64,
    /// The creation time in nanoseconds since 1970, because inode numbers are reused.
    born: Option<u128>,
    /// The device, only if the creation time is unknown: it may change after a restart.
    device: Option<u64>,
}

impl FileMark {
    /// Reads the mark of the file at a path.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        let born = metadata.created().ok();
        let born = born.and_then(|born| born.duration_since(UNIX_EPOCH).ok());
        Ok(Self {
            inode: metadata.ino(),
            born: born.map(|born| born.as_nanos()),
            device: born.is_none().then(|| metadata.dev()),
        })
    }

    /// Returns the mark as manifests contain it.
    pub(super) fn fingerprint(&self) -> String {
        let text = |number: Option<u128>| number.map_or_else(String::new, |number| number.to_string());
        fingerprint(&[
            "sqlite",
            &self.inode.to_string(),
            &text(self.born),
            &text(self.device.map(u128::from)),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_mark_changes_with_another_file() {
        let folder = tempfile::tempdir().unwrap();
        let (core, copy) = (folder.path().join("core.db"), folder.path().join("copy.db"));
        fs::write(&core, "one").unwrap();
        let mark = FileMark::read(&core).unwrap();
        fs::write(&core, "two").unwrap();
        assert_eq!(FileMark::read(&core).unwrap(), mark, "written in place");
        fs::write(&copy, "one").unwrap();
        fs::rename(&copy, &core).unwrap();
        let other = FileMark::read(&core).unwrap();
        assert_ne!(other, mark);
        assert_ne!(other.fingerprint(), mark.fingerprint());
        fs::remove_file(&core).unwrap();
        assert!(FileMark::read(&core).is_err());
    }
}
