//! Both stores pass the quarantine suite.

use std::sync::Arc;
use std::time::Duration;

use harness::{Postgres, until};
use schemas::column::ColumnType;
use schemas::value::Value;
use store::layout::Options;
use store::port::Unreadable;
use store::{PostgresStore, Quarantine, SqliteStore, Store};
use store_testing::conformance::quarantine::{QuarantineReceiver, run};
use store_testing::samples::{Chain, lane, schema};

use crate::postgres::Database;
use crate::sqlite::File;

impl QuarantineReceiver for Database {
    fn quarantine_with(&self, options: Options) -> Arc<dyn Quarantine> {
        let store = PostgresStore::new(&self.0.url, "public").unwrap();
        Arc::new(store.with_options(options))
    }
}

impl QuarantineReceiver for File {
    fn quarantine_with(&self, options: Options) -> Arc<dyn Quarantine> {
        Arc::new(SqliteStore::new(self.path()).with_options(options))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_passes_quarantine_suite() {
    let make = async || {
        Box::new(Database(Postgres::shared().await.database("kept").await)) as Box<dyn QuarantineReceiver>
    };
    if let Err(failures) = run(make).await {
        panic!("{failures}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_passes_quarantine_suite() {
    let make = async || {
        Box::new(File {
            dir: tempfile::tempdir().unwrap(),
        }) as Box<dyn QuarantineReceiver>
    };
    if let Err(failures) = run(make).await {
        panic!("{failures}");
    }
}

/// A report that was counted before a retry ended must not overwrite its result. Another session acts as the retry,
/// so that it ends exactly between the report's reads and its write.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_report_recounts_after_retry() {
    let db = Postgres::shared().await.database("recount").await;
    let store = PostgresStore::new(&db.url, "public").unwrap();
    store.prepare().await.unwrap();
    let schema = schema(&["id"], &[("id", ColumnType::Int8)]);
    let mut chain = Chain::new(lane(), schema, 0);
    let (first, second) = (
        chain.next(&[vec![Value::Int(1)]]),
        chain.next(&[vec![Value::Int(2)]]),
    );
    store.store(&lane(), &[first]).await.unwrap();
    store.reports().await.unwrap();
    let unreadable = Unreadable {
        lane: lane(),
        claims: Some(Box::new((second.chunk.manifest.clone(), second.chunk.digest))),
        sequence: second.sequence,
        exchanged_at: second.exchanged_at,
        reason: "signed by a key that is not trusted here".to_owned(),
        bytes: bytes::Bytes::copy_from_slice(&second.chunk.digest.0),
    };
    store.quarantine(&unreadable).await.unwrap();

    let retry = db.connect().await;
    retry
        .batch_execute("BEGIN; SELECT FROM slacktide.lanes FOR UPDATE")
        .await
        .unwrap();
    let reporting = tokio::spawn(async move { store.reports().await });
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    until(
        "the report to wait for the lane",
        Duration::from_secs(60),
        async || db.number(waiting).await == 1,
    )
    .await;
    retry
        .batch_execute("UPDATE slacktide.ledger SET state = 'stored' WHERE number = 2; COMMIT")
        .await
        .unwrap();
    let reports = reporting.await.unwrap().unwrap();
    assert_eq!(
        (reports[0].to, reports[0].quarantined.as_slice()),
        (2, [].as_slice())
    );
}
