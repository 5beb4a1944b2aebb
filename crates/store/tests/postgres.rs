//! PostgreSQL passes the suite, and PostgreSQL-specific cases.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use harness::{Db, Postgres};
use schemas::column::{ColumnType, RowSchema};
use schemas::value::Value;
use store::{ErrorKind, Outcome, PostgresStore, Store};
use store_testing::conformance::{self, Receiver};
use store_testing::samples::{Chain, lane, schema};

pub(crate) struct Database(pub(crate) Db);

#[async_trait]
impl Receiver for Database {
    fn store(&self) -> Arc<dyn Store> {
        Arc::new(PostgresStore::new(&self.0.url, "public").unwrap())
    }

    fn with(&self, options: store::Options) -> Arc<dyn store::PendingChanges> {
        Arc::new(
            PostgresStore::new(&self.0.url, "public")
                .unwrap()
                .with_options(options),
        )
    }

    fn refill(&self, options: store::Options) -> Arc<dyn store::Refill> {
        Arc::new(
            PostgresStore::new(&self.0.url, "public")
                .unwrap()
                .with_options(options),
        )
    }

    fn own(&self, table: &str) -> String {
        format!("slacktide.{table}")
    }

    async fn execute(&self, sql: &str) -> Result<(), String> {
        self.0.execute(sql).await;
        Ok(())
    }

    async fn texts(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>, String> {
        let rows = self.0.connect().await.query(sql, &[]).await;
        let rows = rows.map_err(|error| format!("{error:?}"))?;
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
async fn postgres_passes_store_suite() {
    let make =
        async || Box::new(Database(Postgres::shared().await.database("store").await)) as Box<dyn Receiver>;
    if let Err(failures) = conformance::run(make).await {
        panic!("{failures}");
    }
}

fn rows(from: i64, many: i64, name: &str) -> Vec<Vec<Value<'_>>> {
    (from..from + many)
        .map(|id| vec![Value::Int(id), Value::Text(name), Value::Text("12.30")])
        .collect()
}

fn columns() -> RowSchema {
    let money = ColumnType::Decimal {
        precision: Some(16),
        scale: Some(2),
    };
    schema(
        &["id"],
        &[
            ("id", ColumnType::Int8),
            ("name", ColumnType::Text { max: None }),
            ("paid", money),
        ],
    )
}

/// Returns how many sessions of the store wait for a lock.
const WAITING: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
     AND application_name = 'slacktide store' AND wait_event_type = 'Lock'";

async fn until_it_waits(db: &Db) {
    harness::until(
        "the store to wait for a row",
        Duration::from_secs(20),
        async || {
            if db.number(WAITING).await == 1 {
                Ok(())
            } else {
                Err("it does not wait yet")
            }
        },
    )
    .await;
}

/// A connection that is killed within a transaction leaves nothing partial, and nothing is quarantined because of it.
/// Both write paths: COPY into the target, and staging.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_killed_connection_leaves_no_partial_chunk() {
    let db = Postgres::shared().await.database("killed").await;
    let store = Arc::new(PostgresStore::new(&db.url, "public").unwrap());
    store.prepare().await.unwrap();
    let mut chain = Chain::new(lane(), columns(), 0);
    store
        .store(&lane(), &[chain.next(&rows(1, 1, "a"))])
        .await
        .unwrap();
    // The third call overwrites rows, so it uses staging.
    for (number, first) in [(2_u64, 2), (3, 1_002), (4, 2)] {
        let mut other = db.connect().await;
        let other = other.transaction().await.unwrap();
        let last = first + 999;
        let hold = format!(
            "INSERT INTO setl VALUES ({last}, 'other', 1, 0, 0) ON CONFLICT (id) DO UPDATE SET name = 'other'"
        );
        other.execute(&hold, &[]).await.unwrap();
        let chunk = chain.next(&rows(first, 1_000, "b"));
        let storing = tokio::spawn({
            let (store, chunk) = (Arc::clone(&store), chunk.clone());
            async move { store.store(&lane(), &[chunk]).await }
        });
        until_it_waits(&db).await;
        let before = db.number("SELECT count(*) FROM setl").await;
        db.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
             AND application_name = 'slacktide store' AND wait_event_type = 'Lock'",
        )
        .await;
        let error = storing.await.unwrap().unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unreachable, "{error}");
        other.rollback().await.unwrap();
        assert_eq!(db.number("SELECT count(*) FROM setl").await, before);
        assert_eq!(
            db.number("SELECT max(number) FROM slacktide.ledger")
                .await
                .unsigned_abs(),
            number - 1
        );
        let again = store.store(&lane(), &[chunk]).await.unwrap();
        assert_eq!(
            again,
            [Outcome::Stored {
                rows: 1_000,
                quarantined: 0
            }]
        );
    }
    assert_eq!(db.number("SELECT count(*) FROM setl").await, 2_001);
    assert_eq!(db.number("SELECT count(*) FROM slacktide.quarantine").await, 0);
    let report = store.reports().await.unwrap().remove(0);
    assert_eq!((report.to, report.rows, report.pending), (4, 3_001, 0));
}

/// Two transactions lock the same rows in another order. The victim is retried.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_deadlock_is_retried_without_quarantine() {
    let db = Postgres::shared().await.database("deadlock").await;
    let store = PostgresStore::new(&db.url, "public").unwrap();
    store.prepare().await.unwrap();
    let mut chain = Chain::new(lane(), columns(), 0);
    store
        .store(&lane(), &[chain.next(&rows(1, 2, "a"))])
        .await
        .unwrap();
    let mut other = db.connect().await;
    let other = other.transaction().await.unwrap();
    other
        .execute("UPDATE setl SET name = 'other' WHERE id = 2", &[])
        .await
        .unwrap();
    let next = chain.next(&rows(1, 2, "b"));
    let storing = tokio::spawn(async move { store.store(&lane(), &[next]).await });
    until_it_waits(&db).await;
    // Each waits for the other; one of the two is the victim.
    let mine = other
        .execute("UPDATE setl SET name = 'other' WHERE id = 1", &[])
        .await;
    match mine {
        Ok(_) => other.rollback().await.unwrap(),
        Err(_) => drop(other),
    }
    let outcomes = storing.await.unwrap().unwrap();
    assert_eq!(
        outcomes,
        [Outcome::Stored {
            rows: 2,
            quarantined: 0
        }]
    );
    assert_eq!(db.number("SELECT count(*) FROM setl WHERE name = 'b'").await, 2);
}

/// A missing privilege is reported as such, and the tables may be created beforehand.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_missing_privilege_is_denied_with_remedy() {
    let db = Postgres::shared().await.database("denied").await;
    let role = db.role("plain", "").await;
    let store = PostgresStore::new(&db.url_as(&role), "public").unwrap();
    let error = store.prepare().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied, "{error}");
    assert!(error.remedy.contains("CREATE"), "{error}");
    let wrong = PostgresStore::new(&db.url, "no_such_schema").unwrap();
    assert_eq!(wrong.prepare().await.unwrap_err().kind, ErrorKind::Refused);
    assert_eq!(
        PostgresStore::new("nonsense", "public").unwrap_err().kind,
        ErrorKind::Refused
    );
}

/// A missing server is waited for, and nothing is quarantined.
#[tokio::test]
async fn postgres_missing_server_is_unreachable() {
    let url = format!("postgres://postgres@127.0.0.1:{}/none", harness::free_port());
    let store = PostgresStore::new(&url, "public").unwrap();
    assert_eq!(store.reports().await.unwrap_err().kind, ErrorKind::Unreachable);
}

/// Types of the source that the target has too, and one that it cannot read.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_native_type_is_kept_and_bad_cast_refuses_row() {
    let db = Postgres::shared().await.database("native").await;
    db.execute("CREATE TYPE mood AS ENUM ('sad', 'ok')").await;
    let store = PostgresStore::new(&db.url, "public").unwrap();
    store.prepare().await.unwrap();
    let native = |name: &str| ColumnType::Other {
        native: name.to_owned(),
    };
    let columns = [
        ("id", ColumnType::Int4),
        ("mood", native("public.mood")),
        ("marks", native("int4[]")),
        ("odd", native("a b(c")),
    ];
    let mut chain = Chain::new(lane(), schema(&["id"], &columns), 0);
    let row = |id, mood| {
        vec![
            Value::Int(id),
            Value::Text(mood),
            Value::Text("{1,NULL,3}"),
            Value::Text("x"),
        ]
    };
    let chunk = chain.next(&[
        row(1, "sad"),
        row(2, "secret"),
        row(3, "ok"),
        row(4_000_000_000, "ok"),
    ]);
    assert_eq!(
        store.store(&lane(), &[chunk]).await.unwrap(),
        [Outcome::Stored {
            rows: 4,
            quarantined: 2
        }]
    );
    assert_eq!(
        db.number("SELECT count(*) FROM setl WHERE mood > 'sad' AND marks[3] = 3 OR id = 1")
            .await,
        2
    );
    let reasons: Vec<String> = db
        .query("SELECT reason FROM slacktide.quarantine ORDER BY ordinal")
        .await
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert!(
        reasons[0].contains("\"mood\"") && reasons[1].contains("\"id\""),
        "{reasons:?}"
    );
    assert!(!reasons.concat().contains("secret"), "a reason shows a value");
}

/// The server's log must not have a line for each failed or empty call before its transaction.
#[tokio::test(flavor = "multi_thread")]
async fn store_rolls_back_only_inside_a_transaction() {
    let server = Postgres::private(harness::PostgresOptions::default()).await;
    let db = server.database("rollback").await;
    let name = db.name();
    let grants = format!(
        "GRANT CREATE ON DATABASE \"{name}\" TO $role; GRANT CREATE, USAGE ON SCHEMA public TO $role; \
         REVOKE TEMPORARY ON DATABASE \"{name}\" FROM PUBLIC"
    );
    let writer = db.role("writer", &grants).await;
    let store = PostgresStore::new(&db.url_as(&writer), "public").unwrap();
    store.prepare().await.unwrap();
    let mut chain = Chain::new(lane(), columns(), 0);
    let chunk = chain.next(&rows(1, 3, "a"));
    for _ in 0..2 {
        let error = store
            .store(&lane(), std::slice::from_ref(&chunk))
            .await
            .unwrap_err();
        assert_eq!(error.kind, ErrorKind::Denied, "{error}");
    }
    db.execute(&format!("GRANT TEMPORARY ON DATABASE \"{name}\" TO {writer}"))
        .await;
    store.store(&lane(), &[chunk]).await.unwrap();
    assert_eq!(db.number("SELECT count(*) FROM setl").await, 3);
    let log = server.log();
    assert!(
        log.contains("permission denied to create temporary tables"),
        "{log}"
    );
    assert!(!log.contains("no transaction in progress"), "{log}");
}

/// A restored database has other oids: its tables are recognised by their marks, and one without a mark stays
/// unchanged.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_restored_table_is_recognised_by_mark() {
    let db = Postgres::shared().await.database("restored").await;
    let mut chain = Chain::new(lane(), columns(), 0);
    let store = async || {
        let store = PostgresStore::new(&db.url, "public").unwrap();
        store.prepare().await.unwrap();
        store
    };
    let stored = |outcomes: &[Outcome]| matches!(outcomes, [Outcome::Stored { quarantined: 0, .. }]);
    let first = chain.next(&rows(1, 1, "a"));
    assert!(stored(&store().await.store(&lane(), &[first]).await.unwrap()));
    // As after a dump and a restore: the bookkeeping has another oid.
    db.execute(
        "CREATE TABLE slacktide.copied (LIKE slacktide.tables INCLUDING ALL); \
         INSERT INTO slacktide.copied SELECT * FROM slacktide.tables; DROP TABLE slacktide.tables; \
         ALTER TABLE slacktide.copied RENAME TO tables; UPDATE slacktide.tables SET oid = 1",
    )
    .await;
    let second = chain.next(&rows(2, 1, "b"));
    assert!(stored(&store().await.store(&lane(), &[second]).await.unwrap()));
    // The same with another table of that name.
    db.execute(
        "CREATE TABLE slacktide.copied (LIKE slacktide.tables INCLUDING ALL); \
         INSERT INTO slacktide.copied SELECT * FROM slacktide.tables; DROP TABLE slacktide.tables; \
         ALTER TABLE slacktide.copied RENAME TO tables; \
         ALTER TABLE setl RENAME TO ours; CREATE TABLE setl (LIKE ours INCLUDING DEFAULTS INCLUDING INDEXES)",
    )
    .await;
    let third = chain.next(&rows(3, 1, "c"));
    let error = store().await.store(&lane(), &[third]).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Refused, "{error}");
    assert_eq!(db.number("SELECT count(*) FROM setl").await, 0);
}

/// `CREATE TABLE … (LIKE … INCLUDING ALL)` also copies the comments with the marks.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_table_with_copied_mark_is_unchanged() {
    let db = Postgres::shared().await.database("copied").await;
    let store = PostgresStore::new(&db.url, "public").unwrap();
    store.prepare().await.unwrap();
    let mut chain = Chain::new(lane(), columns(), 0);
    store
        .store(&lane(), &[chain.next(&rows(1, 1, "a"))])
        .await
        .unwrap();
    db.execute("ALTER TABLE setl RENAME TO ours; CREATE TABLE setl (LIKE ours INCLUDING ALL)")
        .await;
    let error = store
        .store(&lane(), &[chain.next(&rows(2, 1, "b"))])
        .await
        .unwrap_err();
    assert!(error.what.contains("did not create"), "{error}");
    assert_eq!(db.number("SELECT count(*) FROM setl").await, 0);
}

/// A retry of a failed table statement meets the same error: the lane shows it and waits.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_table_creation_failure_is_shown() {
    let db = Postgres::shared().await.database("unmade").await;
    let store = PostgresStore::new(&db.url, "public").unwrap();
    store.prepare().await.unwrap();
    let names: Vec<String> = (0..1_700).map(|at| format!("c{at}")).collect();
    let columns: Vec<(&str, ColumnType)> = names
        .iter()
        .map(|name| (name.as_str(), ColumnType::Int8))
        .collect();
    let mut chain = Chain::new(lane(), schema(&["c0"], &columns), 0);
    let chunk = chain.next(&[vec![Value::Int(1); columns.len()]]);
    let error = store.store(&lane(), &[chunk]).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Refused, "{error}");
    let reports = store.reports().await.unwrap();
    assert!(reports[0].refused.is_some(), "{reports:?}");
}
