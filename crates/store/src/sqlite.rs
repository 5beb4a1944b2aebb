//! A receiver in one SQLite file.
//!
//! Every verb is one `BEGIN IMMEDIATE` transaction, so verbs of any number of processes that
//! share the file happen one after the other and see each other's entries; no race is left to
//! be checked later. The journal is a WAL and is synced at every commit: what is settled at the
//! exchange is on the disk here.
//!
//! - `claims` whose a table is
//! - `tables` our own tables; `steps` what is done to the feeds'; `native` their types
//! - `records` lanes and ledger entries, read and written
//! - `rows` rows into the target; `traits` what of a table decides how; `cell` their values
//! - `verbs` the transactions; `opening` what a new epoch changes; `quarantine` what is kept aside, and its way out
//! - `refill` identity, chunks that are stored again, rows that are counted; `compaction` entries that are folded
//! - `requests` what an insurer asks for, and the answers
//! - `failure` SQLite's errors by kind

mod cell;
mod claims;
mod compaction;
mod failure;
mod native;
mod opening;
mod quarantine;
mod records;
mod refill;
mod requests;
mod rows;
mod steps;
mod tables;
mod traits;
mod verbs;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rusqlite::Connection;
use schemas::name::Lane;

use crate::compaction::Keep;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{Database, Options};
use crate::merge::Place;
use crate::naming;
use crate::port::{Answer, Arrival, Changes, LaneReport, Outcome, Store, Unreadable};
use crate::refill::{Identity, RowCount};
use crate::table::asked::Question;

/// How long a transaction of another process is waited for.
const BUSY: Duration = Duration::from_secs(10);

/// A receiver in one SQLite file.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    path: PathBuf,
    options: Options,
    slot: Arc<Mutex<Slot>>,
}

/// The connection that is kept, and which file it was made to.
#[derive(Debug, Default)]
struct Slot {
    open: Option<Connection>,
    file: Option<FileId>,
    /// Set when the path led to another file than before, until the store is prepared again.
    is_replaced: bool,
}

/// Which file a path leads to: its device and its inode.
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
    /// Over this file, which is made when it is not there. Opens nothing yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            options: Options::default(),
            slot: Arc::default(),
        }
    }

    /// With tables, names and modes as an operator has them.
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
        F: FnOnce(&mut Connection) -> Result<T> + Send + 'static,
    {
        self.run_on(false, work).await
    }

    /// `accepts` a file that replaced the one of before; every other verb refuses it.
    async fn run_on<T, F>(&self, accepts: bool, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T> + Send + 'static,
    {
        let (path, slot) = (self.path.clone(), Arc::clone(&self.slot));
        Self::blocking(move || {
            let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            // What is written to a file that was moved away or deleted is lost.
            if slot.file.is_some_and(|file| file_id(&path) != Some(file)) {
                (slot.open, slot.file, slot.is_replaced) = (None, None, true);
            }
            if slot.is_replaced && !accepts {
                return Err(replaced(&path));
            }
            let mut connection = match slot.open.take() {
                Some(connection) => connection,
                None => open(&path)?,
            };
            slot.file = slot.file.or_else(|| file_id(&path));
            let result = work(&mut connection);
            if result.is_ok() {
                slot.is_replaced = false;
            }
            // A connection whose error is not understood is opened anew.
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
                "work on the store's file broke off"
            } else {
                "the process is ending"
            };
            Err(Error::new(
                ErrorKind::Database,
                what,
                "it is tried again; see the log",
            ))
        })
    }
}

fn open(path: &Path) -> Result<Connection> {
    // The change of the journal's mode needs the file alone and does not wait for it as other
    // statements do: processes that start together on a new file try again.
    let deadline = Instant::now() + BUSY;
    loop {
        match open_once(path) {
            Err(error) if error.kind == ErrorKind::Contended && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(10));
            }
            opened => return opened,
        }
    }
}

/// Makes a new file that only its owner may read: it will hold personal data. SQLite gives the journal beside it the
/// same mode. A file that is there keeps the mode that its owner gave it; an error is SQLite's to tell.
fn make_private(path: &Path) {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    let _ = options.write(true).create_new(true).mode(0o600).open(path);
}

fn open_once(path: &Path) -> Result<Connection> {
    let fail = |error: rusqlite::Error| failure::at(path, &error);
    make_private(path);
    let connection = Connection::open(path).map_err(fail)?;
    connection.busy_timeout(BUSY).map_err(fail)?;
    connection
        .pragma_update(None, "journal_mode", "wal")
        .map_err(fail)?;
    connection
        .pragma_update(None, "synchronous", "full")
        .map_err(fail)?;
    connection.set_prepared_statement_cache_capacity(256);
    Ok(connection)
}

#[async_trait]
impl Store for SqliteStore {
    async fn prepare(&self) -> Result<()> {
        self.run_on(true, tables::prepare).await
    }

    async fn store(&self, lane: &Lane, arrivals: &[Arrival]) -> Result<Vec<Outcome>> {
        let (tables, arrivals) = (self.options.tables(Database::Sqlite, lane), arrivals.to_vec());
        self.run(move |connection| verbs::store(connection, &tables, &arrivals))
            .await
    }

    async fn quarantine(&self, message: &Unreadable) -> Result<()> {
        let message = message.clone();
        let refused = naming::verdict(&self.options.tables(Database::Sqlite, &message.lane)).err();
        self.run(move |connection| match refused {
            None => verbs::keep_message(connection, &message),
            Some(why) => {
                verbs::refuse(connection, &message.lane, Place::BEGINNING, why.clone())?;
                Err(why.into())
            }
        })
        .await
    }

    async fn reports(&self) -> Result<Vec<LaneReport>> {
        self.run(verbs::reports).await
    }

    async fn compact(&self, keep: &Keep, covered: &BTreeMap<Lane, Place>) -> Result<u64> {
        let (keep, covered) = (*keep, covered.clone());
        self.run(move |connection| compaction::compact(connection, &keep, &covered))
            .await
    }

    async fn identity(&self) -> Result<Identity> {
        self.run(|connection| refill::identity(connection)).await
    }

    async fn count_rows(&self, _most: Duration) -> Result<Vec<RowCount>> {
        let (path, options) = (self.path.clone(), self.options.clone());
        Self::blocking(move || refill::count_rows(&path, &options)).await
    }

    async fn close(&self) {
        let slot = Arc::clone(&self.slot);
        // Closing writes the WAL back; nothing depends on it.
        let _ = tokio::task::spawn_blocking(move || {
            slot.lock().unwrap_or_else(PoisonError::into_inner).open.take()
        })
        .await;
    }
}

#[async_trait]
impl Changes for SqliteStore {
    async fn asked(&self) -> Result<Vec<(Lane, Question)>> {
        self.run(verbs::asked).await
    }

    async fn accept(&self, lane: &Lane, answer: &Answer) -> Result<Option<Question>> {
        let (lane, answer) = (lane.clone(), answer.clone());
        self.run(move |connection| verbs::accept(connection, &lane, &answer))
            .await
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[tokio::test]
    async fn sqlite_new_store_is_its_owners_only() -> std::result::Result<(), Box<dyn std::error::Error>> {
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
        // A mode that its owner gave it stays.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640))?;
        store.prepare().await?;
        assert_eq!(mode("")?, 0o640);
        store.close().await;
        Ok(())
    }
}
