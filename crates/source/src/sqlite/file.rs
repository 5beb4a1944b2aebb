//! Which file the database is, so that another one under its name is noticed.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::UNIX_EPOCH;

use schemas::source::fingerprint;

/// A file as its file system tells it from others. A file that is moved keeps it, also where it is vacuumed; a copy has
/// its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileMark {
    inode: u64,
    /// When it was made, in nanoseconds since 1970: numbers of files are given again.
    born: Option<u128>,
    /// Only where that is not known: the number of a disk may be another after a restart.
    device: Option<u64>,
}

impl FileMark {
    /// Of the file under a path.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        let born = metadata.created().ok();
        let born = born.and_then(|born| born.duration_since(UNIX_EPOCH).ok());
        Ok(Self {
            inode: metadata.ino(),
            born: born.map(|born| born.as_nanos()),
            device: born.is_none().then(|| metadata.dev()),
        })
    }

    /// As manifests hold it.
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
    fn file_keeps_its_mark_until_another_takes_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let (core, copy) = (folder.path().join("core.db"), folder.path().join("copy.db"));
        fs::write(&core, "one").unwrap();
        let mark = FileMark::of(&core).unwrap();
        fs::write(&core, "two").unwrap();
        assert_eq!(FileMark::of(&core).unwrap(), mark, "written in place");
        fs::write(&copy, "one").unwrap();
        fs::rename(&copy, &core).unwrap();
        let other = FileMark::of(&core).unwrap();
        assert_ne!(other, mark);
        assert_ne!(other.fingerprint(), mark.fingerprint());
        fs::remove_file(&core).unwrap();
        assert!(FileMark::of(&core).is_err());
    }
}
