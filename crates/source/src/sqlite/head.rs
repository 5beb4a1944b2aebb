//! The change counter in the file's header.
//!
//! With a rollback journal every commit increments it. VACUUM, a change of the journal mode and SQLite's own backup never decrease
//! it. So a lower value shows that an older copy was written over the file (`cp older.db core.db`), which keeps its inode. It is
//! read while a statement of the agent holds the file, so uncommitted changes are not in it.
//!
//! In WAL mode commits do not change the header until a checkpoint, and after a power loss the header may be older than the WAL.
//! There the counter proves nothing, so none is returned.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Files whose headers are read, by device and inode.
///
/// Closing any descriptor of a file drops all locks of the process on it, including those of SQLite's descriptors. So a file stays
/// open here while it is the database.
static OPEN: Mutex<BTreeMap<(u64, u64), Arc<File>>> = Mutex::new(BTreeMap::new());

/// A database file.
#[derive(Debug, Clone)]
pub(super) struct Head {
    key: (u64, u64),
    file: Arc<File>,
}

impl Head {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let metadata = std::fs::metadata(path)?;
        let key = (metadata.dev(), metadata.ino());
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = open.get(&key) {
            let file = Arc::clone(file);
            return Ok(Self { key, file });
        }
        let file = Arc::new(File::open(path)?);
        let metadata = file.metadata()?;
        let key = (metadata.dev(), metadata.ino());
        let file = Arc::clone(open.entry(key).or_insert(file));
        Ok(Self { key, file })
    }

    /// Closes the file, because another file has its name and no statement reads it.
    pub(super) fn forget(self) {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        open.remove(&self.key);
    }

    /// Returns the number of commits modulo 2^32, or `None` in WAL mode. A statement must hold the file.
    pub(super) fn changes(&self) -> Option<u32> {
        let mut head = [0; LENGTH];
        self.file.read_exact_at(&mut head, 0).ok()?;
        changes(&head)
    }
}

const LENGTH: usize = 100;

/// PURE: returns the counter of a header, if each commit increments it.
fn changes(head: &[u8; LENGTH]) -> Option<u32> {
    let is_rollback = head.starts_with(b"SQLite format 3\0") && head.get(18..20) == Some(&[1, 1]);
    let counter: [u8; 4] = head.get(24..28)?.try_into().ok()?;
    is_rollback.then(|| u32::from_be_bytes(counter))
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn head_counts_commits_of_a_rollback_journal_only() -> rusqlite::Result<()> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("core.db");
        let core = Connection::open(&path)?;
        core.execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)")?;
        let head = Head::open(&path).unwrap();
        let counted = || head.changes().unwrap();
        let mut last = counted();
        for harmless in [
            "INSERT INTO t (v) VALUES (hex(zeroblob(9000)))",
            "DELETE FROM t",
            "VACUUM",
            "PRAGMA journal_mode = truncate; INSERT INTO t (v) VALUES ('x')",
            "PRAGMA journal_mode = wal; INSERT INTO t (v) VALUES ('y'); PRAGMA journal_mode = delete",
            "PRAGMA auto_vacuum = full; VACUUM; INSERT INTO t (v) VALUES ('z')",
        ] {
            core.execute_batch(harmless)?;
            assert!(counted() > last, "{harmless}");
            last = counted();
        }
        core.execute_batch("PRAGMA journal_mode = wal; INSERT INTO t (v) VALUES ('w')")?;
        assert_eq!(head.changes(), None);
        Ok(())
    }

    #[test]
    fn head_of_another_file_has_no_counter() {
        assert_eq!(changes(&[0; LENGTH]), None);
        let mut head = [0; LENGTH];
        head[..16].copy_from_slice(b"SQLite format 3\0");
        head[18..20].copy_from_slice(&[1, 1]);
        head[24..28].copy_from_slice(&[0, 0, 1, 2]);
        assert_eq!(changes(&head), Some(258));
        head[19] = 2;
        assert_eq!(changes(&head), None);
    }
}
