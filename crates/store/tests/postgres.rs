//! PostgreSQL passes the suite, and what only it can do wrong.

use std::sync::Arc;

use async_trait::async_trait;
use harness::{Db, Postgres};
use store::conformance::{self, Receiver};
use store::{PostgresStore, Store};

struct Database(Db);

#[async_trait]
impl Receiver for Database {
    fn store(&self) -> Arc<dyn Store> {
        Arc::new(PostgresStore::new(&self.0.url, "public").unwrap())
    }

    fn own(&self, table: &str) -> String {
        format!("slacktide.{table}")
    }

    async fn execute(&self, sql: &str) -> Result<(), String> {
        self.0.execute(sql).await;
        Ok(())
    }

    async fn texts(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>, String> {
        let rows = self.0.query(sql).await;
        rows.iter()
            .map(|row| {
                (0..row.len())
                    .map(|at| row.try_get(at).map_err(|error| error.to_string()))
                    .collect()
            })
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_passes_the_suite() {
    let make =
        async || Box::new(Database(Postgres::shared().await.database("store").await)) as Box<dyn Receiver>;
    if let Err(failures) = conformance::run(make).await {
        panic!("{failures}");
    }
}
