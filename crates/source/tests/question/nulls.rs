//! Rows without a place in the order.

use gate::Gate;
use schemas::cursor::{Cursor, Scalar};
use source::{ArgumentKind, End, ErrorKind, Question, Source as _, SqliteConfig, SqliteSource};

use super::{LITE, PG, all, question};
use crate::postgres::{database, open};
use crate::rows::Taken;

/// Trap: NULL cursor values vanish. Rows without a place in the order would be in no quantum: the question is
/// refused, also where the first quantum does not show them and where only a join makes the nulls.
#[tokio::test]
async fn rows_without_a_place_in_the_order_are_told_and_never_lost() {
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
        let asked = question(sql, &one, order);
        let mut reader = source.open_question(&asked, &permit).await.unwrap();
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
    // Where the tables say NOT NULL it costs no statement.
    let plain = question("SELECT id FROM setl WHERE id <= $1", &one, &["id"]);
    let mut reader = source.open_question(&plain, &permit).await.unwrap();
    let before = source.counted();
    assert_eq!(all(reader.as_mut(), 4, &permit).await.rows.len(), 10);
    let after = source.counted();
    // Three quanta, and two texts to prepare; each row once, and the one that shows that there is more.
    assert_eq!(after.statements - before.statements, 5);
    assert_eq!(after.rows - before.rows, 12);
}

/// SQLite sorts nulls first, so that the quantum in which they would be shows them.
#[tokio::test]
async fn rows_without_a_place_in_the_order_are_told_by_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("core.db");
    let core = rusqlite::Connection::open(&path).unwrap();
    core.execute_batch(&format!(
        "{LITE} ALTER TABLE setl ADD n INTEGER; UPDATE setl SET n = id WHERE id <> 8;"
    ))
    .unwrap();
    let gate = Gate::fixed_open();
    let permit = gate.permit().await;
    let source = SqliteSource::new(SqliteConfig::new(&path), gate.shut_flag()).unwrap();
    // In the second order the null comes behind the first quantum: its group is the later one.
    for (sql, order) in [
        ("SELECT n FROM setl WHERE id <= 10", &["n"][..]),
        ("SELECT paid AS p, n FROM setl WHERE id <= 10", &["p", "n"]),
    ] {
        let asked = Question {
            types: [("p".to_owned(), "int8".to_owned())]
                .into_iter()
                .filter(|_| order.len() == 2)
                .collect(),
            ..question(sql, &[], order)
        };
        let mut reader = source.open_question(&asked, &permit).await.unwrap();
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
