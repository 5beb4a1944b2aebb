//! SQLite passes the suite.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::Connection;
use schemas::column::ColumnType;
use schemas::name::Lane;
use schemas::value::Value;
use store::{ErrorKind, FeedOptions, Options, SqliteStore, Store};
use store_testing::conformance::{self, Receiver};
use store_testing::samples;

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

    fn with(&self, options: store::Options) -> Arc<dyn store::PendingChanges> {
        Arc::new(SqliteStore::new(self.path()).with_options(options))
    }

    fn refill(&self, options: store::Options) -> Arc<dyn store::Refill> {
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
async fn sqlite_passes_store_suite() {
    let make = async || {
        Box::new(File {
            dir: tempfile::tempdir().unwrap(),
        }) as Box<dyn Receiver>
    };
    if let Err(failures) = conformance::run(make).await {
        panic!("{failures}");
    }
}

/// Changing the journal mode does not wait for a lock like other statements.
#[tokio::test(flavor = "multi_thread")]
async fn sqlite_concurrent_first_opens_succeed() {
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

/// A virtual table and its shadow tables are not usable for a feed, even if named.
#[tokio::test(flavor = "multi_thread")]
async fn sqlite_shadow_and_virtual_tables_are_unchanged() {
    let file = File {
        dir: tempfile::tempdir().unwrap(),
    };
    file.execute("CREATE VIRTUAL TABLE docs USING fts5 (body)")
        .await
        .unwrap();
    for name in ["docs", "docs_data", "docs_content", "docs_config"] {
        let lane = Lane {
            feed: name.parse().unwrap(),
            ..samples::lane()
        };
        let named = FeedOptions {
            table: Some(name.to_owned()),
            ..FeedOptions::default()
        };
        let columns = samples::schema(&["id"], &[("id", ColumnType::Int8), ("block", ColumnType::Int8)]);
        for feeds in [BTreeMap::new(), BTreeMap::from([(lane.feed.clone(), named)])] {
            let store = file.with(Options {
                feeds,
                ..Options::default()
            });
            store.prepare().await.unwrap();
            let mut chain = samples::Chain::new(lane.clone(), columns.clone(), 0);
            let chunk = chain.next(&[vec![Value::Int(1), Value::Int(7)]]);
            let error = store.store(&lane, &[chunk]).await.unwrap_err();
            assert!(error.what.contains("table has that name"), "{name}: {error}");
        }
    }
    let rows = file
        .texts("SELECT CAST(count(*) AS TEXT) FROM docs")
        .await
        .unwrap();
    assert_eq!(rows, [[Some("0".to_owned())]]);
}

/// A retry of a failed table statement meets the same error: the lane shows it and waits.
#[tokio::test(flavor = "multi_thread")]
async fn sqlite_table_creation_failure_is_shown() {
    let file = File {
        dir: tempfile::tempdir().unwrap(),
    };
    let store = file.store();
    store.prepare().await.unwrap();
    let names: Vec<String> = (0..2_100).map(|at| format!("c{at}")).collect();
    let columns: Vec<(&str, ColumnType)> = names
        .iter()
        .map(|name| (name.as_str(), ColumnType::Int8))
        .collect();
    let mut chain = samples::Chain::new(samples::lane(), samples::schema(&["c0"], &columns), 0);
    let chunk = chain.next(&[vec![Value::Int(1); columns.len()]]);
    let error = store.store(&samples::lane(), &[chunk]).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Refused, "{error}");
    let reports = store.reports().await.unwrap();
    assert!(reports[0].refused.is_some(), "{reports:?}");
}
