//! Both stores pass the requests suite.

use std::sync::Arc;

use harness::Postgres;
use store::layout::Options;
use store::{PostgresStore, Requests, SqliteStore};
use store_testing::conformance::requests::{RequestsReceiver, run};

use crate::postgres::Database;
use crate::sqlite::File;

impl RequestsReceiver for Database {
    fn requests_with(&self, options: Options) -> Arc<dyn Requests> {
        let store = PostgresStore::new(&self.0.url, "public").unwrap();
        Arc::new(store.with_options(options))
    }
}

impl RequestsReceiver for File {
    fn requests_with(&self, options: Options) -> Arc<dyn Requests> {
        Arc::new(SqliteStore::new(self.path()).with_options(options))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_passes_requests_suite() {
    let make = async || {
        Box::new(Database(Postgres::shared().await.database("asked").await)) as Box<dyn RequestsReceiver>
    };
    if let Err(failures) = run(make).await {
        panic!("{failures}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_passes_requests_suite() {
    let make = async || {
        Box::new(File {
            dir: tempfile::tempdir().unwrap(),
        }) as Box<dyn RequestsReceiver>
    };
    if let Err(failures) = run(make).await {
        panic!("{failures}");
    }
}
