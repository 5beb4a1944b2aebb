//! The store in one SQLite file.
//!
//! Every operation is one `BEGIN IMMEDIATE` transaction, so operations of all processes that share the file run one
//! after the other and see each other's entries; no race has to be checked later. The journal is a WAL that is synced
//! at every commit: chunks that are settled at the exchange are on this disk.
//!
//! - `ownership` the owner of a table
//! - `tables` bookkeeping tables; `steps` changes of feeds' tables; `native` their types
//! - `sql` runs the statements of the `bookkeeping`; `feed_tables` what it needs of feeds' tables
//! - `rows` writes rows; `traits` properties of a table that decide how; `cell` binds values
//! - `transactions` stores chunks
//! - `quarantine`, `refills`, `compaction` the tables and operations of the quarantine, of refills and of folded entries
//! - `requests` the insurer's requests and their answers; `stored_rows` reads rows to compare them with the core
//! - `contents` reads the rows of feeds' tables in one snapshot
//! - `failure` SQLite's errors by kind

mod cell;
mod compaction;
mod contents;
mod failure;
mod feed_tables;
mod native;
mod numbers;
mod ownership;
mod quarantine;
mod refills;
mod requests;
mod rows;
mod sql;
mod steps;
mod stored_rows;
mod tables;
mod traits;
mod transactions;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rusqlite::Connection;
use schemas::name::Lane;

pub use contents::SqliteContents;
use sql::{Session, now};

use crate::arrival::Arrival;
use crate::bookkeeping::{self, lane_operations, ledger, refill};
use crate::chunk_number::ChunkNumber;
use crate::compaction::LedgerRetention;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{Database, Options};
use crate::naming;
use crate::port::{Approval, LaneReport, Outcome, PendingChanges, Store, Unreadable};
use crate::refill::{Identity, RowCount};
use crate::table::schema_change::PendingChange;

/// How long to wait for a transaction of another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// The store in one SQLite file.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    path: PathBuf,
    options: Options,
    slot: Arc<Mutex<Slot>>,
}

/// The open connection and its file.
#[derive(Debug, Default)]
struct Slot {
    open: Option<Connection>,
    file: Option<FileId>,
    /// Set if the path led to another file than before, until the store is prepared again.
    is_replaced: bool,
}

/// The file of a path: its device and inode.
type FileId = (u64, u64);

fn file_id(path: &Path) -> Option<FileId> {
    use std::os::unix::fs::MetadataExt as _;
    let found = std::fs::metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

fn replaced(path: &Path) -> Error {
    Error::new(
        ErrorKind::Unreachable,
        format!(
            "{}: another file is there than the one that was the store until now",
            path.display()
        ),
        "it is compared with the receipts before anything is stored; see `slacktide status`",
    )
}

impl SqliteStore {
    /// Creates a store over this file, which is created if it is missing. Opens nothing yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            options: Options::default(),
            slot: Arc::default(),
        }
    }

    /// Sets tables, names and modes.
    #[must_use]
    pub fn with_options(mut self, options: Options) -> Self {
        self.options = Options {
            schema: None,
            ..options
        };
        self
    }

    async fn run<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Session<'_>) -> Result<T> + Send + 'static,
    {
        self.run_on(false, work).await
    }

    /// `accepts` a replaced file; every other operation refuses it.
    async fn run_on<T, F>(&self, accepts: bool, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Session<'_>) -> Result<T> + Send + 'static,
    {
        let (path, slot) = (self.path.clone(), Arc::clone(&self.slot));
        Self::blocking(move || {
            let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            // Data written to a moved or deleted file would be lost.
            if slot.file.is_some_and(|file| file_id(&path) != Some(file)) {
                (slot.open, slot.file, slot.is_replaced) = (None, None, true);
            }
            if slot.is_replaced && !accepts {
                return Err(replaced(&path));
            }
            let connection = match slot.open.take() {
                Some(connection) => connection,
                None => open(&path)?,
            };
            slot.file = slot.file.or_else(|| file_id(&path));
            let mut session = Session::of(&connection);
            let result = work(&mut session);
            session.rollback();
            if result.is_ok() {
                slot.is_replaced = false;
            }
            // A connection with an unknown error is opened again.
            if !matches!(&result, Err(error) if matches!(error.kind, ErrorKind::Unreachable | ErrorKind::Database))
            {
                slot.open = Some(connection);
            }
            result
        })
        .await
    }

    async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
            let what = if error.is_panic() {
                "work on the store's file was interrupted"
            } else {
                "the process is ending"
            };
            Err(Error::new(
                ErrorKind::Database,
                what,
                "it is retried; see the log",
            ))
        })
    }
}

fn open(path: &Path) -> Result<Connection> {
    // Changing the journal mode needs the file alone and does not wait like other statements: processes that start
    // together on a new file try again.
    let deadline = Instant::now() + BUSY_TIMEOUT;
    loop {
        match open_once(path) {
            Err(error) if error.kind == ErrorKind::Contended && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(10));
            }
            opened => return opened,
        }
    }
}

/// Creates a new file that only its owner may read, because it will hold personal data. SQLite gives the journal the
/// same mode. An existing file keeps its mode; SQLite reports errors when it opens the file.
fn make_private(path: &Path) {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    let _ = options.write(true).create_new(true).mode(0o600).open(path);
}

fn open_once(path: &Path) -> Result<Connection> {
    let fail = |error: rusqlite::Error| failure::at(path, &error);
    make_private(path);
    let connection = Connection::open(path).map_err(fail)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(fail)?;
    connection
        .pragma_update(None, "journal_mode", "wal")
        .map_err(fail)?;
    connection
        .pragma_update(None, "synchronous", "full")
        .map_err(fail)?;
    sql::add_functions(&connection).map_err(fail)?;
    connection.set_prepared_statement_cache_capacity(256);
    Ok(connection)
}

#[async_trait]
impl Store for SqliteStore {
    async fn prepare(&self) -> Result<()> {
        self.run_on(true, |session| tables::prepare(session)).await
    }

    async fn store(&self, lane: &Lane, arrivals: &[Arrival]) -> Result<Vec<Outcome>> {
        let (tables, arrivals) = (self.options.tables(Database::Sqlite, lane), arrivals.to_vec());
        self.run(move |session| transactions::store(session, &tables, &arrivals))
            .await
    }

    async fn quarantine(&self, message: &Unreadable) -> Result<()> {
        let message = message.clone();
        let refused = naming::verdict(&self.options.tables(Database::Sqlite, &message.lane)).err();
        self.run(move |session| match refused {
            None => now(ledger::keep_message(session, &message)),
            Some(why) => {
                now(lane_operations::refuse(
                    session,
                    &message.lane,
                    ChunkNumber::BEGINNING,
                    why.clone(),
                ))?;
                Err(why.into())
            }
        })
        .await
    }

    async fn reports(&self) -> Result<Vec<LaneReport>> {
        self.run(|session| now(lane_operations::reports(session))).await
    }

    async fn compact(&self, keep: &LedgerRetention, covered: &BTreeMap<Lane, ChunkNumber>) -> Result<u64> {
        let (keep, covered) = (*keep, covered.clone());
        self.run(move |session| now(bookkeeping::compaction::compact(session, &keep, &covered)))
            .await
    }

    async fn identity(&self) -> Result<Identity> {
        self.run(|session| now(refill::identity(session))).await
    }

    async fn count_rows(&self, _most: Duration) -> Result<Vec<RowCount>> {
        let (path, options) = (self.path.clone(), self.options.clone());
        Self::blocking(move || refills::count_rows(&path, &options)).await
    }

    async fn close(&self) {
        let slot = Arc::clone(&self.slot);
        // Closing checkpoints the WAL; nothing depends on it.
        let _ = tokio::task::spawn_blocking(move || {
            slot.lock().unwrap_or_else(PoisonError::into_inner).open.take()
        })
        .await;
    }
}

#[async_trait]
impl PendingChanges for SqliteStore {
    async fn pending_changes(&self) -> Result<Vec<(Lane, PendingChange)>> {
        self.run(|session| now(lane_operations::pending_changes(session)))
            .await
    }

    async fn accept(&self, lane: &Lane, approval: &Approval) -> Result<Option<PendingChange>> {
        let (lane, approval) = (lane.clone(), approval.clone());
        self.run(move |session| now(lane_operations::accept(session, &lane, &approval)))
            .await
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[tokio::test]
    async fn sqlite_new_store_is_readable_by_owner_only()
    -> std::result::Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("store.db");
        let store = SqliteStore::new(&path);
        store.prepare().await?;
        let mode = |end: &str| {
            let file = folder.path().join(format!("store.db{end}"));
            std::fs::metadata(file).map(|file| file.permissions().mode() & 0o777)
        };
        for end in ["", "-wal", "-shm"] {
            assert_eq!(mode(end)?, 0o600, "store.db{end}");
        }
        store.close().await;
        // An existing file keeps its mode.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640))?;
        store.prepare().await?;
        assert_eq!(mode("")?, 0o640);
        store.close().await;
        Ok(())
    }
}
