//! Both receivers' quarantines pass their suite.

use std::sync::Arc;

use harness::Postgres;
use store::conformance::quarantine::{Keeper, run};
use store::layout::Options;
use store::{PostgresStore, Quarantine, SqliteStore};

use crate::postgres::Database;
use crate::sqlite::File;

impl Keeper for Database {
    fn keeping(&self, options: Options) -> Arc<dyn Quarantine> {
        let store = PostgresStore::new(&self.0.url, "public").unwrap();
        Arc::new(store.with_options(options))
    }
}

impl Keeper for File {
    fn keeping(&self, options: Options) -> Arc<dyn Quarantine> {
        Arc::new(SqliteStore::new(self.path()).with_options(options))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_passes_the_suite_of_the_quarantine() {
    let make =
        async || Box::new(Database(Postgres::shared().await.database("kept").await)) as Box<dyn Keeper>;
    if let Err(failures) = run(make).await {
        panic!("{failures}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_passes_the_suite_of_the_quarantine() {
    let make = async || {
        Box::new(File {
            dir: tempfile::tempdir().unwrap(),
        }) as Box<dyn Keeper>
    };
    if let Err(failures) = run(make).await {
        panic!("{failures}");
    }
}
