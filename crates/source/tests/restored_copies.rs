//! An older copy of a SQLite file, written over it with the same inode.

use std::path::PathBuf;

use gate::{Gate, Permit};
use rusqlite::Connection;
use schemas::source::SourceIdentity;
use source::identity::{SourceChange, detect_change};
use source::{CursorSetBy, FeedReader, Source, SqliteConfig, SqliteSource};
use tempfile::TempDir;

use crate::rows::feed;

struct Core {
    dir: TempDir,
}

impl Core {
    fn new(mode: &str) -> Self {
        let core = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        core.run(&format!(
            "PRAGMA journal_mode = {mode}; CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, x TEXT); \
             INSERT INTO t (x) VALUES ('a'), ('b')"
        ));
        core
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("core.db")
    }

    fn run(&self, sql: &str) {
        Connection::open(self.path()).unwrap().execute_batch(sql).unwrap();
    }

    /// Copies as `cp` does.
    fn copy(&self, to_core: bool) {
        let (core, copy) = (self.path(), self.dir.path().join("older.db"));
        let (from, to) = if to_core { (copy, core) } else { (core, copy) };
        std::fs::copy(from, to).unwrap();
    }
}

async fn source_mark(reader: &mut dyn FeedReader, permit: &Permit) -> SourceIdentity {
    reader.fence(permit).await.unwrap().source
}

/// Regression: `cp older.db core.db` keeps the inode, the schema, and here the greatest number.
#[tokio::test]
async fn sqlite_older_copy_over_the_same_file_is_detected() {
    for mode in ["delete", "truncate", "persist"] {
        let core = Core::new(mode);
        let gate = Gate::fixed_open();
        let permit = gate.permit().await;
        let source = SqliteSource::new(SqliteConfig::new(core.path()), gate.closed_flag()).unwrap();
        let feed = feed("SELECT * FROM t", &["id"], CursorSetBy::Sequence);
        let mut reader = source.open_feed(&feed, &permit).await.unwrap();
        let first = source_mark(reader.as_mut(), &permit).await;
        core.copy(false);
        core.run("UPDATE t SET x = 'c' WHERE id = 2");
        let second = source_mark(reader.as_mut(), &permit).await;
        assert_eq!(detect_change(&first, &second), None, "{mode}: written on");
        core.copy(true);
        let third = source_mark(reader.as_mut(), &permit).await;
        assert_eq!(
            detect_change(&second, &third),
            Some(SourceChange::RolledBack),
            "{mode}"
        );
        // An agent that starts later compares with the last chunk's source mark.
        source.close().await;
        let mut reader = source.open_feed(&feed, &permit).await.unwrap();
        let fourth = source_mark(reader.as_mut(), &permit).await;
        assert_eq!(
            detect_change(&second, &fourth),
            Some(SourceChange::RolledBack),
            "{mode}"
        );
    }
}

/// Maintenance of a core's file.
#[tokio::test]
async fn sqlite_maintenance_keeps_the_identity() {
    let core = Core::new("delete");
    let gate = Gate::fixed_open();
    let permit = gate.permit().await;
    let source = SqliteSource::new(SqliteConfig::new(core.path()), gate.closed_flag()).unwrap();
    let feed = feed("SELECT * FROM t", &["id"], CursorSetBy::Sequence);
    let mut reader = source.open_feed(&feed, &permit).await.unwrap();
    let mut last = source_mark(reader.as_mut(), &permit).await;
    for upkeep in [
        "VACUUM",
        "PRAGMA journal_mode = persist; INSERT INTO t (x) VALUES ('d')",
        "BEGIN; DELETE FROM t; ROLLBACK",
        "REINDEX; ANALYZE",
        "PRAGMA auto_vacuum = full; VACUUM; DELETE FROM t WHERE id = 1",
        "ALTER TABLE t ADD COLUMN y TEXT; ALTER TABLE t DROP COLUMN y",
    ] {
        core.run(upkeep);
        let now = source_mark(reader.as_mut(), &permit).await;
        assert_eq!(detect_change(&last, &now), None, "{upkeep}");
        last = now;
    }
    // To WAL mode and back, which needs exclusive access to the file.
    for mode in ["wal", "delete"] {
        source.close().await;
        core.run(&format!(
            "PRAGMA journal_mode = {mode}; INSERT INTO t (x) VALUES ('w'); PRAGMA wal_checkpoint(TRUNCATE)"
        ));
        let mut reader = source.open_feed(&feed, &permit).await.unwrap();
        let now = source_mark(reader.as_mut(), &permit).await;
        assert_eq!(detect_change(&last, &now), None, "{mode}");
        let counters = now.written.as_ref().unwrap().0.len();
        assert_eq!(counters, if mode == "wal" { 1 } else { 2 }, "{mode}");
        last = now;
    }
}

/// Closing a descriptor of the file drops the process's locks on it.
#[tokio::test]
async fn sqlite_head_is_read_without_dropping_locks_of_this_process() {
    let core = Core::new("delete");
    let gate = Gate::fixed_open();
    let permit = gate.permit().await;
    let feed = feed("SELECT * FROM t", &["id"], CursorSetBy::Sequence);
    let own = Connection::open(core.path()).unwrap();
    own.execute_batch("BEGIN IMMEDIATE; UPDATE t SET x = 'e'")
        .unwrap();
    for _ in 0..2 {
        let source = SqliteSource::new(SqliteConfig::new(core.path()), gate.closed_flag()).unwrap();
        let mut reader = source.open_feed(&feed, &permit).await.unwrap();
        source_mark(reader.as_mut(), &permit).await;
        source.close().await;
    }
    // Another process still finds the file locked.
    let script =
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], timeout=0); c.execute('BEGIN IMMEDIATE')";
    let tried = std::process::Command::new("python3")
        .args(["-c", script])
        .arg(core.path())
        .output()
        .unwrap();
    let message = String::from_utf8_lossy(&tried.stderr);
    assert!(!tried.status.success() && message.contains("locked"), "{message}");
    own.execute_batch("COMMIT").unwrap();
}
