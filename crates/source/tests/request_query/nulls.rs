//! Rows with a null in the order.

use gate::Gate;
use schemas::cursor::{Cursor, Scalar};
use source::{ArgumentKind, End, ErrorKind, RequestQuery, Source as _, SqliteConfig, SqliteSource};

use super::{LITE, PG, all, request_query};
use crate::postgres::{database, open};
use crate::rows::Taken;

/// Regression: rows with NULL cursors are lost. Rows with a null in the order would be in no quantum. So the query is refused, also
/// if the first quantum does not show them, and if only a join adds the nulls.
#[tokio::test]
async fn postgres_null_in_the_order_is_refused() {
    let db = database(&format!(
        "{PG} ALTER TABLE setl ADD n integer; UPDATE setl SET n = id WHERE id <> 7;"
    ))
    .await;
    let gate = Gate::fixed_open();
    let permit = gate.permit().await;
    let (source, _) = open(&db, "GRANT SELECT ON setl TO $role", &gate).await;
    let one = [(ArgumentKind::Integer, Some(Scalar::Int(10)))];
    for (sql, order, is_null) in [
        ("SELECT n FROM setl WHERE id <= $1", &["n"][..], true),
        (
            "SELECT paid::int AS p, n FROM setl WHERE id <= $1",
            &["p", "n"],
            true,
        ),
        (
            "SELECT b.id AS n FROM setl a LEFT JOIN setl b ON b.id = a.id AND b.id <> 7 WHERE a.id <= $1",
            &["n"],
            true,
        ),
        (
            "SELECT n FROM setl WHERE id <= $1 AND n IS NOT NULL",
            &["n"],
            false,
        ),
        (
            "SELECT a.id FROM setl a JOIN setl b USING (id) WHERE a.id <= $1",
            &["id"],
            false,
        ),
    ] {
        let asked = request_query(sql, &one, order);
        let mut reader = source.open_request_query(&asked, &permit).await.unwrap();
        let (mut after, mut found) = (None, 0);
        let ended = loop {
            let mut taken = Taken::default();
            match reader.read(after.as_ref(), 3, &permit, &mut taken).await {
                Err(error) => break Err(error),
                Ok(quantum) => {
                    found += quantum.rows;
                    if quantum.end == End::Drained {
                        break Ok(found);
                    }
                }
            }
            let last = taken.rows.last().unwrap();
            after = Some(Cursor(
                last.iter().map(|one| Scalar::Int(one.parse().unwrap())).collect(),
            ));
        };
        match ended {
            Ok(found) => assert!(!is_null && found >= 9, "{sql}: {found}"),
            Err(error) => {
                assert!(is_null && error.kind == ErrorKind::Refused, "{sql}: {error}");
                assert!(error.to_string().contains("null"), "{error}");
            }
        }
    }
    // If the tables declare NOT NULL it costs no statement.
    let plain = request_query("SELECT id FROM setl WHERE id <= $1", &one, &["id"]);
    let mut reader = source.open_request_query(&plain, &permit).await.unwrap();
    let before = source.driver_counts();
    assert_eq!(all(reader.as_mut(), 4, &permit).await.rows.len(), 10);
    let after = source.driver_counts();
    // Three quanta, and two statements to prepare; each row once, and the one that shows that there are more.
    assert_eq!(after.statements - before.statements, 5);
    assert_eq!(after.rows - before.rows, 12);
}

/// SQLite sorts nulls first, so the first quantum shows them.
#[tokio::test]
async fn sqlite_null_in_the_order_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("core.db");
    let core = rusqlite::Connection::open(&path).unwrap();
    core.execute_batch(&format!(
        "{LITE} ALTER TABLE setl ADD n INTEGER; UPDATE setl SET n = id WHERE id <> 8;"
    ))
    .unwrap();
    let gate = Gate::fixed_open();
    let permit = gate.permit().await;
    let source = SqliteSource::new(SqliteConfig::new(&path), gate.closed_flag()).unwrap();
    // In the second order the null is after the first quantum: its group is the later one.
    for (sql, order) in [
        ("SELECT n FROM setl WHERE id <= 10", &["n"][..]),
        ("SELECT paid AS p, n FROM setl WHERE id <= 10", &["p", "n"]),
    ] {
        let asked = RequestQuery {
            types: [("p".to_owned(), "int8".to_owned())]
                .into_iter()
                .filter(|_| order.len() == 2)
                .collect(),
            ..request_query(sql, &[], order)
        };
        let mut reader = source.open_request_query(&asked, &permit).await.unwrap();
        let mut after: Option<Cursor> = None;
        let error = loop {
            let mut taken = Taken::default();
            match reader.read(after.as_ref(), 3, &permit, &mut taken).await {
                Err(error) => break error,
                Ok(quantum) => assert_eq!(quantum.end, End::Limit, "{sql}: called whole"),
            }
            let last = taken.rows.last().unwrap();
            after = Some(Cursor(
                last.iter().map(|one| Scalar::Int(one.parse().unwrap())).collect(),
            ));
        };
        assert_eq!(error.kind, ErrorKind::Refused, "{error}");
    }
}
