//! Both receivers' requests pass their suite.

use std::sync::Arc;

use harness::Postgres;
use store::conformance::requests::{Asker, run};
use store::layout::Options;
use store::{PostgresStore, Requests, SqliteStore};

use crate::postgres::Database;
use crate::sqlite::File;

impl Asker for Database {
    fn asking(&self, options: Options) -> Arc<dyn Requests> {
        let store = PostgresStore::new(&self.0.url, "public").unwrap();
        Arc::new(store.with_options(options))
    }
}

impl Asker for File {
    fn asking(&self, options: Options) -> Arc<dyn Requests> {
        Arc::new(SqliteStore::new(self.path()).with_options(options))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_passes_the_suite_of_requests() {
    let make =
        async || Box::new(Database(Postgres::shared().await.database("asked").await)) as Box<dyn Asker>;
    if let Err(failures) = run(make).await {
        panic!("{failures}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_passes_the_suite_of_requests() {
    let make = async || {
        Box::new(File {
            dir: tempfile::tempdir().unwrap(),
        }) as Box<dyn Asker>
    };
    if let Err(failures) = run(make).await {
        panic!("{failures}");
    }
}
