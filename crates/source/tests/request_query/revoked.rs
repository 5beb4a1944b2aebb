//! A permit that is revoked during an answer.

use gate::Gate;
use harness::until;
use schemas::cursor::{Cursor, Scalar};
use source::{ArgumentKind, End, Source as _, SqliteConfig, SqliteSource};

use super::{LITE, PG, request_query};
use crate::postgres::{SOON, database, open};
use crate::rows::Taken;

/// Regression: an open transaction while paused; a statement that continues.
#[tokio::test]
async fn postgres_revoked_permit_keeps_a_prefix_of_the_answer() {
    let db = database(PG).await;
    let (gate, script) = Gate::scripted();
    script.open();
    let (source, role) = open(&db, "GRANT SELECT ON setl TO $role", &gate).await;
    let permit = gate.permit().await;
    // The first rows are returned at once; then the statement sleeps until the gate stops it.
    let asked = request_query(
        "SELECT id, CASE WHEN id > 100 THEN pg_sleep(3600)::text END AS s FROM setl WHERE id <= $1",
        &[(ArgumentKind::Integer, Some(Scalar::Int(300)))],
        &["id"],
    );
    let mut reader = source.open_request_query(&asked, &permit).await.unwrap();
    let active =
        format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{role}' AND state = 'active'");
    let mut taken = Taken::default();
    let read = reader.read(None, 300, &permit, &mut taken);
    let closed = async {
        until("the statement to run", SOON, async || {
            db.number(&active).await == 1
        })
        .await;
        script.close("business");
    };
    let (quantum, ()) = tokio::join!(read, closed);
    assert_eq!(quantum.unwrap().end, End::Revoked);
    let expected: Vec<i64> = (1..).take(taken.rows.len()).collect();
    assert!(taken.rows.len() < 300 && taken.ids() == expected);
    let open = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE usename = '{role}' AND (state <> 'idle' OR xact_start IS NOT NULL)"
    );
    until("nothing to run or be open", SOON, async || {
        db.number(&open).await == 0
    })
    .await;
    assert_eq!(source.driver_counts().rows_while_closed, 0);
}

/// The same on the agent's thread: stopped at once, no lock on the file, no later row.
#[tokio::test]
async fn sqlite_revoked_permit_keeps_a_prefix_of_the_answer() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("core.db");
    let core = rusqlite::Connection::open(&path).unwrap();
    core.execute_batch(&format!("PRAGMA journal_mode = WAL; {LITE}"))
        .unwrap();
    let (gate, script) = Gate::scripted();
    script.open();
    let source = SqliteSource::new(SqliteConfig::new(&path), gate.closed_flag()).unwrap();
    let permit = gate.permit().await;
    // The first rows are returned at once; then the statement searches a row that does not exist.
    let sql = "SELECT id FROM setl WHERE id <= $1 OR \
        (SELECT count(*) FROM setl b, setl c, setl d WHERE b.amount < c.amount) = id";
    let asked = request_query(sql, &[(ArgumentKind::Integer, Some(Scalar::Int(100)))], &["id"]);
    let mut reader = source.open_request_query(&asked, &permit).await.unwrap();
    let before = source.driver_counts().rows;
    let mut taken = Taken::default();
    let read = reader.read(None, 1_000, &permit, &mut taken);
    let closed = async {
        until("the first rows to come", SOON, async || {
            source.driver_counts().rows >= before + 100
        })
        .await;
        script.close("business");
    };
    let (quantum, ()) = tokio::join!(read, closed);
    let quantum = quantum.unwrap();
    assert_eq!(quantum.end, End::Revoked);
    let expected: Vec<i64> = (1..).take(taken.rows.len()).collect();
    assert!(taken.ids() == expected && quantum.rows == expected.len() as u64);
    // No statement reads: a checkpoint can empty the log.
    core.execute_batch("PRAGMA busy_timeout = 0; DELETE FROM setl WHERE id > 49000")
        .unwrap();
    let busy: i64 = core
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
        .unwrap();
    assert_eq!(busy, 0);
    let counted = source.driver_counts();
    assert_eq!(
        (counted.rows_while_closed, counted.statements_while_closed),
        (0, 0)
    );
    // A read after the prefix returns the rest, once the gate is open again.
    script.open();
    let permit = gate.permit().await;
    let asked = request_query(
        "SELECT id FROM setl WHERE id <= $1",
        &[(ArgumentKind::Integer, Some(Scalar::Int(100)))],
        &["id"],
    );
    let mut reader = source.open_request_query(&asked, &permit).await.unwrap();
    let after = taken.ids().last().map(|id| Cursor(vec![Scalar::Int(*id)]));
    reader
        .read(after.as_ref(), 1_000, &permit, &mut taken)
        .await
        .unwrap();
    assert_eq!(taken.ids(), (1..=100).collect::<Vec<_>>());
}
