//! A receiver in one SQLite file.
//!
//! Every verb is one `BEGIN IMMEDIATE` transaction, so verbs of any number of processes that
//! share the file happen one after the other and see each other's entries; no race is left to
//! be checked later. The journal is a WAL and is synced at every commit: what is settled at the
//! exchange is on the disk here.
//!
//! - `tables` our own tables, and the target's columns; `native` their types
//! - `records` lanes and ledger entries, read and written
//! - `rows` rows into the target; `cell` their values
//! - `verbs` the transactions; `quarantine` what is kept aside, and its way out
//! - `failure` SQLite's errors by kind

mod cell;
mod failure;
mod native;
mod quarantine;
mod records;
mod rows;
mod tables;
mod verbs;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rusqlite::Connection;
use schemas::name::Lane;

use crate::error::{Error, ErrorKind, Result};
use crate::port::{Arrival, LaneReport, Outcome, Store, Unreadable};

/// How long a transaction of another process is waited for.
const BUSY: Duration = Duration::from_secs(10);

/// A receiver in one SQLite file.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    path: PathBuf,
    connection: Arc<Mutex<Option<Connection>>>,
}

impl SqliteStore {
    /// Over this file, which is made when it is not there. Opens nothing yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            connection: Arc::default(),
        }
    }

    async fn run<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T> + Send + 'static,
    {
        let (path, slot) = (self.path.clone(), Arc::clone(&self.connection));
        let done = tokio::task::spawn_blocking(move || {
            let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            let mut connection = match slot.take() {
                Some(connection) => connection,
                None => open(&path)?,
            };
            let result = work(&mut connection);
            // A connection whose error is not understood is opened anew.
            if !matches!(&result, Err(error) if matches!(error.kind, ErrorKind::Unreachable | ErrorKind::Database))
            {
                *slot = Some(connection);
            }
            result
        });
        done.await.unwrap_or_else(|error| {
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

fn open_once(path: &Path) -> Result<Connection> {
    let fail = |error: rusqlite::Error| failure::at(path, &error);
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
        self.run(tables::prepare).await
    }

    async fn store(&self, lane: &Lane, arrivals: &[Arrival]) -> Result<Vec<Outcome>> {
        let (lane, arrivals) = (lane.clone(), arrivals.to_vec());
        self.run(move |connection| verbs::store(connection, &lane, &arrivals))
            .await
    }

    async fn quarantine(&self, message: &Unreadable) -> Result<()> {
        let message = message.clone();
        self.run(move |connection| verbs::keep_message(connection, &message))
            .await
    }

    async fn reports(&self) -> Result<Vec<LaneReport>> {
        self.run(verbs::reports).await
    }

    async fn close(&self) {
        let slot = Arc::clone(&self.connection);
        // Closing writes the WAL back; nothing depends on it.
        let _ =
            tokio::task::spawn_blocking(move || slot.lock().unwrap_or_else(PoisonError::into_inner).take())
                .await;
    }
}
