//! SQLite passes the suite.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::Connection;
use store::conformance::{self, Receiver};
use store::{SqliteStore, Store};

pub(crate) struct File {
    pub(crate) dir: tempfile::TempDir,
}

impl File {
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("store.db")
    }

    fn open(&self) -> Connection {
        let connection = Connection::open(self.path()).unwrap();
        connection
            .busy_timeout(std::time::Duration::from_secs(10))
            .unwrap();
        connection
    }
}

#[async_trait]
impl Receiver for File {
    fn store(&self) -> Arc<dyn Store> {
        Arc::new(SqliteStore::new(self.path()))
    }

    fn with(&self, options: store::Options) -> Arc<dyn store::Changes> {
        Arc::new(SqliteStore::new(self.path()).with_options(options))
    }

    fn own(&self, table: &str) -> String {
        format!("slacktide_{table}")
    }

    async fn execute(&self, sql: &str) -> Result<(), String> {
        self.open().execute_batch(sql).map_err(|error| error.to_string())
    }

    async fn texts(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>, String> {
        let connection = self.open();
        let read = || {
            let mut statement = connection.prepare(sql)?;
            let width = statement.column_count();
            statement
                .query_map([], |row| (0..width).map(|at| row.get(at)).collect())?
                .collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(|error| error.to_string())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_passes_the_suite() {
    let make = async || {
        Box::new(File {
            dir: tempfile::tempdir().unwrap(),
        }) as Box<dyn Receiver>
    };
    if let Err(failures) = conformance::run(make).await {
        panic!("{failures}");
    }
}

/// Trap: changing the journal mode does not wait for a lock as other statements do.
#[tokio::test(flavor = "multi_thread")]
async fn processes_that_open_a_new_file_together_all_succeed() {
    for _ in 0..20 {
        let file = File {
            dir: tempfile::tempdir().unwrap(),
        };
        let start = |_| {
            let store = file.store();
            tokio::spawn(async move {
                store.prepare().await?;
                store.reports().await?;
                store.close().await;
                store.reports().await.map(drop)
            })
        };
        for task in (0..12).map(start).collect::<Vec<_>>() {
            task.await.unwrap().unwrap();
        }
    }
}
